//go:build unix

package discovery

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestCommand(t *testing.T) {
	wantAddrs(t, parse(t, "exec:echo 10.0.0.1 10.0.0.2:7000"), "10.0.0.1:7946", "10.0.0.2:7000")
	wantAddrs(t, parse(t, "exec:printf '%s\n' a '# none' b"), "a:7946", "b:7946")
	wantAddrs(t, parse(t, "exec:true"))
	wantAddrs(t, parse(t, "exec:cat")) // its input is empty
	addrs, err := parse(t, "exec:echo a $HOME").Discover(t.Context())
	wantError(t, err, `"$HOME"`) // no shell has read it
	if len(addrs) != 1 {
		t.Errorf("got %q", addrs)
	}
}

func TestCommandThatFails(t *testing.T) {
	for _, c := range []struct {
		line  string
		tells []string
	}{
		{`sh -c 'echo a; echo "no \033[31mtoken" >&2; exit 3'`, []string{"exit status 3", `it said "no \x1b[31mtoken"`}},
		{`sh -c 'kill -9 $$'`, []string{"killed by SIGKILL"}},
		{`sh -c 'yes noise | head -c 100000 >&2; echo last >&2; exit 1'`, []string{"exit status 1", `last"`}},
		{"/", []string{"exec:/"}},
		{"/etc/passwd", []string{"permission denied"}},
	} {
		addrs, err := parse(t, "exec:"+c.line).Discover(t.Context())
		wantError(t, err, c.tells...)
		if len(addrs) != 0 {
			t.Errorf("%s: got %q of a program that failed", c.line, addrs)
		}
		if err != nil && len(err.Error()) > 2*maxSaid {
			t.Errorf("%s: an error of %d bytes", c.line, len(err.Error()))
		}
	}
	addrs, err := parse(t, "exec:echo a b:x").Discover(t.Context())
	wantError(t, err, `"b:x"`)
	if len(addrs) != 1 {
		t.Errorf("got %q, want the one that is right", addrs)
	}
}

// gone tells whether the process that wrote its number to a file ends soon.
func gone(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 1 {
		t.Fatalf("%q, %v", b, err)
	}
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) || zombie(pid) {
			return
		}
		if time.Since(began) > 5*time.Second {
			syscall.Kill(pid, syscall.SIGKILL)
			t.Fatalf("process %d still runs", pid)
		}
	}
}

// zombie tells of a process that has ended, and whose new parent does not look after it.
func zombie(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(b), ") Z ")
}

func TestCommandThatHangs(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	// The child is what a kill of the program alone would leave.
	c := parse(t, "exec:sh -c 'echo hm >&2; sleep 60 & echo $! >"+pid+"; wait'").(*textSource)
	c.limit = 300 * time.Millisecond
	within(t, func() {
		_, err := c.Discover(t.Context())
		wantError(t, err, "longer than 300ms", `"hm"`)
	})
	gone(t, pid)

	t.Log("who asked does not wait any more")
	ctx, cancel := context.WithCancel(t.Context())
	c.limit = limit
	time.AfterFunc(300*time.Millisecond, cancel)
	within(t, func() {
		if _, err := c.Discover(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	gone(t, pid)
}

func TestCommandThatFloods(t *testing.T) {
	within(t, func() {
		addrs, err := parse(t, "exec:yes 10.0.0.1").Discover(t.Context())
		wantError(t, err, "more than 262144 bytes")
		if len(addrs) != 0 {
			t.Errorf("got %q", addrs)
		}
	})
	t.Log("and ends well")
	_, err := parse(t, "exec:head -c 300000 /dev/zero").Discover(t.Context())
	wantError(t, err, "more than 262144 bytes")
	t.Log("to its standard error, which is read slowly")
	s := parse(t, "exec:sh -c 'yes >&2'").(*textSource)
	s.limit = 300 * time.Millisecond
	within(t, func() {
		_, err := s.Discover(t.Context())
		wantError(t, err, "longer than 300ms", `it said "y\ny\n`)
		if n := len(err.Error()); n > 2*maxSaid {
			t.Errorf("an error of %d bytes", n)
		}
	})
}

// TestCommandIsAskedFirst: so that it may tidy up.
func TestCommandIsAskedFirst(t *testing.T) {
	s := parse(t, `exec:sh -c 'trap "echo tidy >&2; exit 1" TERM; sleep 60 & wait'`).(*textSource)
	s.limit = 300 * time.Millisecond
	_, err := s.Discover(t.Context())
	wantError(t, err, "longer than 300ms", `it said "tidy"`)
}

// TestCommandThatDoesNotEnd: it is killed, with those that it began.
func TestCommandThatDoesNotEnd(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	child := `sh -c "echo \$\$ >` + pid + `; sleep 60; sleep 60"`
	s := parse(t, `exec:sh -c 'trap "" TERM; `+child+`; sleep 60'`).(*textSource)
	s.limit = 300 * time.Millisecond
	within(t, func() {
		_, err := s.Discover(t.Context())
		wantError(t, err, "longer than 300ms")
	})
	gone(t, pid)
}

// TestParentIsKilled: a node that is killed leaves no program behind.
func TestParentIsKilled(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "freebsd" {
		t.Skip("this system has no way to end a process with its parent")
	}
	pid := filepath.Join(t.TempDir(), "pid")
	node := again(t, "ask", "exec:sh -c 'echo $$ >"+pid+"; exec sleep 60'")
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if b, _ := os.ReadFile(pid); strings.HasSuffix(string(b), "\n") {
			break
		}
		if time.Since(began) > 20*time.Second {
			t.Fatal("the program does not run")
		}
	}
	node.Process.Kill()
	node.Wait()
	gone(t, pid)
}

// TestCommandThatLeavesAChild: it keeps the output open, but what the program printed is all there.
func TestCommandThatLeavesAChild(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	within(t, func() {
		wantAddrs(t, parse(t, "exec:sh -c 'sleep 60 & echo $! >"+pid+"; echo a'"), "a:7946")
	})
	gone(t, pid)
}
