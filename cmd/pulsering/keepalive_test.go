package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/pulsering/pulsering/detector/link/tcp"
)

// server serves each connection by f, in turn; it and f's connections are gone with the test.
func server(t *testing.T, f func(*net.TCPConn)) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			f(conn.(*net.TCPConn))
			conn.Close()
		}
	})
	t.Cleanup(func() {
		listener.Close()
		serving.Wait()
	})
	return listener.Addr().String()
}

// hold serves until the other side closes.
func hold(conn *net.TCPConn) { io.Copy(io.Discard, conn) }

// A connection that ends is a failure, and says how.
func TestKeepaliveEnds(t *testing.T) {
	for _, test := range []struct {
		end   string
		serve func(*net.TCPConn)
		want  string
	}{
		{"clean", func(c *net.TCPConn) { c.Write([]byte("hello\x1b[2J")) }, "closed by the other side"},
		{"reset", func(c *net.TCPConn) {
			time.Sleep(300 * time.Millisecond) // a reset before that cuts the dialing short on a busy machine
			c.SetLinger(0)
		}, "reset"},
	} {
		addr := server(t, test.serve)
		code, out, stderr := pulsering(t, "keepalive", addr)
		if code != exitFailed || !strings.Contains(stderr, "the connection to "+addr+" ended after ") || !strings.Contains(stderr, test.want) {
			t.Errorf("%s: exit code %d, %q", test.end, code, stderr)
		}
		if strings.Contains(out, "hello") {
			t.Errorf("%s: what came is shown:\n%s", test.end, out)
		}
		code, out, _ = pulsering(t, "keepalive", addr, "--json")
		lines := strings.Split(strings.TrimSpace(out), "\n")
		var last struct{ Kind, End, Reason string }
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || code != exitFailed || last.Kind != "ended" ||
			last.End != test.end || !strings.Contains(last.Reason, test.want) {
			t.Errorf("%s: exit code %d, %v:\n%s", test.end, code, err, out)
		}
	}
}

// It ends by itself, and shows what the socket has.
func TestKeepaliveFor(t *testing.T) {
	t.Parallel()
	addr := server(t, hold)
	code, out, stderr := pulsering(t, "keepalive", addr, "--idle", "7s", "--interval", "2s", "--probes", "4", "--for", "1s")
	if code != 0 || stderr != "" {
		t.Errorf("exit code %d, %q", code, stderr)
	}
	wants := []string{addr, "after 7s, then each 2s, ended by 4", "found 15s after", "Stopped after "}
	if runtime.GOOS == "linux" {
		wants = append(wants, "read back", "otherwise", "established, rtt ", "last ack ", "unacked 0", "retransmits 0")
	}
	for _, want := range wants {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if n := strings.Count(out, "\n"); n > 9 {
		t.Errorf("%d lines for a connection on which nothing happens:\n%s", n, out)
	}
}

func TestKeepaliveJSON(t *testing.T) {
	t.Parallel()
	code, out, stderr := pulsering(t, "keepalive", server(t, hold), "--for", "1500ms", "--json")
	if code != 0 || stderr != "" {
		t.Errorf("exit code %d, %q", code, stderr)
	}
	var kinds []string
	for line := range strings.Lines(out) {
		var l struct {
			Time       time.Time
			Kind       string
			FoundAfter float64 `json:"found_after_s"`
			System     float64 `json:"system_found_after_s"`
			ReadBack   bool    `json:"read_back"`
			State      string
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Time.IsZero() {
			t.Errorf("%v: %s", err, line)
		}
		kinds = append(kinds, l.Kind)
		linux := runtime.GOOS == "linux"
		switch {
		case l.Kind == "connected" && (l.FoundAfter != 30 || l.ReadBack != linux || linux && l.System <= 0),
			l.Kind == "info" && l.State != "established":
			t.Error(line)
		}
	}
	want := "info"
	if runtime.GOOS != "linux" {
		want = "no-info"
	}
	// A busy machine may look but once.
	if len(kinds) < 3 || len(kinds) > 4 || kinds[0] != "connected" || kinds[1] != want || kinds[len(kinds)-1] != "stopped" {
		t.Errorf("%v; want connected, %s and stopped", kinds, want)
	}
}

// A signal while it watches is no failure; one while it connects cuts it short.
func TestKeepaliveSignal(t *testing.T) {
	addr := server(t, hold)
	for _, before := range []bool{false, true} {
		ctx, cancel := context.WithCancelCause(t.Context())
		var out, stderr strings.Builder
		var w io.Writer = &out
		want := 0
		if before {
			cancel(signalled{syscall.SIGINT})
			want = 130
		} else {
			w = writerFunc(func(b []byte) (int, error) {
				cancel(signalled{os.Interrupt})
				return out.Write(b)
			})
		}
		if code := run(ctx, []string{"keepalive", addr}, console{out: w, err: &stderr}); code != want {
			t.Errorf("exit code %d, want %d: %s%s", code, want, &out, &stderr)
		}
		cancel(nil)
	}
}

// On a terminal the picture is redrawn in place.
func TestKeepaliveOnTerminal(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs TCP_INFO")
	}
	t.Parallel()
	var out strings.Builder
	code := run(t.Context(), []string{"keepalive", server(t, hold), "--for", "1500ms"},
		console{out: &out, err: io.Discard, outTTY: true, outColor: true})
	if code != 0 || !strings.Contains(out.String(), "\x1b[7A\r\x1b[J") || !strings.Contains(out.String(), green.on("established")) {
		t.Errorf("exit code %d: %q", code, out.String())
	}
}

func TestKeepaliveRefused(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	addr := listener.Addr().String()
	if code, out, stderr := pulsering(t, "keepalive", addr); code != exitFailed || out != "" || !strings.Contains(stderr, addr) {
		t.Errorf("exit code %d, %q, %q", code, out, stderr)
	}
	if code := run(t.Context(), []string{"keepalive", server(t, hold)}, console{out: fullDisk{}, err: io.Discard}); code != exitFailed {
		t.Errorf("on a full disk: exit code %d", code)
	}
}

// The flags have the defaults and the limits of the library.
func TestKeepaliveLimitsAreTheLibrarys(t *testing.T) {
	var c cli
	var flags reader
	parser, err := kong.New(&c, flags.options()...)
	if err != nil {
		t.Fatal(err)
	}
	command, err := parser.Parse([]string{"keepalive", "a:1"})
	if err != nil || flags.wrong != nil {
		t.Fatal(err, flags.wrong)
	}
	want := tcp.KeepAlive{Idle: tcp.DefaultIdle, Interval: tcp.DefaultInterval, Probes: tcp.DefaultProbes}
	if got := c.Keepalive.settings(); got != want {
		t.Errorf("defaults %+v; want %+v", got, want)
	}
	for _, flag := range command.Selected().Flags {
		low, high := flag.Tag.Get("min"), flag.Tag.Get("max")
		var wrong tcp.KeepAlive
		switch flag.Name {
		case "idle":
			wrong.Idle = mustDuration(high) + time.Second
		case "interval":
			wrong.Interval = mustDuration(high) + time.Second
		case "probes":
			wrong.Probes = 128
		default:
			continue
		}
		if err := wrong.Validate(); err == nil || !strings.Contains(err.Error(), low+" to "+high) {
			t.Errorf("--%s: the library says %v; want %s to %s", flag.Name, err, low, high)
		}
	}
}

// A line is written when something happened, not because time passed.
func TestKeepaliveNews(t *testing.T) {
	now := time.Now()
	v := &keepaliveView{lastLook: now, last: tcp.Info{State: "established", LastAckReceived: 5 * time.Second}}
	later := func(change func(*tcp.Info)) tcp.Info {
		i := v.last
		i.LastAckReceived += time.Second
		i.LastDataReceived += time.Second
		i.RTT += time.Millisecond
		change(&i)
		return i
	}
	for name, test := range map[string]struct {
		change func(*tcp.Info)
		want   bool
	}{
		"nothing":        {func(*tcp.Info) {}, false},
		"acknowledged":   {func(i *tcp.Info) { i.LastAckReceived = 200 * time.Millisecond }, true},
		"unanswered":     {func(i *tcp.Info) { i.Probes++ }, true},
		"retransmission": {func(i *tcp.Info) { i.Retransmits++ }, true},
		"state":          {func(i *tcp.Info) { i.State = "close-wait" }, true},
	} {
		if got := v.isNew(later(test.change), now.Add(time.Second)); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
