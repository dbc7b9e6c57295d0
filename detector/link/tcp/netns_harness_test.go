//go:build e2e && linux

package tcp

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// wire is a cable between two hosts inside this machine, each a network namespace of its own. The
// tests hold the near end; at the far end is a process that can be stopped.
type wire struct {
	t         *testing.T
	near, far string // namespaces
}

const (
	nearIP   = "10.78.0.1"
	farIP    = "10.78.0.2"
	peerAddr = farIP + ":7000"
)

// wires counts them, for names of their own.
var wires atomic.Int64

// newWire lays a cable. All of it is gone with the test, and what runs at its ends, too.
func newWire(t *testing.T) *wire {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skipf("needs network namespaces: %v (Debian package iproute2)", err)
	}
	prefix := fmt.Sprintf("pulsering-tcp-%d-%d-", os.Getpid(), wires.Add(1))
	w := &wire{t, prefix + "near", prefix + "far"}
	reaper := startReaper(t, prefix)
	for _, name := range []string{w.near, w.far} {
		_, err := fmt.Fprintln(reaper, name)
		must(t, err)
		if err := ip("netns", "add", name); err != nil {
			t.Skipf("needs network namespaces, which cannot be made here by user %d: %v", os.Geteuid(), err)
		}
	}
	if err := ip("-netns", w.near, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", w.far); err != nil {
		t.Skipf("needs veth pairs, which cannot be made here by user %d: %v", os.Geteuid(), err)
	}
	for _, end := range []struct{ name, ip string }{{w.near, nearIP}, {w.far, farIP}} {
		must(t, ip("-netns", end.name, "addr", "add", end.ip+"/24", "dev", "eth0"))
		must(t, ip("-netns", end.name, "link", "set", "eth0", "up"))
	}
	return w
}

// startReaper starts a process that removes the namespaces that it is told of, with all that runs
// there, once its input ends. That happens however the test process ends.
func startReaper(t *testing.T, prefix string) io.Writer {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command("sh", "-c", `for name in $(cat); do
		for pid in $(ip netns pids "$name"); do kill -9 "$pid"; done
		ip netns del "$name"
	done`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C at the terminal is not for it
	cmd.Stderr = &said
	names, err := cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		names.Close()
		cmd.Wait() // an error may be about a namespace that could not be made: what counts is what is left
		left, err := exec.Command("ip", "netns", "list").CombinedOutput()
		if err != nil || strings.Contains(string(left), prefix) {
			t.Errorf("namespaces left behind: %v\n%s%s", err, left, &said)
		}
	})
	return names
}

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// cut breaks the path in one of three ways.
func (w *wire) cut(how string) {
	w.t.Helper()
	switch how {
	case "replies": // what the peer sends is lost, silently; what it should hear arrives
		must(w.t, ip("-netns", w.far, "route", "add", "blackhole", nearIP))
	case "cable": // nothing arrives any more
		must(w.t, ip("-netns", w.far, "link", "set", "eth0", "down"))
	case "interface": // sending fails at home
		must(w.t, ip("-netns", w.near, "link", "set", "eth0", "down"))
	default:
		w.t.Fatalf("no way to cut a path: %q", how)
	}
}

// peerEnv tells the test binary to be the peer, and of which kind.
const peerEnv = "PULSERING_TCP_PEER"

func TestMain(m *testing.M) {
	if kind := os.Getenv(peerEnv); kind != "" {
		bePeer(kind)
		return
	}
	flag.Set("test.parallel", "6") // the default here: they are waiting, for the most part
	os.Exit(m.Run())
}

// bePeer serves connections until it is killed.
func bePeer(kind string) {
	listener, err := net.Listen("tcp", peerAddr)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready")
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go serve(conn, kind)
	}
}

func serve(conn net.Conn, kind string) {
	defer conn.Close()
	answer := make([]byte, 1)
	chunk := make([]byte, 64<<10)
	for {
		switch kind {
		case "deaf": // reads nothing at all
			time.Sleep(time.Hour)
		case "slow": // reads some 640 KB a second, and says nothing
			if _, err := conn.Read(chunk); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		default: // answers each byte, and ends at a 'q'
			if _, err := conn.Read(answer); err != nil || answer[0] == 'q' {
				return
			}
			conn.Write(answer)
		}
	}
}

// peer starts a process of a kind at the far end.
func (w *wire) peer(kind string) *exec.Cmd {
	w.t.Helper()
	cmd := exec.Command("ip", "netns", "exec", w.far, os.Args[0])
	cmd.Env = append(os.Environ(), peerEnv+"="+kind)
	out, err := cmd.StdoutPipe()
	must(w.t, err)
	must(w.t, cmd.Start())
	w.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	if said, err := bufio.NewReader(out).ReadString('\n'); said != "ready\n" {
		w.t.Fatalf("the peer says %q, %v", said, err)
	}
	return cmd
}

// dial connects to the peer from the near end. A socket stays in the namespace that it was made in.
func (w *wire) dial() *net.TCPConn {
	w.t.Helper()
	var conn net.Conn
	failed := make(chan error)
	go func() {
		failed <- func() (err error) {
			// The thread returns to its namespace, which matters if it is the main one: the process
			// would count as one that runs at the near end. If it cannot return, it stays locked
			// and ends with the goroutine.
			runtime.LockOSThread()
			home, err := os.Open("/proc/thread-self/ns/net")
			if err != nil {
				return err
			}
			defer home.Close()
			near, err := os.Open("/run/netns/" + w.near)
			if err != nil {
				return err
			}
			defer near.Close()
			if err := unix.Setns(int(near.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			conn, err = net.DialTimeout("tcp", peerAddr, 5*time.Second)
			if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
				return back
			}
			runtime.UnlockOSThread()
			return err
		}()
	}()
	must(w.t, <-failed)
	w.t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
