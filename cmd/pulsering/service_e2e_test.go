//go:build e2e && unix

package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// supervised starts a node that starts a service.
func supervised(t *testing.T, all []*member, flags []string, service ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	args := append([]string{"node", "--name", "svc", "--bind", freshAddr(t)}, joining(all)...)
	cmd := exec.Command(binary, append(append(args, flags...), append([]string{"--"}, service...)...)...)
	out := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd, out
}

func endsWith(t *testing.T, cmd *exec.Cmd, code int) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		if got := exitCode(err); got != code {
			t.Errorf("ended with %d (%v), want %d", got, err, code)
		}
	case <-time.After(patient):
		t.Fatal("does not end")
	}
}

// The others learn at once how a service ended; what it prints is its own; signals reach it.
func TestServiceEnds(t *testing.T) {
	all := town(t, []string{"a", "b"})
	for _, tc := range []struct {
		script string
		signal os.Signal
		kind   string
		why    string
		code   int
	}{
		{"echo hello; read x; exit 3", nil, "down", "exit status 3", 3},
		{"echo hello; read x; kill -SEGV $$", nil, "down", "killed by SIGSEGV", 128 + int(syscall.SIGSEGV)},
		{"echo hello; read x; exit 0", nil, "left", "", 0},
		{"trap 'echo bye; exit 7' TERM; echo hello; while :; do sleep 0.05; done", syscall.SIGTERM, "left", "", 7},
	} {
		fromHere(all)
		in, feed, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		args := append([]string{"node", "--name", "svc", "--bind", freshAddr(t)}, joining(all)...)
		cmd := exec.Command(binary, append(args, "--", "sh", "-c", tc.script)...)
		var out, log bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &out, &log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill() })
		for _, m := range all {
			m.expect("up", "svc")
		}
		if tc.signal != nil {
			cmd.Process.Signal(tc.signal)
		} else {
			fmt.Fprintln(feed)
		}
		want := "left"
		if tc.kind == "down" {
			want = "exited"
		}
		for _, m := range all {
			m.expect(tc.kind, "svc", reason(want))
			if tc.why != "" {
				m.logs(tc.why)
			}
		}
		endsWith(t, cmd, tc.code)
		in.Close()
		feed.Close()
		text := out.String()
		if tc.signal != nil {
			text = strings.TrimSuffix(text, "bye\n")
		}
		if text != "hello\n" {
			t.Errorf("standard output is %q", out.String())
		}
		if t.Failed() {
			t.Log(log.String())
		}
	}
	onlyDown(t, all, "svc")
}

// Where the node is killed its service does not go on, since the others take the member for dead.
func TestServiceDoesNotOutliveItsNode(t *testing.T) {
	all := town(t, []string{"a", "b"})
	file := filepath.Join(t.TempDir(), "pid")
	cmd, _ := supervised(t, all, nil, "sh", "-c", "echo $$ > "+file+".new; mv "+file+".new "+file+"; exec sleep 1000")
	all[0].expect("up", "svc")
	var pid int
	eventually(t, "the service runs", func() bool {
		text, err := os.ReadFile(file)
		_, scanned := fmt.Sscan(string(text), &pid)
		return err == nil && scanned == nil
	})
	cmd.Process.Kill()
	cmd.Wait()
	all[0].expect("down", "svc")
	eventually(t, "the service has ended", func() bool { return syscall.Kill(pid, 0) != nil })
}

// A node that is told to leave ends, and its service with it.
func TestServiceOfANodeThatIsToldToLeave(t *testing.T) {
	all := town(t, []string{"a", "b"})
	socket := filepath.Join(t.TempDir(), "s")
	cmd, out := supervised(t, all, []string{"--control", socket}, "sh", "-c", "trap 'echo bye; exit 7' TERM; echo hello; while :; do sleep 0.05; done")
	all[0].expect("up", "svc")
	if code, stdout, stderr := command(t, "leave", "--control", socket); code != 0 || stdout != "svc has left\n" {
		t.Errorf("leave: %d %q %q", code, stdout, stderr)
	}
	for _, m := range all {
		m.expect("left", "svc", reason("left"))
	}
	endsWith(t, cmd, 0)
	if text := out.String(); text != "hello\nbye\n" {
		t.Errorf("standard output is %q", text)
	}
	onlyDown(t, all)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for begun := time.Now(); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > patient {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// A service that fails its check is wedged, and up.
func TestWedged(t *testing.T) {
	var sick atomic.Bool
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if sick.Load() {
			http.Error(w, "no database", http.StatusServiceUnavailable)
		}
	}))
	defer page.Close()
	all := town(t, []string{"a", "b"}, "--check-http", page.URL, "--check-interval", "200ms", "--check-timeout", "150ms")
	all[0].expect("updated", "b", reason("health"))
	fromHere(all)
	sick.Store(true)
	all[0].expect("updated", "b", reason("health"))
	all[1].logs("no database")
	if state := all[0].states()["b"]; state != "up" {
		t.Errorf("b is %s", state)
	}
	fromHere(all)
	sick.Store(false)
	all[0].expect("updated", "b", reason("health"))
	onlyDown(t, all)
}

// The command of --on-event gets each event, and a name that is a command is none.
func TestOnEvent(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "told")
	first := launch(t, "a", freshAddr(t), "--on-event", `printf '%s %s %s\n' "$PULSERING_EVENT_KIND" "$PULSERING_EVENT_MEMBER" "$PULSERING_EVENT_REASON" >> `+file)
	evil := "x;touch$IFS" + dir + "/obeyed;`id`"
	second := launch(t, evil, freshAddr(t), joining([]*member{first})...)
	first.expect("up", evil)
	second.kill()
	first.expect("down", evil)
	eventually(t, "both are told", func() bool {
		text, _ := os.ReadFile(file)
		return strings.Contains(string(text), "up "+evil+" joined\n") && strings.Contains(string(text), "down "+evil+" ")
	})
	if _, err := os.Stat(dir + "/obeyed"); err == nil {
		t.Error("a name was obeyed")
	}
}

// A node that was killed comes back to its cluster without seeds.
func TestStateDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	first := launch(t, "a", freshAddr(t))
	addr := freshAddr(t)
	second := launch(t, "b", addr, append(joining([]*member{first}), "--state-dir", dir)...)
	first.expect("up", "b")
	eventually(t, "a is remembered", func() bool {
		text, _ := os.ReadFile(filepath.Join(dir, "state"))
		return bytes.Contains(text, []byte(first.addr))
	})
	boot := first.boot("b")
	second.kill()
	first.expect("down", "b")
	fromHere([]*member{first})
	third := launch(t, "b", addr, "--state-dir", dir)
	first.expect("up", "b", newer(boot))
	other := launch(t, "c", freshAddr(t), append(joining([]*member{first}), "--state-dir", dir)...)
	other.exits(1, "--state-dir")
	third.expect("up", "a")
}

// Seeds come from a file that names nobody at first, and from a command.
func TestLookups(t *testing.T) {
	first := launch(t, "a", freshAddr(t))
	file := filepath.Join(t.TempDir(), "seeds")
	second := launch(t, "b", freshAddr(t), "--join", "file:"+file)
	second.logs("looking for seeds failed")
	if err := os.WriteFile(file, []byte("# the first\n"+first.addr+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	first.expect("up", "b")
	launch(t, "c", freshAddr(t), "--join", "exec:echo "+first.addr)
	first.expect("up", "c")
}
