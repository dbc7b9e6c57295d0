//go:build e2e && linux

package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"golang.org/x/sys/unix"
)

// window is a terminal with a process in it, as its user sees it.
type window struct {
	t                *testing.T
	cmd              *exec.Cmd
	master, terminal *os.File     // the ends of the window and of the process
	before           unix.Termios // how the terminal was set

	mu     sync.Mutex
	screen *vt.Emulator
	raw    bytes.Buffer  // all that was written
	closed chan struct{} // when nothing more will be
}

// open runs the command in a terminal of this size.
func open(t *testing.T, width, height int, env []string, args ...string) *window {
	t.Helper()
	master, terminal := openTerminal(t)
	setSize(t, master, width, height)
	w := &window{t: t, master: master, terminal: terminal, screen: vt.NewEmulator(width, height), closed: make(chan struct{})}
	before, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	must(t, err)
	w.before = *before
	w.cmd = exec.Command(binary, args...)
	w.cmd.Env = append(append(os.Environ(), "TERM=xterm-256color", "NO_COLOR="), env...)
	w.cmd.Stdin, w.cmd.Stdout, w.cmd.Stderr = terminal, terminal, terminal
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	must(t, w.cmd.Start())
	go io.Copy(master, w.screen) // what a terminal answers to questions about itself
	go func() {
		defer close(w.closed)
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			w.mu.Lock()
			w.raw.Write(b[:n])
			w.screen.Write(b[:n])
			w.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		w.cmd.Process.Kill()
		terminal.Close()
		master.Close()
		<-w.closed
		w.screen.InputPipe().(io.Closer).Close() // its Close races with the reading of answers
	})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the window:\n%s", w.text())
		}
	})
	return w
}

func (w *window) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.screen.String()
}

func (w *window) written() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.raw.String()
}

// shows waits until the window shows all texts.
func (w *window) shows(texts ...string) {
	w.t.Helper()
	deadline := time.Now().Add(patient)
	for _, text := range texts {
		for !strings.Contains(w.text(), text) {
			if time.Now().After(deadline) {
				w.t.Fatalf("the window does not show %q:\n%s", text, w.text())
			}
			time.Sleep(20 * time.Millisecond) // a look now and then: a window has no channel to wait on
		}
	}
}

func (w *window) press(keys string) {
	w.t.Helper()
	_, err := io.WriteString(w.master, keys)
	must(w.t, err)
}

func (w *window) resize(width, height int) {
	w.t.Helper()
	w.mu.Lock()
	w.screen.Resize(width, height)
	w.mu.Unlock()
	setSize(w.t, w.master, width, height)
}

func setSize(t *testing.T, terminal *os.File, width, height int) {
	t.Helper()
	must(t, unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(height), Col: uint16(width)}))
}

// ended waits for the end, and checks that the terminal is as it was.
func (w *window) ended(code int) {
	w.t.Helper()
	if got := ends(w.cmd); got != code {
		w.t.Errorf("exit code %d; want %d", got, code)
	}
	now, err := unix.IoctlGetTermios(int(w.master.Fd()), unix.TCGETS)
	must(w.t, err)
	if now.Lflag != w.before.Lflag || now.Iflag != w.before.Iflag || now.Oflag != w.before.Oflag {
		w.t.Errorf("the terminal is set to %+v; it was %+v", now, w.before)
	}
	deadline := time.Now().Add(patient)
	for out := w.written(); strings.LastIndex(out, "\x1b[?1049l") < strings.LastIndex(out, "\x1b[?1049h") ||
		strings.LastIndex(out, "\x1b[?25h") < strings.LastIndex(out, "\x1b[?25l"); out = w.written() {
		if time.Now().After(deadline) {
			w.t.Errorf("the screen before or the cursor did not come back: …%q", out[max(0, len(out)-200):])
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// The life of a live view: members, a death, a lost connection and its return, in windows of many sizes.
func TestTopInTerminal(t *testing.T) {
	all := town(t, []string{"ant", "bee", "cat"})
	ant, bee, cat := all[0], all[1], all[2]
	w := open(t, 80, 24, nil, "top", "--http", ant.http, "--every", "250ms")
	w.shows("as ant sees them  3 members: 3 up", "LAST MINUTE", "q quit", "called down at φ")
	if !strings.Contains(w.written(), "\x1b[?1049h") || !strings.Contains(w.written(), "32m") {
		t.Error("neither a screen of its own nor green")
	}
	cat.kill()
	w.shows("2 up, 1 down", "down       cat")
	w.resize(40, 10)
	w.shows("q quit  ? help")
	w.resize(130, 30)
	w.shows("SINCE", "TAGS")
	w.press("/cat\r")
	w.shows(`1 of 3 with "cat"`)
	w.press("\r")
	w.shows("cat has been down", "What would change it")
	w.press("\x1b")
	w.shows("ADDRESS")
	w.press("?")
	w.shows("Ctrl-C")
	w.press("x\x1b")
	w.shows("sorted by φ; called down")
	ant.kill()
	w.shows("lost connection")
	again := launchBy(t, binary, "ant", ant.addr, ant.http, "--join", bee.addr)
	w.shows("2 up, 1 down", "sorted by φ")
	again.expect("up", "bee")
	w.press("q")
	w.ended(0)
}

// However it ends, the terminal is as it was.
func TestTopEnds(t *testing.T) {
	ant := town(t, []string{"ant"})[0]
	for name, end := range map[string]func(*window){
		"Ctrl-C":  func(w *window) { w.press("\x03") },
		"SIGINT":  func(w *window) { must(t, w.cmd.Process.Signal(syscall.SIGINT)) },
		"SIGTERM": func(w *window) { must(t, w.cmd.Process.Signal(syscall.SIGTERM)) },
	} {
		t.Run(name, func(t *testing.T) {
			heeds(t, syscall.SIGTERM)
			heeds(t, syscall.SIGINT)
			w := open(t, 80, 24, []string{"NO_COLOR=1"}, "top", "--http", ant.http)
			w.shows("as ant sees them  1 member: 1 up")
			for _, colour := range []string{"[31m", "[32m", "[33m", "[36m", "[90m"} {
				if strings.Contains(w.written(), colour) {
					t.Errorf("a colour in spite of NO_COLOR: %q", colour)
				}
			}
			end(w)
			w.ended(0)
		})
	}
}

// A window that is closed takes it along.
func TestTopWindowCloses(t *testing.T) {
	heeds(t, syscall.SIGHUP)
	ant := town(t, []string{"ant"})[0]
	w := open(t, 80, 24, nil, "top", "--http", ant.http)
	w.shows("as ant sees them")
	w.terminal.Close()
	w.master.Close()
	if code := ends(w.cmd); code < 0 {
		t.Error("it goes on")
	}
}

// Where nobody listens it says so on the terminal as it is.
func TestTopOfNobody(t *testing.T) {
	w := open(t, 80, 24, nil, "top", "--http", freshAddr(t))
	w.shows("nothing listens on")
	w.ended(exitFailed)
	if strings.Contains(w.written(), "\x1b[?1049h") {
		t.Error("it has opened a screen for that")
	}
}

// Watched members are drawn anew in the same place.
func TestWatchInWindow(t *testing.T) {
	all := town(t, []string{"ant", "bee", "cat"})
	w := open(t, 100, 12, nil, "members", "--watch", "--http", all[0].http)
	w.shows("cat     up")
	all[2].kill()
	w.shows("cat     down")
	if n := strings.Count(w.text(), "MEMBER"); n != 1 {
		t.Errorf("%d tables are shown", n)
	}
	w.press("\x03")
	w.ended(0)
}
