package supervise

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const endsWithParent = true

// terminal is a pseudo-terminal: what a person at it types and sees.
type terminal struct {
	*os.File
	mu   sync.Mutex
	seen bytes.Buffer
	over chan struct{}
}

// atTerminal runs cmd as what a person has started at a terminal.
func atTerminal(t *testing.T, cmd *exec.Cmd) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here:", err)
	}
	raw, _ := master.SyscallConn()
	var name string
	raw.Control(func(fd uintptr) {
		unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0)
		n, _ := unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		name = fmt.Sprintf("/dev/pts/%d", n)
	})
	slave, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here:", err)
	}
	cmd.Env = append(os.Environ(), roleEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	term := &terminal{File: master, over: make(chan struct{})}
	go func() {
		defer close(term.over)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			term.mu.Lock()
			term.seen.Write(buf[:n])
			term.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		killSession(cmd.Process.Pid)
		cmd.Wait()
		master.Close()
		<-term.over
		if t.Failed() {
			t.Logf("the terminal shows:\n%s", term.text())
		}
	})
	return term
}

// killSession kills all that a terminal's first process has started, jobs of a shell too.
func killSession(leader int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		b, _ := os.ReadFile(path)
		number, rest, _ := strings.Cut(string(b), " ")
		fields := strings.Fields(rest[strings.LastIndexByte(rest, ')')+1:]) // state, parent, group, session
		if pid, err := strconv.Atoi(number); err == nil && len(fields) > 3 && fields[3] == strconv.Itoa(leader) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func (term *terminal) text() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.seen.String()
}

func (term *terminal) wait(t *testing.T, want string) { t.Helper(); term.waitN(t, want, 1) }

// waitN waits until the terminal shows want so many times.
func (term *terminal) waitN(t *testing.T, want string, times int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); strings.Count(term.text(), want) < times; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the terminal does not show %q %d times", want, times)
		}
	}
}

// At a terminal a Ctrl-C reaches the child once, and the child may read what is typed.
func TestTerminal(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0], append([]string{"supervise"}, service("3")...)...)
	term := atTerminal(t, cmd)
	term.wait(t, "ready")
	fmt.Fprintln(term, "hello")
	term.wait(t, "read hello")
	for n := 1; n <= 5; n++ {
		term.Write([]byte{3}) // Ctrl-C
		term.waitN(t, "got SIGINT", n)
		cmd.Process.Signal(syscall.SIGUSR1) // passed on after whatever came before
		term.waitN(t, "got SIGUSR1", n)
		if got := strings.Count(term.text(), "got SIGINT"); got != n {
			t.Fatalf("%d Ctrl-C reached the child as %d", n, got)
		}
	}
	cmd.Process.Signal(syscall.SIGTERM)
	term.wait(t, "ended: exit status 3, asked true, well true")
	if strings.Contains(term.text(), "passed on: signal=SIGINT") {
		t.Error("a SIGINT was passed on")
	}
}

// A Ctrl-C that kills the child has asked it to end, whoever of the two sees it first.
func TestTerminalKills(t *testing.T) {
	t.Parallel()
	for range 5 {
		cmd := exec.Command(os.Args[0], "supervise", "sh", "-c", "echo ready; exec sleep 1000")
		term := atTerminal(t, cmd)
		term.wait(t, "ready")
		time.Sleep(20 * time.Millisecond)
		term.Write([]byte{3})
		term.wait(t, "ended: killed by SIGINT, asked true, well true")
	}
}

// A shell's Ctrl-Z and fg hold both.
func TestTerminalStops(t *testing.T) {
	t.Parallel()
	// The shell has job control (-m), sees that its job was stopped, and brings it back.
	cmd := exec.Command("sh", append([]string{"-mc", `"$@"; echo "stopped $?"; fg >/dev/null; echo "back $?"`, "sh", os.Args[0], "supervise"}, service("0")...)...)
	term := atTerminal(t, cmd)
	term.wait(t, "ready")
	term.Write([]byte{26}) // Ctrl-Z
	term.wait(t, "stopped 148")
	fmt.Fprintln(term, "hello")
	term.wait(t, "read hello")
	var pid int
	_, rest, _ := strings.Cut(term.text(), "child ")
	fmt.Sscan(rest, &pid)
	syscall.Kill(pid, syscall.SIGTERM)
	term.wait(t, "back 0")
}

// A job in the background of a terminal is not reached by its Ctrl-C, but by what is sent to it.
func TestBackground(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("sh", append([]string{"-mc", `trap "" INT; "$@" </dev/null & echo "job $!"; wait; wait`, "sh", "env", "--default-signal=INT", os.Args[0], "supervise"}, service("0")...)...)
	term := atTerminal(t, cmd)
	term.wait(t, "ready")
	term.wait(t, "child ")
	var pid int
	_, rest, _ := strings.Cut(term.text(), "job ")
	fmt.Sscan(rest, &pid)
	term.Write([]byte{3})
	term.wait(t, "^C") // it throws away what is on its way to the terminal
	syscall.Kill(pid, syscall.SIGUSR1)
	term.wait(t, "got SIGUSR1")
	if strings.Contains(term.text(), "got SIGINT") {
		t.Error("the terminal's Ctrl-C reached a job in the background")
	}
	syscall.Kill(pid, syscall.SIGINT)
	term.wait(t, "got SIGINT")
	syscall.Kill(pid, syscall.SIGTERM)
	term.wait(t, "ended: exit status 0, asked true, well true")
}
