package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/nat"
	"github.com/pulsering/pulsering/detector/link/ws"
)

// natGate is a gateway with sockets, as the command has them, and a router before each that
// forgets.
type natGate struct {
	tcp, web string // through the router
}

// newNatGate starts a gateway behind a router that forgets after idle, by dropping what comes or
// with a reset.
func newNatGate(t *testing.T, idle time.Duration, resets bool) natGate {
	t.Helper()
	server, err := link.NewServer(link.Config{Interval: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	listener := func() net.Listener {
		l, err := (&net.ListenConfig{KeepAliveConfig: keepAlive}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return limit(l, 1000, func(bool) {})
	}
	streams := listener()
	var serving sync.WaitGroup
	serving.Go(func() { acceptStreams(ctx, streams, server, 0, &serving, hclog.NewNullLogger()) })
	handler := &ws.Handler{Server: server}
	web := httptest.NewUnstartedServer(handler)
	web.Listener.Close()
	web.Listener = listener()
	web.Start()
	t.Cleanup(func() {
		cancel()
		handler.Close()
		web.Close()
		server.Close()
		serving.Wait()
	})
	return natGate{newForgetfulRouter(t, streams.Addr().String(), idle, resets), newForgetfulRouter(t, web.Listener.Addr().String(), idle, resets)}
}

// newForgetfulRouter passes connections on to target, and forgets those on which nothing is said
// for idle.
func newForgetfulRouter(t *testing.T, target string, idle time.Duration, resets bool) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all []net.Conn
	var passing sync.WaitGroup
	pass := func(client, server *net.TCPConn) {
		forgotten := false
		forget := func() {
			mu.Lock()
			defer mu.Unlock()
			if forgotten = true; resets {
				client.SetLinger(0)
				server.SetLinger(0)
				client.Close()
				server.Close()
			}
		}
		timer := time.AfterFunc(idle, forget)
		carry := func(from, to *net.TCPConn) {
			buf := make([]byte, 4096)
			for {
				n, err := from.Read(buf)
				if err != nil {
					from.Close()
					to.Close()
					return
				}
				mu.Lock()
				lost := forgotten
				mu.Unlock()
				if !lost {
					timer.Reset(idle)
					to.Write(buf[:n])
				}
			}
		}
		passing.Go(func() { carry(client, server) })
		passing.Go(func() { carry(server, client) })
	}
	passing.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				client.Close()
				continue
			}
			mu.Lock()
			all = append(all, client, server)
			mu.Unlock()
			pass(client.(*net.TCPConn), server.(*net.TCPConn))
		}
	})
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, c := range all {
			c.Close()
		}
		mu.Unlock()
		passing.Wait()
	})
	return listener.Addr().String()
}

// atHome gives the command a cache of its own.
func atHome(t *testing.T) (file string) {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CACHE_HOME", home)
	t.Setenv("LocalAppData", home)
	file, err := natFile()
	if err != nil || !strings.HasPrefix(file, home) {
		t.Fatal(file, err)
	}
	return file
}

// natRead is a line of --json, as a program reads it.
type natRead struct {
	Time                   time.Time
	Kind, Gateway, Network string
	How                    string
	Held                   float64 `json:"held_s"`
	Forgotten              float64 `json:"forgotten_s"`
	Interval               float64 `json:"interval_s"`
	Complete               bool
}

// The limit of a router that forgets is found over TCP and WebSocket, told, and remembered. A busy
// machine is late, and the path seems to forget earlier: how near the limit is found is tested in
// virtual time.
func TestNatFindsTheLimit(t *testing.T) {
	const idle = 700 * time.Millisecond
	for _, how := range []nat.Outcome{nat.Reset, nat.Silence} {
		file := atHome(t)
		gate := newNatGate(t, idle, how == nat.Reset)
		urls := []string{gate.tcp, "ws://" + gate.web + "/ws"}
		if how == nat.Silence { // which takes long to be sure of
			urls = urls[:1]
		}
		for _, url := range urls {
			code, out, stderr := pulsering(t, "nat", url, "--longest", "1s", "--patience", "1s", "--json")
			if code != 0 || stderr != "" {
				t.Fatalf("exit code %d, %s%s", code, out, stderr)
			}
			var last natRead
			for line := range strings.Lines(out) {
				var l natRead
				if err := json.Unmarshal([]byte(line), &l); err != nil || l.Time.IsZero() || l.Gateway == "" || l.Network != "127.0.0.0/8" {
					t.Errorf("%v: %s", err, line)
				}
				last = l
			}
			r := last
			if last.Kind != "result" || !r.Complete || r.How != how.String() || r.Held <= 0 || r.Held > 0.95 || r.Held >= r.Forgotten ||
				r.Forgotten > 1.1 || r.Interval <= 0 || r.Interval > r.Held/2 {
				t.Errorf("%s: %s", url, out)
			}
			memory, err := nat.OpenMemory(file)
			if err != nil {
				t.Fatal(err)
			}
			server := strings.TrimSuffix(strings.TrimPrefix(url, "ws://"), "/ws")
			here, err := nat.Here(t.Context(), server)
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := memory.Load(here, server, time.Now()); !ok || got.Held.Seconds() > r.Held || got.Held.Seconds() < r.Held-0.002 || got.How != how {
				t.Errorf("remembered %+v, %v", got, ok)
			}
		}
	}
}

// Without a terminal each try is a line, and the end is one sentence. The next run says what is
// remembered.
func TestNatForPeople(t *testing.T) {
	file := atHome(t)
	gate := newNatGate(t, 10*time.Second, false)
	for _, want := range [][]string{
		{"How long may a connection to tcp://" + gate.tcp + " sleep?", "network     127.0.0.0/8", "1 s  still open",
			"A sleep of 1 s held, the longest that was tried: let heartbeats be at most 500 ms apart.", "Remembered for this network in " + file},
		{"remembered  a sleep of 1 s held ("},
	} {
		code, out, stderr := pulsering(t, "nat", "tcp://"+gate.tcp, "--longest", "1s")
		if code != 0 || stderr != "" {
			t.Errorf("exit code %d, %s", code, stderr)
		}
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("no %q in:\n%s", w, out)
			}
		}
		if n := strings.Count(out, "\n"); n > 8 {
			t.Errorf("%d lines:\n%s", n, out)
		}
	}
}

// On a terminal a line a sleep turns from one phase into the next, in place.
func TestNatOnTerminal(t *testing.T) {
	atHome(t)
	gate := newNatGate(t, 600*time.Millisecond, true)
	var out strings.Builder
	code := run(t.Context(), []string{"nat", gate.tcp, "--longest", "1s"}, console{out: &out, err: io.Discard, outTTY: true, outColor: true})
	for _, want := range []string{"\x1b[1A\r\x1b[J", "sleeps, 1 s to go", green.on("still open"), "forgotten (reset) after ", "Remembered"} {
		if code != 0 || !strings.Contains(out.String(), want) {
			t.Errorf("exit code %d, no %q in %q", code, want, out.String())
		}
	}
}

// Ctrl-C ends it at once, and tells what is known.
func TestNatStopped(t *testing.T) {
	file := atHome(t)
	gate := newNatGate(t, time.Minute, false)
	for _, asJSON := range []bool{false, true} {
		ctx, cancel := context.WithCancelCause(t.Context())
		args := []string{"nat", gate.tcp, "--longest", "50s"}
		if asJSON {
			args = append(args, "--json")
		}
		var out, stderr strings.Builder
		timer := time.AfterFunc(500*time.Millisecond, func() { cancel(signalled{syscall.SIGINT}) })
		begin := time.Now()
		code := run(ctx, args, console{out: &out, err: &stderr})
		if d := time.Since(begin); code != 130 || d > 5*time.Second {
			t.Errorf("exit code %d after %v: %s", code, d, &stderr)
		}
		want := "Stopped before anything was known."
		if asJSON {
			want = `"kind":"result"`
		}
		if !strings.Contains(out.String(), want) || asJSON && !strings.Contains(out.String(), `"complete":false`) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
		timer.Stop()
		cancel(nil)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("what was not found is remembered")
	}
}

// A damaged memory is said, and replaced.
func TestNatDamagedMemory(t *testing.T) {
	file := atHome(t)
	gate := newNatGate(t, time.Minute, false)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("{half"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, stderr := pulsering(t, "nat", gate.tcp, "--longest", "1s")
	if code != 0 || !strings.Contains(stderr, file) || !strings.Contains(stderr, "damaged") || !strings.Contains(out, "Remembered") {
		t.Errorf("exit code %d, %s%s", code, out, stderr)
	}
	if code, _, stderr := pulsering(t, "nat", gate.tcp, "--longest", "1s"); code != 0 || stderr != "" {
		t.Errorf("the next time: exit code %d, %s", code, stderr)
	}
}

func TestNatFailures(t *testing.T) {
	atHome(t)
	closed := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	otherAt := other.Listener.Addr().String()
	for _, test := range []struct {
		at   string
		want []string
	}{
		{closed, []string{"nothing listens on " + closed, "pulsering gateway"}},
		{"ws://" + otherAt + "/ws", []string{"404", "is it the address of a pulsering gateway"}},
	} {
		code, _, stderr := pulsering(t, "nat", test.at, "--longest", "1s")
		for _, want := range test.want {
			if code != exitFailed || !strings.Contains(stderr, want) {
				t.Errorf("%s: exit code %d, no %q in %s", test.at, code, want, stderr)
			}
		}
	}
	gate := newNatGate(t, time.Minute, false)
	for lines := range 3 { // are written before the disk is full
		begin, n := time.Now(), 0
		disk := writerFunc(func(b []byte) (int, error) {
			if n++; n > lines {
				return fullDisk{}.Write(b)
			}
			return len(b), nil
		})
		code := run(t.Context(), []string{"nat", gate.tcp, "--json"}, console{out: disk, err: io.Discard})
		if took := time.Since(begin); code != exitFailed || took > 10*time.Second {
			t.Errorf("on a full disk, after %d lines: exit code %d after %v", lines, code, took)
		}
	}
	c := natCmd{}
	if err := parseGatewayAt("gate:1", &kong.Tag{}, &c.Gateway); err != nil {
		t.Fatal(err)
	}
	if err := c.explain(syscall.EPERM); !strings.Contains(err.Error(), "firewall") {
		t.Error(err)
	}
}

func TestNatSentence(t *testing.T) {
	for want, r := range map[string]nat.Result{
		"A sleep of 45 s held, one of 60 s was forgotten (silence): let heartbeats be at most 22 s apart.": {
			Held: 45 * time.Second, Forgotten: time.Minute, How: nat.Silence, Interval: 22 * time.Second, Complete: true},
		"A sleep of 10 min held, the longest that was tried: let heartbeats be at most 5 min apart.": {
			Held: 10 * time.Minute, Interval: 5 * time.Minute, Complete: true},
		"No sleep held, and one of 10 ms was forgotten (reset): there is no heartbeat interval to recommend.": {
			Forgotten: 10 * time.Millisecond, How: nat.Reset, Complete: true},
		"Stopped. So far: a sleep of 90 s held, and none was forgotten: let heartbeats be at most 45 s apart.": {
			Held: 90 * time.Second, Interval: 45 * time.Second},
		"Stopped before anything was known.": {},
	} {
		got := natSentence(r, 10*time.Minute)
		if got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

// The flags have the limits of the library.
func TestNatLimitsAreTheLibrarys(t *testing.T) {
	parser, err := kong.New(&cli{}, new(reader).options()...)
	if err != nil {
		t.Fatal(err)
	}
	command, err := parser.Parse([]string{"nat", "a:1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, flag := range command.Selected().Flags {
		for _, beyond := range []string{flag.Tag.Get("min"), flag.Tag.Get("max")} {
			if beyond == "" {
				continue
			}
			s := nat.Search{Longest: mustDuration(beyond), Patience: mustDuration(beyond), Precision: mustDuration(beyond)}
			field := map[string]string{"longest": "Longest", "precision": "Precision", "patience": "Patience"}[flag.Name]
			if _, err := s.Run(t.Context()); field == "" || err == nil || strings.Contains(err.Error(), "Search."+field) {
				t.Errorf("--%s %s: the library says %v", flag.Name, beyond, err)
			}
		}
	}
	if c := command.Selected(); c.Flags[0].Name == "" || nat.DefaultLongest != 10*time.Minute || nat.DefaultPatience != 7*time.Second {
		t.Error("the defaults differ")
	}
}
