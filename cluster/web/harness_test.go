package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/internal/mailbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const goodToken = "0123456789abcdef"

// fakeNode is a node of which a test says what it knows.
type fakeNode struct {
	hub  *mailbox.Hub[string, cluster.Event]
	done chan struct{}

	mu       sync.Mutex
	self     cluster.Member
	others   map[string]cluster.Member
	isolated bool
	err      error
	reads    int // how often all members were read

	orderErr error // what changes answer
	answers  []cluster.Answer
	did      []string
}

func newFake(names ...string) *fakeNode {
	f := &fakeNode{
		hub: mailbox.NewHub[string](func(pending []cluster.Event, e cluster.Event) []cluster.Event {
			return append(pending, e)
		}),
		done: make(chan struct{}), self: member("self"), others: map[string]cluster.Member{},
	}
	for _, name := range names {
		f.others[name] = member(name)
	}
	return f
}

func member(name string) cluster.Member {
	return cluster.Member{
		Name: name, Addr: "10.0.0.1:7946", Boot: 1 << 60, State: cluster.StateUp, Since: time.Now(),
		Observed: name != "self", Phi: 0.25, LastHeard: time.Now(), RTT: time.Millisecond, Tags: map[string]string{"zone": name[:1]},
	}
}

// tell changes a member and publishes the event about it.
func (f *fakeNode) tell(kind cluster.Kind, name string, change ...func(*cluster.Member)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.self
	switch kind {
	case cluster.Isolated, cluster.Connected:
		f.isolated = kind == cluster.Isolated
	case cluster.Accused:
	default:
		if _, ok := f.others[name]; !ok {
			f.others[name] = member(name)
		}
		m = f.others[name]
		m.State = map[cluster.Kind]cluster.State{cluster.Up: cluster.StateUp, cluster.Suspect: cluster.StateSuspect,
			cluster.Down: cluster.StateDown, cluster.Left: cluster.StateLeft, cluster.Updated: m.State}[kind]
		for _, c := range change {
			c(&m)
		}
		f.others[name] = m
	}
	f.hub.Publish(m.Name, cluster.Event{Kind: kind, Member: m, At: time.Now(), Reason: cluster.ReasonSilent})
}

func (f *fakeNode) forget(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.others, name)
}

func (f *fakeNode) close() {
	f.mu.Lock()
	f.err = cluster.ErrClosed
	f.mu.Unlock()
	f.hub.Close()
	close(f.done)
}

func (f *fakeNode) Self() cluster.Member {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.self
}

func (f *fakeNode) Member(name string) (cluster.Member, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if name == f.self.Name {
		return f.self, true
	}
	m, ok := f.others[name]
	return m, ok
}

func (f *fakeNode) Members() []cluster.Member {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	all := []cluster.Member{f.self}
	for _, m := range f.others {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b cluster.Member) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (f *fakeNode) Explain(name string) (cluster.Explanation, bool) {
	m, ok := f.Member(name)
	return cluster.Explanation{Member: m, Threshold: 8.5, Path: &cluster.Path{Interval: time.Second},
		Inquiry: &cluster.Inquiry{Doubts: []cluster.Doubt{{By: "self", Phi: 3}}},
		Verdict: &cluster.Verdict{Phi: 9, Threshold: 8, By: []string{"self"}, Exit: "signal: killed"}}, ok
}

func (f *fakeNode) Events(ctx context.Context) iter.Seq[cluster.Event] {
	f.mu.Lock()
	defer f.mu.Unlock()
	box := f.hub.Subscribe(ctx)
	if f.isolated {
		box.Put("self", cluster.Event{Kind: cluster.Isolated, Member: f.self, At: time.Now(), Reason: cluster.ReasonPresent})
	}
	for name, m := range f.others {
		box.Put(name, cluster.Event{Kind: cluster.Kind(m.State), Member: m, At: time.Now(), Reason: cluster.ReasonPresent})
	}
	return box.All()
}

func (f *fakeNode) Isolated() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.isolated
}

func (f *fakeNode) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (f *fakeNode) Stats() cluster.Stats {
	return cluster.Stats{Dropped: map[string]uint64{"malformed": 3}, Packets: 7}
}
func (f *fakeNode) Done() <-chan struct{} { return f.done }

// does notes a change, and returns what the test wants it to.
func (f *fakeNode) does(format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.did = append(f.did, fmt.Sprintf(format, args...))
	return f.orderErr
}

func (f *fakeNode) Leave(context.Context) error { return f.does("leave") }
func (f *fakeNode) Forget(_ context.Context, name string) error {
	return f.does("forget %s", name)
}
func (f *fakeNode) Ping(_ context.Context, name string) (time.Duration, error) {
	return 1500 * time.Microsecond, f.does("ping %s", name)
}
func (f *fakeNode) Keys(context.Context) ([]cluster.Answer, error) {
	return f.answers, f.does("keys")
}
func (f *fakeNode) AddKey(_ context.Context, key []byte) ([]cluster.Answer, error) {
	return f.answers, f.does("add %x", key)
}
func (f *fakeNode) UseKey(_ context.Context, key []byte) ([]cluster.Answer, error) {
	return f.answers, f.does("use %x", key)
}
func (f *fakeNode) RemoveKey(_ context.Context, key []byte) ([]cluster.Answer, error) {
	return f.answers, f.does("remove %x", key)
}

// serve returns a server of a node that ends with the test.
func serve(t testing.TB, f *fakeNode, opts Options) *Server {
	t.Helper()
	s := New(opts)
	s.Joined(f)
	t.Cleanup(func() { s.Close() })
	return s
}

var errNoAnswer = errors.New("no answer")

// question is a request of a test.
type question struct {
	method, path string
	body         string
	header       map[string]string
	host         string   // empty: localhost
	at           net.Addr // what it came to; nil: a loopback address
	control      bool
	end          context.Context // nil: the test's
}

var (
	loopback = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}
	open     = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 8080}
)

func withToken(token string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + token}
}

// answers is what the server makes of a question. Whatever it answers has to be as the document of the API says.
func (q question) answers(t testing.TB, s *Server) *httptest.ResponseRecorder {
	t.Helper()
	if q.end == nil {
		q.end = t.Context()
	}
	if q.at == nil {
		q.at = loopback
	}
	ctx := context.WithValue(q.end, http.LocalAddrContextKey, q.at)
	path, query, _ := strings.Cut(q.path, "?")
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", strings.NewReader(q.body))
	r.Method, r.URL.RawQuery = q.method, query
	u, err := url.ParseRequestURI("http://host" + path) // as net/http reads it, unlike httptest, which takes paths for URLs
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	r.URL.Path, r.URL.RawPath = u.Path, u.RawPath
	r.Host = "localhost:8080"
	if q.host != "" {
		r.Host = q.host
	}
	for name, value := range q.header {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	if q.control {
		s.Control().ServeHTTP(w, r)
	} else {
		s.Handler().ServeHTTP(w, r)
	}
	conforms(t, q, w)
	return w
}

// get asks as somebody on the same machine.
func get(t testing.TB, s *Server, path string) *httptest.ResponseRecorder {
	t.Helper()
	return question{method: "GET", path: path}.answers(t, s)
}

// errorOf is the error that an answer tells.
func errorOf(w *httptest.ResponseRecorder) string {
	var e struct{ Error string }
	if json.Unmarshal(w.Body.Bytes(), &e) != nil {
		return ""
	}
	return e.Error
}

// wants checks a status and that the error says something.
func wants(t testing.TB, w *httptest.ResponseRecorder, status int, says ...string) {
	t.Helper()
	if w.Code != status {
		t.Errorf("%d %.300s; want %d", w.Code, w.Body, status)
	}
	for _, text := range says {
		if !strings.Contains(errorOf(w), text) {
			t.Errorf("%d %.300s; want it to say %q", w.Code, w.Body, text)
		}
	}
}

func namesIn(t testing.TB, w *httptest.ResponseRecorder) string {
	t.Helper()
	var members []cluster.Member
	if err := json.Unmarshal(w.Body.Bytes(), &members); err != nil {
		t.Fatalf("%v: %.200s", err, w.Body)
	}
	var names []string
	for _, m := range members {
		names = append(names, m.Name)
	}
	return strings.Join(names, " ")
}

func read(t testing.TB, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
