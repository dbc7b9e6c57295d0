//go:build unix

package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// helperEnv names the role that this binary plays where a test started it.
const helperEnv = "COMMAND_TEST_ROLE"

var helpers = map[string]func(){
	"run": func() { Command{Line: os.Getenv("LINE")}.Run(context.Background()) },
}

func TestMain(m *testing.M) {
	if role, ok := os.LookupEnv(helperEnv); ok {
		helpers[role]()
		return
	}
	goleak.VerifyTestMain(m)
}

// helper is this binary in another role.
func helper(t *testing.T, role string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), append(env, helperEnv+"="+role)...)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	return cmd
}

// told runs c and returns what it printed.
func told(t *testing.T, c Command) ([]string, error) {
	t.Helper()
	var got []string
	c.Output = func(line string) { got = append(got, line) }
	err := c.Run(t.Context())
	return got, err
}

func TestRun(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"true":                       "",
		"exit 3":                     "exit status 3",
		"no-such-thing":              "exit status 127",
		"/etc/passwd":                "exit status 126",
		"kill -TERM $$":              "killed by SIGTERM",
		"ulimit -c 0; kill -SEGV $$": "killed by SIGSEGV",
	} {
		_, err := told(t, Command{Line: line})
		got := ""
		if err != nil {
			got = err.Error()
			if _, ok := errors.AsType[ExitError](err); !ok {
				t.Errorf("%s: %T is no ExitError", line, err)
			}
		}
		if got != want {
			t.Errorf("%s: %q; want %q", line, got, want)
		}
	}
	e, _ := errors.AsType[ExitError](Command{Line: "kill -TERM $$"}.Run(t.Context()))
	if want := (Exit{Code: 143, Signal: syscall.SIGTERM}); e.Exit != want || e.OK() {
		t.Errorf("%#v; want %#v", e, want)
	}
}

func TestExitText(t *testing.T) {
	for want, e := range map[string]Exit{
		"exit status 0":                   {},
		"exit status 0xc0000005":          {Code: 0xc0000005},
		"killed by SIGSEGV (core dumped)": {Code: 139, Signal: syscall.SIGSEGV, Core: true},
		"killed by signal 40":             {Code: 168, Signal: syscall.Signal(40)},
	} {
		if e.String() != want {
			t.Errorf("%q; want %q", e, want)
		}
	}
}

// What a command is given reaches it byte for byte, and the shell does not read it.
func TestDataIsNotObeyed(t *testing.T) {
	t.Parallel()
	nasty := "$(touch pwned)`touch pwned`'\"; touch pwned\n\x1b[2J -rf *"
	dir := t.TempDir()
	got, err := told(t, Command{
		Line:  `cd "$DIR" && printf %s "$NASTY" > env && cat > stdin`,
		Env:   []string{"DIR=" + dir, "NASTY=" + nasty},
		Stdin: []byte(nasty),
	})
	if err != nil || len(got) > 0 {
		t.Fatal(got, err)
	}
	for _, name := range []string{"env", "stdin"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != nasty {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 2 {
		t.Errorf("the data was obeyed: %v", files)
	}
}

// A command that does not read its input is not waited for, and gets no error of it.
func TestUnreadInput(t *testing.T) {
	t.Parallel()
	if _, err := told(t, Command{Line: "true", Stdin: make([]byte, 1<<20)}); err != nil {
		t.Error(err)
	}
}

// No shell reads the arguments of a program.
func TestProgram(t *testing.T) {
	t.Parallel()
	want := []string{"$HOME", "a  b", "; exit 1"}
	got, err := told(t, Command{Args: append([]string{"printf", `%s\n`}, want...), Line: "exit 2"})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	_, err = told(t, Command{Args: []string{"no-such-thing"}})
	if !errors.Is(err, exec.ErrNotFound) || !strings.Contains(err.Error(), "run no-such-thing") {
		t.Error(err)
	}
}

// failing is a writer that takes nothing.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("full") }

// Who takes the standard output gets it as it is, at any speed, and may have enough of it.
func TestStdout(t *testing.T) {
	t.Parallel()
	const much = freeOutput + 8*outputRate
	var out strings.Builder
	began := time.Now()
	line := fmt.Sprintf("head -c %d /dev/zero; echo said >&2", much)
	got, err := told(t, Command{Line: line, Stdout: &out})
	if took := time.Since(began); took > 4*time.Second || out.Len() != much {
		t.Errorf("%d bytes after %v", out.Len(), took)
	}
	if err != nil || !slices.Equal(got, []string{"said"}) {
		t.Errorf("%q, %v", got, err)
	}
	_, err = told(t, Command{Line: "exec yes", Stdout: failing{}, Limit: time.Minute})
	if err == nil || err.Error() != "killed by SIGPIPE" {
		t.Error(err)
	}
}

func TestNoShell(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := told(t, Command{Line: "true"})
	if !errors.Is(err, exec.ErrNotFound) || !strings.Contains(err.Error(), "sh") {
		t.Error(err)
	}
}

// held is a FIFO that a command's processes hold open: gone waits until none of them is left.
func held(t *testing.T) (path string, gone func(within time.Duration) error) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "held")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return path, func(within time.Duration) error {
		f.SetReadDeadline(time.Now().Add(within))
		_, err := io.Copy(io.Discard, f)
		return err
	}
}

// Whatever a command does, it and its children are gone soon after its time is over.
func TestTimeIsOver(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"hangs":                    `echo here >&3; sleep 1000; true`,
		"ignores SIGTERM":          `trap "" TERM; echo here >&3; while :; do sleep 1000; done`,
		"its child ignores it too": `(trap "" TERM; sleep 1000 3>&3; true) & echo here >&3; wait`,
		"is stopped":               `echo here >&3; kill -STOP $$; true`,
		"floods":                   `echo here >&3; yes`,
		"ends well when asked":     `trap "exit 0" TERM; echo here >&3; sleep 1000 & wait`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, gone := held(t)
			began := time.Now()
			_, err := told(t, Command{
				Line:  `exec 3>"$HELD"; ` + script,
				Env:   []string{"HELD=" + path},
				Limit: 500 * time.Millisecond,
				Grace: 200 * time.Millisecond,
			})
			took := time.Since(began)
			if err == nil || err.Error() != "still ran after 500ms: stopped" {
				t.Errorf("error %v", err)
			}
			if took < 500*time.Millisecond || took > 3*time.Second {
				t.Errorf("it took %v", took)
			}
			if err := gone(3 * time.Second); err != nil {
				t.Errorf("somebody is left: %v", err)
			}
		})
	}
}

// SIGTERM comes first, so that a command may tidy up.
func TestAskedFirst(t *testing.T) {
	t.Parallel()
	got, err := told(t, Command{Line: `trap "echo tidy; exit 1" TERM; sleep 1000 & wait`, Limit: 300 * time.Millisecond})
	if err == nil || !slices.Equal(got, []string{"tidy"}) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestContextEnds(t *testing.T) {
	t.Parallel()
	closing := errors.New("closing")
	ctx, cancel := context.WithCancelCause(t.Context())
	started := Command{Line: "echo; sleep 1000", Limit: time.Hour, Output: func(string) { cancel(closing) }}
	if err := started.Run(ctx); !errors.Is(err, closing) {
		t.Error(err)
	}
	if err := started.Run(ctx); !errors.Is(err, closing) {
		t.Error("not started:", err)
	}
}

// A grandchild that keeps the pipe open holds nobody up, and ends with the command; the command
// itself did well.
func TestLeftBehind(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"holds the pipe": `sleep 1000 &`,
		"is silent":      `sleep 1000 >/dev/null 2>&1 &`,
		"ignores all":    `(trap "" TERM HUP INT; sleep 1000; true) &`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, gone := held(t)
			began := time.Now()
			_, err := told(t, Command{
				Line:  `exec 3>"$HELD"; ` + script,
				Env:   []string{"HELD=" + path},
				Limit: time.Hour,
				Grace: 200 * time.Millisecond,
			})
			if err != nil || time.Since(began) > 3*time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
			if err := gone(3 * time.Second); err != nil {
				t.Errorf("somebody is left: %v", err)
			}
		})
	}
}

// A flood is read slowly: it costs this process little, and the command waits.
func TestFloodIsSlow(t *testing.T) {
	t.Parallel()
	var lines int
	err := Command{
		Line:   "yes",
		Limit:  time.Second,
		Grace:  time.Second,
		Output: func(string) { lines++ },
	}.Run(t.Context())
	const most = freeOutput + 2*outputRate // two seconds at most, if not on a stuck machine
	if err == nil || 2*lines > most || 2*lines < freeOutput {
		t.Errorf("%d bytes, want at most %d; error %v", 2*lines, most, err)
	}
}

// A parent that is killed takes its command along.
func TestParentIsKilled(t *testing.T) {
	t.Parallel()
	if !endsWithParent {
		t.Skip("this system has no way to end a process with its parent")
	}
	path, gone := held(t)
	parent := helper(t, "run", "HELD="+path, "LINE=exec 3>$HELD; echo here >&3; exec sleep 1000")
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the command to run", func() bool {
		f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return false
		}
		defer f.Close()
		n, _ := unix.Poll([]unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}, 0)
		return n == 1
	})
	parent.Process.Kill()
	parent.Wait()
	if err := gone(5 * time.Second); err != nil {
		t.Errorf("the command is left behind: %v", err)
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain for", what)
		}
	}
}

func ExampleCommand_Run() {
	greet := Command{
		Line:   `echo "hello, $WHO"`,
		Env:    []string{"WHO=$(reboot)"}, // data is never obeyed
		Limit:  10 * time.Second,
		Output: func(line string) { fmt.Printf("%q\n", line) },
	}
	fmt.Println(greet.Run(context.Background()))
	// Output:
	// "hello, $(reboot)"
	// <nil>
}
