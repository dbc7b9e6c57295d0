package main

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"math"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/web"
)

// fakeRing knows of two members and has one event, and ends when told to.
type fakeRing struct {
	web.Node // what is not asked for here
	isolated atomic.Bool
	closed   chan struct{} // ends the events
}

func newFakeRing() *fakeRing { return &fakeRing{closed: make(chan struct{})} }

func (f *fakeRing) Events(ctx context.Context) iter.Seq[cluster.Event] {
	return func(yield func(cluster.Event) bool) {
		if !yield(someEvent()) {
			return
		}
		select {
		case <-ctx.Done():
		case <-f.closed:
		}
	}
}

func (f *fakeRing) Isolated() bool            { return f.isolated.Load() }
func (f *fakeRing) Members() []cluster.Member { return []cluster.Member{{Name: "a"}, {Name: "b"}} }
func (f *fakeRing) Self() cluster.Member      { return cluster.Member{Name: "a"} }
func (f *fakeRing) Err() error                { return nil }
func (f *fakeRing) Done() <-chan struct{}     { return f.closed }

var noon = time.Date(2026, 7, 1, 12, 0, 0, 123456789, time.FixedZone("", 7200))

func someEvent() cluster.Event {
	return cluster.Event{
		Kind: cluster.Down,
		Member: cluster.Member{Name: "b", Addr: "10.0.0.2:7946", Boot: math.MaxUint64, Tags: map[string]string{"zone": "a"},
			State: cluster.StateDown},
		At: noon, Phi: 9.123456789, Reason: cluster.ReasonSilent, Folded: 2,
	}
}

// serve starts the interface on a free port; without a ring it is as while joining.
func serve(t *testing.T, r web.Node) (addr string, on *served) {
	t.Helper()
	on, err := serving{http: "127.0.0.1:0"}.start(hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(on.close)
	if r != nil {
		on.web.Joined(r)
	}
	return on.http.String(), on
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// Package web answers, before the node has joined and after, on the port and on the socket.
func TestHTTP(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "control")
	f := newFakeRing()
	where := serving{http: "127.0.0.1:0"}
	if runtime.GOOS != "windows" {
		where.control = socket
	}
	on, err := where.start(hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	defer on.close()
	addr := on.http.String()
	if code, body := get(t, "http://"+addr+"/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "joining") {
		t.Errorf("while joining: %d %q", code, body)
	}
	on.web.Joined(f)
	for path, want := range map[string]int{"/readyz": 200, "/livez": 200, "/": 200, "/v1/members": 200, "/members": 404, "/healthz": 404} {
		if code, body := get(t, "http://"+addr+path); code != want {
			t.Errorf("%s: %d %q; want %d", path, code, body, want)
		}
	}
	var members []memberLine
	if _, body := get(t, "http://"+addr+"/v1/members"); json.Unmarshal([]byte(body), &members) != nil || len(members) != 2 ||
		!members[0].Self || members[1].Self {
		t.Errorf("/v1/members: %s", body)
	}
	if where.control == "" {
		return
	}
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}, DisableKeepAlives: true}}
	for method, want := range map[string]int{http.MethodGet: 200, http.MethodPut: 400} { // and not 403
		req, err := http.NewRequest(method, "http://node/v1/log-level", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s on the control socket: %s; want %d", method, answer.Status, want)
		}
	}
}

func TestHTTPEndsWithTheNode(t *testing.T) {
	f := newFakeRing()
	addr, on := serve(t, f)
	answer, err := http.Get("http://" + addr + "/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	close(f.closed)
	if body, err := io.ReadAll(answer.Body); err != nil || strings.Count(string(body), "event: down") != 1 {
		t.Errorf("%q, %v", body, err)
	}
	on.close()
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("still listens after close")
	}
}

func TestHTTPAddressInUse(t *testing.T) {
	addr, _ := serve(t, nil)
	if _, err := (serving{http: addr}).start(hclog.NewNullLogger()); err == nil || !strings.Contains(err.Error(), "--http") || !strings.Contains(err.Error(), addr) {
		t.Errorf("%v", err)
	}
}

// An address that others reach takes a token or TLS.
func TestHTTPOpenToOthers(t *testing.T) {
	with := func(flags httpFlags) *guard {
		g, err := newGuard(flags)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	files, _ := certFiles(t, t.TempDir())
	secure := parsed(t, append([]string{"node", "--http", "127.0.0.1:1"}, files...)...).cli.Node.httpFlags
	for _, test := range []struct {
		where   serving
		refused bool
	}{
		{serving{http: "127.0.0.1:0"}, false},
		{serving{http: "[::1]:0"}, false},
		{serving{http: "localhost:0"}, false},
		{serving{http: "0.0.0.0:0"}, true},
		{serving{http: ":0"}, true},
		{serving{http: ":0", guard: with(httpFlags{})}, true},
		{serving{http: ":0", guard: with(httpFlags{HTTPTokenFile: tokenFile{"token", someToken}})}, false},
		{serving{http: ":0", guard: with(secure)}, false},
	} {
		on, err := test.where.start(hclog.NewNullLogger())
		if err == nil {
			on.close()
		}
		if err != nil && !test.refused && test.where.http == "[::1]:0" {
			continue // a machine without IPv6
		}
		if (err != nil) != test.refused || err != nil && (!strings.Contains(err.Error(), "--http-token-file") || !strings.Contains(err.Error(), "--http 127.0.0.1:")) {
			t.Errorf("%q: %v", test.where.http, err)
		}
	}
}

func TestMembersCommand(t *testing.T) {
	addr, _ := serve(t, newFakeRing())
	if code, out, stderr := pulsering(t, "members", "--http", addr); code != 0 || !strings.HasPrefix(out, "as a sees them (boot 0, epoch 0)\nMEMBER") ||
		strings.Count(out, "\n") != 4 {
		t.Errorf("%d %q %q", code, out, stderr)
	}
	if code, out, _ := pulsering(t, "members", "--json", "--http", addr); code != 0 || !json.Valid([]byte(out)) {
		t.Errorf("%d %q", code, out)
	}
}

func TestEventsCommand(t *testing.T) {
	f := newFakeRing()
	addr, _ := serve(t, f)
	close(f.closed)
	code, out, stderr := pulsering(t, "events", "--http", addr)
	if code != exitFailed || !strings.Contains(out, "present") || !strings.Contains(stderr, "has ended") {
		t.Errorf("%d %q %q", code, out, stderr)
	}
	if _, out, _ := pulsering(t, "events", "--json", "--http", addr); !json.Valid([]byte(out)) || !strings.Contains(out, "present") {
		t.Errorf("%q", out)
	}
}

func TestNobodyListens(t *testing.T) {
	addrs, err := freeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"members", "events"} {
		code, _, stderr := pulsering(t, command, "--http", addrs[0])
		if code != exitFailed || !strings.Contains(stderr, "nothing listens on "+addrs[0]) || !strings.Contains(stderr, "start a node with --http "+addrs[0]) {
			t.Errorf("%s: %d %q", command, code, stderr)
		}
	}
}

// An address where something else answers is said to be none of ours.
func TestSomethingElseListens(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	other := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>\x1b[2J") })}
	go other.Serve(listener)
	defer other.Close()
	for _, command := range []string{"members", "events"} {
		code, _, stderr := pulsering(t, command, "--http", listener.Addr().String())
		if code != exitFailed || !strings.Contains(stderr, "--http address?") {
			t.Errorf("%s: %d %q", command, code, stderr)
		}
	}
}
