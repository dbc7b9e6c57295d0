package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/cluster"
)

// fakeRing has one event, and ends when told to.
type fakeRing struct {
	err       error
	isolated  atomic.Bool
	closed    chan struct{} // ends the events
	abandoned chan struct{} // gets a value when a subscriber's context has ended
}

func newFakeRing() *fakeRing {
	return &fakeRing{closed: make(chan struct{}), abandoned: make(chan struct{}, 1)}
}

func (f *fakeRing) Events(ctx context.Context) iter.Seq[cluster.Event] {
	return func(yield func(cluster.Event) bool) {
		if !yield(someEvent()) {
			return
		}
		select {
		case <-ctx.Done():
			f.abandoned <- struct{}{}
		case <-f.closed:
		}
	}
}

func (f *fakeRing) Isolated() bool            { return f.isolated.Load() }
func (f *fakeRing) Members() []cluster.Member { return []cluster.Member{{Name: "a"}, {Name: "b"}} }
func (f *fakeRing) Self() cluster.Member      { return cluster.Member{Name: "a"} }
func (f *fakeRing) Err() error                { return f.err }
func (f *fakeRing) Stats() cluster.Stats {
	return cluster.Stats{Dropped: map[string]uint64{"malformed": 3}}
}

// serve starts the interface on a free port; without a ring it is as while joining.
func serve(t *testing.T, r ring) (addr string, a *api) {
	t.Helper()
	a, err := listenAPI(httpFlags{HTTP: "127.0.0.1:0"}, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.close)
	if r != nil {
		a.joined(r)
	}
	return a.listener.Addr().String(), a
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

func TestHTTP(t *testing.T) {
	f := newFakeRing()
	addr, a := serve(t, nil)
	if code, body := get(t, "http://"+addr+"/healthz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "joining") {
		t.Errorf("while joining: %d %q", code, body)
	}
	a.joined(f)
	if code, body := get(t, "http://"+addr+"/healthz"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("/healthz: %d %q", code, body)
	}
	var members []memberLine
	if _, body := get(t, "http://"+addr+"/members"); json.Unmarshal([]byte(body), &members) != nil || len(members) != 2 ||
		!members[0].Self || members[1].Self {
		t.Errorf("/members: %s", body)
	}
	f.isolated.Store(true)
	if code, body := get(t, "http://"+addr+"/healthz"); code != http.StatusOK || !strings.HasPrefix(body, "isolated") {
		t.Errorf("/healthz of an isolated node: %d %q", code, body)
	}
	if _, body := get(t, "http://"+addr+"/members"); strings.Count(body, `"isolated":true`) != 1 || !strings.Contains(body, `"self":true,"isolated":true`) {
		t.Errorf("/members of an isolated node: %s", body)
	}
	if _, body := get(t, "http://"+addr+"/stats"); body != `{"sent":{},"received":{},"dropped":{"malformed":3}}`+"\n" {
		t.Errorf("/stats: %s", body)
	}
	if code, _ := get(t, "http://"+addr+"/"); code != http.StatusNotFound {
		t.Errorf("/: %d", code)
	}
	answer, err := http.Post("http://"+addr+"/members", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", answer.StatusCode)
	}
	f.err = errors.New("taken over")
	if code, body := get(t, "http://"+addr+"/healthz"); code != http.StatusServiceUnavailable || !strings.Contains(body, "taken over") {
		t.Errorf("/healthz of an ended node: %d %q", code, body)
	}
}

func TestHTTPEventsEndWithTheClient(t *testing.T) {
	f := newFakeRing()
	addr, _ := serve(t, f)
	answer, err := http.Get("http://" + addr + "/events")
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(answer.Body).ReadString('\n')
	if err != nil || !strings.Contains(line, `"kind":"down"`) {
		t.Errorf("%q, %v", line, err)
	}
	answer.Body.Close()
	<-f.abandoned
}

func TestHTTPEventsEndWithTheNode(t *testing.T) {
	f := newFakeRing()
	addr, a := serve(t, f)
	answer, err := http.Get("http://" + addr + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	close(f.closed)
	if body, err := io.ReadAll(answer.Body); err != nil || strings.Count(string(body), "\n") != 1 {
		t.Errorf("%q, %v", body, err)
	}
	a.close()
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("still listens after close")
	}
}

func TestHTTPAddressInUse(t *testing.T) {
	addr, _ := serve(t, nil)
	if _, err := listenAPI(httpFlags{HTTP: address(addr)}, hclog.NewNullLogger()); err == nil || !strings.Contains(err.Error(), "--http") || !strings.Contains(err.Error(), addr) {
		t.Errorf("%v", err)
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
	if code != exitFailed || !strings.Contains(out, "silent") || !strings.Contains(stderr, "has ended") {
		t.Errorf("%d %q %q", code, out, stderr)
	}
	if _, out, _ := pulsering(t, "events", "--json", "--http", addr); !json.Valid([]byte(out)) || !strings.Contains(out, "silent") {
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
	other := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") })}
	go other.Serve(listener)
	defer other.Close()
	for _, command := range []string{"members", "events"} {
		code, _, stderr := pulsering(t, command, "--http", listener.Addr().String())
		if code != exitFailed || !strings.Contains(stderr, "--http address?") {
			t.Errorf("%s: %d %q", command, code, stderr)
		}
	}
}
