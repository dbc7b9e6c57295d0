//go:build unix

package supervise

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/pulsering/pulsering/internal/command"
)

// roleEnv says that this binary plays the role in its first argument.
const roleEnv = "SUPERVISE_TEST"

var roles = map[string]func(args []string){
	"supervise": supervising,
	"service":   serving,
}

func TestMain(m *testing.M) {
	if os.Getenv(roleEnv) != "" && len(os.Args) > 1 {
		roles[os.Args[1]](os.Args[2:])
		return
	}
	goleak.VerifyTestMain(m)
}

// supervising runs a command as the node does, and tells on standard output how it ended.
func supervising(args []string) {
	child, err := Start(args, Options{Log: hclog.New(&hclog.LoggerOptions{Level: hclog.Debug})})
	if err != nil {
		fmt.Println(err)
		start, _ := errors.AsType[*StartError](err)
		os.Exit(start.Code)
	}
	fmt.Printf("child %d\n", child.Pid())
	e := child.Exit()
	fmt.Printf("ended: %v, asked %v, well %v\n", e, e.Asked, e.Well())
	os.Exit(e.Code)
}

// serving tells each signal that comes. SIGTERM ends it, with its first argument as exit status;
// "ignore" does nothing.
func serving(args []string) {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, slices.DeleteFunc(slices.Clone(forwarded), signal.Ignored)...)
	fmt.Println("ready")
	go func() { // what its terminal says
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			fmt.Println("read", in.Text())
		}
	}()
	for s := range signals {
		fmt.Println("got", command.SignalName(s))
		if s == syscall.SIGTERM && args[0] != "ignore" {
			code := 0
			fmt.Sscan(args[0], &code)
			os.Exit(code)
		}
	}
}

// outside is a supervisor in a process of its own.
type outside struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
	child int
}

// supervisor starts one, out of reach of the terminal that the tests run at, with a command to
// supervise.
func supervisor(t *testing.T, args ...string) *outside {
	t.Helper()
	return launch(t, exec.Command(os.Args[0], append([]string{"supervise"}, args...)...))
}

func launch(t *testing.T, cmd *exec.Cmd) *outside {
	t.Helper()
	cmd.Env = append(os.Environ(), roleEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	o := &outside{t: t, cmd: cmd, lines: bufio.NewScanner(out)}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return o
}

// service is the arguments of a service that ends with code once SIGTERM comes.
func service(code string) []string { return []string{os.Args[0], "service", code} }

// wait reads until a line that begins with want, and returns the lines before it and the rest of
// it.
func (o *outside) wait(want string) (before []string, rest string) {
	o.t.Helper()
	stuck := time.AfterFunc(20*time.Second, func() { o.cmd.Process.Kill() })
	defer stuck.Stop()
	for o.lines.Scan() {
		if rest, ok := strings.CutPrefix(o.lines.Text(), want); ok {
			return before, rest
		}
		before = append(before, o.lines.Text())
	}
	o.t.Fatalf("it ended without %q: %q", want, before)
	return nil, ""
}

// ready waits until the service catches its signals.
func (o *outside) ready() {
	o.t.Helper()
	for range 2 { // two processes write: in any order
		o.lines.Scan()
		fmt.Sscanf(o.lines.Text(), "child %d", &o.child)
	}
	if o.child == 0 {
		o.t.Fatal("no child")
	}
}

func (o *outside) signal(s syscall.Signal) { o.cmd.Process.Signal(s) }

func TestExits(t *testing.T) {
	for script, want := range map[string]struct {
		text string
		code int
		well bool
	}{
		"exit 0":                     {"exit status 0", 0, true},
		"exit 3":                     {"exit status 3", 3, false},
		"kill -KILL $$":              {"killed by SIGKILL", 137, false},
		"ulimit -c 0; kill -SEGV $$": {"killed by SIGSEGV", 139, false},
		"kill -TERM $$":              {"killed by SIGTERM", 143, false}, // by itself: nobody asked
	} {
		c, err := Start([]string{"sh", "-c", script}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if e := c.Exit(); e.String() != want.text || e.Code != want.code || e.Well() != want.well || e.Asked {
			t.Errorf("%s: %+v (%v); want %+v", script, e, e, want)
		}
	}
}

// Each signal that the supervisor gets reaches the child once.
func TestForwards(t *testing.T) {
	t.Parallel()
	o := supervisor(t, service("0")...)
	o.ready()
	for _, s := range []syscall.Signal{
		syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH, syscall.SIGINT,
	} {
		o.signal(s)
		if before, _ := o.wait("got " + command.SignalName(s)); len(before) > 0 {
			t.Errorf("before %v: %q", s, before)
		}
	}
	o.signal(syscall.SIGTERM)
	before, how := o.wait("ended: ")
	if !slices.Equal(before, []string{"got SIGTERM"}) || how != "exit status 0, asked true, well true" {
		t.Errorf("%q %q", before, how)
	}
}

// Who was asked to end has left, however it ended; who was not has died.
func TestAsked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		do   func(o *outside)
		want string
		code int
	}{
		"SIGTERM, and it fails":   {service("5"), func(o *outside) { o.signal(syscall.SIGTERM) }, "exit status 5, asked true, well true", 5},
		"SIGTERM, which kills it": {[]string{"sleep", "1000"}, func(o *outside) { o.signal(syscall.SIGTERM) }, "killed by SIGTERM, asked true, well true", 143},
		"SIGHUP, which kills it":  {[]string{"sleep", "1000"}, func(o *outside) { o.signal(syscall.SIGHUP) }, "killed by SIGHUP, asked true, well true", 129},
		"SIGUSR1, which kills it": {[]string{"sleep", "1000"}, func(o *outside) { o.signal(syscall.SIGUSR1) }, "killed by SIGUSR1, asked true, well true", 138},
		"SIGHUP, then a crash": {service("0"), func(o *outside) {
			o.signal(syscall.SIGHUP)
			o.wait("got SIGHUP")
			syscall.Kill(o.child, syscall.SIGKILL)
		}, "killed by SIGKILL, asked false, well false", 137},
		"SIGTERM to the child alone": {[]string{"sleep", "1000"}, func(o *outside) { syscall.Kill(o.child, syscall.SIGTERM) },
			"killed by SIGTERM, asked false, well false", 143},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := supervisor(t, c.args...)
			if c.args[0] == os.Args[0] {
				o.ready()
			} else {
				_, pid := o.wait("child ")
				fmt.Sscan(pid, &o.child)
			}
			c.do(o)
			if _, how := o.wait("ended: "); how != c.want {
				t.Errorf("%q; want %q", how, c.want)
			}
			o.cmd.Wait()
			if code := o.cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("exit code %d; want %d", code, c.code)
			}
		})
	}
}

// A service manager that signals both has asked the child, even if the child ends first.
func TestSignalToBoth(t *testing.T) {
	t.Parallel()
	for {
		o := supervisor(t, "sleep", "1000")
		_, pid := o.wait("child ")
		fmt.Sscan(pid, &o.child)
		began := time.Now()
		syscall.Kill(o.child, syscall.SIGTERM)
		time.Sleep(lateSignal / 5)
		o.signal(syscall.SIGTERM)
		busy := time.Since(began) > lateSignal/2
		_, how := o.wait("ended: ")
		if want := "killed by SIGTERM, asked true, well true"; how != want {
			if busy {
				continue // this machine: try again
			}
			t.Errorf("%q; want %q", how, want)
		}
		return
	}
}

// A signal that asked long ago does not explain an end.
func TestAskedLongAgo(t *testing.T) {
	now := time.Now()
	crash := Exit{Exit: command.Exit{Code: 1}}
	var a asked
	if a.explains(crash, now) {
		t.Error("nobody asked")
	}
	a.note(syscall.SIGINT, now)
	if !a.explains(crash, now.Add(askedFor)) || a.explains(crash, now.Add(askedFor+1)) {
		t.Error("a SIGINT does not explain an end for as long as it should")
	}
	a.note(syscall.SIGHUP, now.Add(time.Hour))
	if a.explains(crash, now.Add(time.Hour)) {
		t.Error("SIGHUP does not ask for an end")
	}
}

// What was ignored at the start stays ignored, here and in the child.
func TestNohup(t *testing.T) {
	t.Parallel()
	o := launch(t, exec.Command("sh", append([]string{"-c", `trap "" HUP; exec "$@"`, "sh", os.Args[0], "supervise"}, service("0")...)...))
	o.ready()
	o.signal(syscall.SIGHUP)
	syscall.Kill(o.child, syscall.SIGHUP)
	o.signal(syscall.SIGUSR1)
	if before, _ := o.wait("got SIGUSR1"); len(before) > 0 {
		t.Errorf("%q", before)
	}
	o.signal(syscall.SIGTERM)
	o.wait("ended: exit status 0")
}

// Without a terminal the child is out of reach of what is meant for the supervisor's group.
func TestOwnGroup(t *testing.T) {
	t.Parallel()
	o := supervisor(t, service("0")...)
	o.ready()
	syscall.Kill(-o.cmd.Process.Pid, syscall.SIGUSR1) // to the group
	o.wait("got SIGUSR1")
	o.signal(syscall.SIGTERM)
	if before, _ := o.wait("ended: "); !slices.Equal(before, []string{"got SIGTERM"}) {
		t.Errorf("%q", before)
	}
}

// A supervisor that is killed takes the child along.
func TestKilledSupervisor(t *testing.T) {
	t.Parallel()
	if !endsWithParent {
		t.Skip("this system has no way to end a process with its parent")
	}
	o := supervisor(t, service("ignore")...)
	o.ready()
	o.cmd.Process.Kill()
	stuck := time.AfterFunc(10*time.Second, func() {
		t.Error("the child is left behind")
		syscall.Kill(o.child, syscall.SIGKILL)
	})
	defer stuck.Stop()
	for o.lines.Scan() { // its output ends with it
	}
}

// What goes in and out is the child's own, byte for byte.
func TestInAndOut(t *testing.T) {
	t.Parallel()
	data := make([]byte, 4<<20)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	inR, inW, _ := os.Pipe()
	outR, outW, _ := os.Pipe()
	errR, errW, _ := os.Pipe()
	c, err := Start([]string{"sh", "-c", "tee /dev/stderr"}, Options{Stdin: inR, Stdout: outW, Stderr: errW})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*os.File{inR, outW, errW} {
		f.Close()
	}
	go func() { inW.Write(data); inW.Close() }()
	sums := make(chan [32]byte, 2)
	for _, r := range []*os.File{outR, errR} {
		go func() {
			b, _ := io.ReadAll(r)
			r.Close()
			sums <- sha256.Sum256(b)
		}()
	}
	for range 2 {
		if <-sums != sha256.Sum256(data) {
			t.Error("it is not what went in")
		}
	}
	if e := c.Exit(); !e.OK() {
		t.Error(e)
	}
}

func TestCannotStart(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		name, want string
		code       int
	}{
		{"no-such-program", "no such program in PATH", 127},
		{"", "is empty", 127},
		{"a\x00b", "no such program in PATH", 127},
		{filepath.Join(dir, "missing"), "no such file", 127},
		{dir, "cannot start", 126},
		{file("plain", "hello", 0o600), "not executable", 126},
		{file("garbage", "\x00\x01hello", 0o700), "no program for this machine", 126},
		{file("orphan", "#!/no/such/interpreter\n", 0o700), "what it needs to run", 126},
		{file("sub", "x", 0o700) + "/x", "cannot start", 126},
	} {
		_, err := Start([]string{c.name}, Options{})
		e, ok := errors.AsType[*StartError](err)
		if !ok || e.Code != c.code || !strings.Contains(e.Error(), c.want) || !strings.Contains(e.Error(), fmt.Sprintf("%q", c.name)) {
			t.Errorf("%q: %v (%+v); want %q and %d", c.name, err, e, c.want, c.code)
		}
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		"exec sleep 1000": "killed by SIGTERM",
		`trap "exit 4" TERM; echo; while :; do sleep 0.01; done`: "exit status 4",
		`trap "" TERM; echo; while :; do sleep 0.01; done`:       "killed by SIGKILL",
		"true": "exit status 0",
	} {
		r, w, _ := os.Pipe()
		c, err := Start([]string{"sh", "-c", script}, Options{Stdout: w})
		w.Close()
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(script, "echo") {
			r.Read(make([]byte, 1)) // its trap is set
		}
		patience := 10 * time.Second
		if want == "killed by SIGKILL" {
			patience = 100 * time.Millisecond
		}
		if script == "true" {
			<-c.Done()
		}
		e, ended := c.Stop(patience)
		if !ended || e.String() != want || !e.Well() {
			t.Errorf("%s: %v, %+v; want %s", script, e, e, want)
		}
		if again, _ := c.Stop(0); again != e {
			t.Errorf("%v; a second time %v", e, again)
		}
		r.Close()
	}
}

// A child that the kernel cannot end is not waited for: whoever stops it has to end too.
func TestStopOfAChildThatCannotBeKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Child{stop: make(chan os.Signal, 2), done: make(chan struct{})}
		begun := time.Now()
		if exit, ended := c.Stop(10 * time.Second); ended {
			t.Errorf("it ended: %v", exit)
		}
		if took := time.Since(begun); took != 10*time.Second+lastWait {
			t.Errorf("waited for %v", took)
		}
		if asked, killed := <-c.stop, <-c.stop; asked != gentle || killed != os.Kill {
			t.Errorf("it was sent %v and %v", asked, killed)
		}
	})
}
