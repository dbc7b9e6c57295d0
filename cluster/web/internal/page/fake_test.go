//go:build e2e && linux

package page_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/web"
	"github.com/pulsering/pulsering/internal/mailbox"
)

const threshold = 8.4

// fakeNode is a node of which a test says what it knows. The server before it is the real one.
type fakeNode struct {
	hub  *mailbox.Hub[string, cluster.Event]
	done chan struct{}

	mu       sync.Mutex
	self     string
	members  map[string]*fakeMember
	isolated bool
	began    time.Time
}

type fakeMember struct {
	cluster.Member
	silent time.Time // since when it does not beat; zero: it beats
	exit   string
	by     []string
	asked  int
}

// newFake is a node with all members up. The first is the node itself; it listens to the 8 that follow.
func newFake(names ...string) *fakeNode {
	f := &fakeNode{
		hub: mailbox.NewHub[string](func(pending []cluster.Event, e cluster.Event) []cluster.Event {
			return append(pending, e)
		}),
		done: make(chan struct{}), self: names[0], members: map[string]*fakeMember{}, began: time.Now(),
	}
	for i, name := range names {
		f.members[name] = &fakeMember{Member: cluster.Member{
			Name: name, Addr: net.JoinHostPort(net.IPv4(10, 0, byte(i/250), byte(i%250+1)).String(), "7946"),
			Boot: uint64(time.Now().UnixMicro()), State: cluster.StateUp, Since: time.Now().Add(-time.Duration(i*i+7) * 73 * time.Second),
			Observed: i > 0 && i <= 8, RTT: time.Duration(300+i*i*37%1900) * time.Microsecond,
			Tags: map[string]string{"zone": string(rune('a' + i%3))},
		}}
	}
	return f
}

// tell changes a member, and publishes the event about it.
func (f *fakeNode) tell(kind cluster.Kind, name, reason string, change ...func(*fakeMember, *cluster.Event)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.members[name]
	now := time.Now()
	e := cluster.Event{Kind: kind, At: now, Reason: reason}
	switch kind {
	case cluster.Isolated, cluster.Connected:
		f.isolated = kind == cluster.Isolated
	case cluster.Up:
		m.State, m.Since, m.silent = cluster.StateUp, now, time.Time{}
	case cluster.Suspect:
		m.State, m.Since, m.silent, m.asked = cluster.StateSuspect, now, now.Add(-600*time.Millisecond), 4
		e.Phi = 3.1
	case cluster.Down:
		m.State, m.Since, m.silent = cluster.StateDown, now, now.Add(-time.Second)
		if reason == cluster.ReasonSilent || reason == cluster.ReasonVerdict {
			m.by = f.observers(name)
			m.by = m.by[:min(3, len(m.by))]
			e.Phi, e.Threshold, e.By = threshold+0.9, threshold, m.by
		}
	case cluster.Left:
		m.State, m.Since, m.Observed = cluster.StateLeft, now, false
	}
	for _, c := range change {
		c(m, &e)
	}
	e.Member = m.Member
	f.hub.Publish(name, e)
}

// add makes a member known, and forget unknown.
func (f *fakeNode) add(m cluster.Member) {
	f.mu.Lock()
	f.members[m.Name] = &fakeMember{Member: m}
	f.mu.Unlock()
	f.tell(cluster.Up, m.Name, cluster.ReasonJoined)
}

func (f *fakeNode) forget(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.members, name)
}

// at is the member at a moment. It needs f.mu.
func (f *fakeNode) at(m *fakeMember, now time.Time) cluster.Member {
	c := m.Member
	if !c.Observed {
		c.Phi, c.LastHeard, c.RTT = 0, time.Time{}, 0
		return c
	}
	heard := now.Add(-time.Duration(40+int(hash(m.Name)+uint64(now.UnixMilli()))%80) * time.Millisecond)
	if !m.silent.IsZero() {
		heard = m.silent
	} else if f.isolated {
		heard = f.began
	}
	c.LastHeard = heard
	c.Phi = phiAt(m.Name, now.Sub(heard), now)
	return c
}

// phiAt looks like φ: small and restless while heartbeats come, and growing with the silence.
func phiAt(name string, silence time.Duration, now time.Time) float64 {
	t := float64(now.UnixMilli()) / 1000
	seed := float64(hash(name)%628) / 100
	wave := 0.35 + 0.22*math.Sin(t*1.7+seed) + 0.15*math.Sin(t*5.3+2*seed)
	if int(t+seed*9)%17 == 0 {
		wave += 1.1
	}
	if silence > 300*time.Millisecond {
		return wave + 4.2*(silence.Seconds()-0.3)
	}
	return max(0.02, wave)
}

func hash(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}

func (f *fakeNode) names() []string {
	names := make([]string, 0, len(f.members))
	for name := range f.members {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// observers are neighbours by name, and by name read backwards. It needs f.mu.
func (f *fakeNode) observers(of string) []string {
	names := f.names()
	alive := slices.DeleteFunc(names, func(name string) bool {
		s := f.members[name].State
		return name != of && (s == cluster.StateDown || s == cluster.StateLeft)
	})
	var all []string
	if len(alive) <= 9 {
		all = alive
	} else {
		i, n := slices.Index(alive, of), len(alive)
		for _, step := range []int{1, 2, n / 3, n / 5} {
			all = append(all, alive[(i+step)%n], alive[(i-step+n)%n])
		}
		slices.Sort(all)
		all = slices.Compact(all)
	}
	return slices.DeleteFunc(all, func(name string) bool { return name == of })
}

func (f *fakeNode) Self() cluster.Member {
	m, _ := f.Member(f.self)
	return m
}

func (f *fakeNode) Member(name string) (cluster.Member, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.members[name]
	if !ok {
		return cluster.Member{}, false
	}
	return f.at(m, time.Now()), true
}

func (f *fakeNode) Members() []cluster.Member {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	var all []cluster.Member
	for _, name := range f.names() {
		all = append(all, f.at(f.members[name], now))
	}
	return all
}

func (f *fakeNode) Explain(name string) (cluster.Explanation, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.members[name]
	if !ok {
		return cluster.Explanation{}, false
	}
	now := time.Now()
	e := cluster.Explanation{Member: f.at(m, now), Threshold: threshold, StallThreshold: 2.3, Observers: f.observers(name)}
	if name == f.self {
		return e, true
	}
	e.LastAlive = now.Add(-60 * time.Millisecond)
	if !m.silent.IsZero() {
		e.LastAlive = m.silent
	}
	if m.Observed {
		e.Path = &cluster.Path{Interval: 125 * time.Millisecond, Mean: 126 * time.Millisecond, Deviation: 3 * time.Millisecond,
			Loss: 0.01 + float64(hash(name)%40)/1000, Heartbeats: 81234, Lost: 1260, LastHeartbeat: e.LastAlive,
			Overdue: e.LastAlive.Add(400 * time.Millisecond), Reaches: e.LastAlive.Add(1300 * time.Millisecond)}
	}
	switch m.State {
	case cluster.StateDown:
		if m.exit != "" || m.by != nil {
			e.Verdict = &cluster.Verdict{Phi: threshold + 0.9, Threshold: threshold, By: m.by, Exit: m.exit}
		}
	case cluster.StateSuspect:
		q := &cluster.Inquiry{Since: m.silent.Add(200 * time.Millisecond), Asked: m.asked, Unanswered: m.asked - 1}
		for i, by := range e.Observers[:min(3, len(e.Observers))] {
			phi := min(threshold/3*2, []float64{2.1, 3.4, 0.6}[i])
			q.Doubts = append(q.Doubts, cluster.Doubt{By: by, Phi: phi, BeforeStall: phi / 3})
			q.Phi += phi
			q.BeforeStall += phi / 3
		}
		e.Inquiry = q
	}
	return e, true
}

func (f *fakeNode) Events(ctx context.Context) iter.Seq[cluster.Event] {
	f.mu.Lock()
	defer f.mu.Unlock()
	box := f.hub.Subscribe(ctx)
	for name, m := range f.members {
		if name != f.self {
			box.Put(name, cluster.Event{Kind: cluster.Kind(m.State), Member: m.Member, At: m.Since, Reason: cluster.ReasonPresent})
		}
	}
	return box.All()
}

func (f *fakeNode) Isolated() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.isolated
}

func (f *fakeNode) Err() error            { return nil }
func (f *fakeNode) Stats() cluster.Stats  { return cluster.Stats{} }
func (f *fakeNode) Done() <-chan struct{} { return f.done }

var errReadOnly = errors.New("this node is only looked at")

func (f *fakeNode) Leave(context.Context) error                              { return errReadOnly }
func (f *fakeNode) Forget(context.Context, string) error                     { return errReadOnly }
func (f *fakeNode) Ping(context.Context, string) (time.Duration, error)      { return 0, errReadOnly }
func (f *fakeNode) Keys(context.Context) ([]cluster.Answer, error)           { return nil, errReadOnly }
func (f *fakeNode) AddKey(context.Context, []byte) ([]cluster.Answer, error) { return nil, errReadOnly }
func (f *fakeNode) UseKey(context.Context, []byte) ([]cluster.Answer, error) { return nil, errReadOnly }
func (f *fakeNode) RemoveKey(context.Context, []byte) ([]cluster.Answer, error) {
	return nil, errReadOnly
}

// site is a node's server, which can go away and come back at the same address.
type site struct {
	t    *testing.T
	node *fakeNode
	opts web.Options
	addr string
	open atomic.Bool       // the server takes its clients for those of another machine
	lose sync.Map          // paths of which the next answer is lost
	says *strings.Replacer // what a server of another version says instead; nil: this one's words
	api  *web.Server
	http *httptest.Server
}

func newSite(t *testing.T, node *fakeNode, opts web.Options) *site {
	t.Helper()
	s := &site{t: t, node: node, opts: opts, addr: "127.0.0.1:0"}
	s.serve()
	t.Cleanup(func() {
		s.shut()
		if node != nil {
			node.hub.Close()
			close(node.done)
		}
	})
	return s
}

func (s *site) serve() {
	s.t.Helper()
	s.api = web.New(s.opts)
	if s.node != nil {
		s.api.Joined(s.node)
	}
	s.http = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, lost := s.lose.LoadAndDelete(r.URL.Path); lost {
			w.Header().Set("Content-Type", "text/javascript")
			w.Header().Set("Content-Length", "1000")
			w.Write([]byte("/*")) // a browser asks again by itself where nothing came at all
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		if s.open.Load() {
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80}))
		}
		if s.says != nil && strings.HasPrefix(r.URL.Path, "/v1/") {
			w = otherWords{w, s.says}
		}
		s.api.Handler().ServeHTTP(w, r)
	}))
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.http.Listener.Close()
	s.http.Listener = listener
	s.addr = listener.Addr().String()
	s.http.Start()
}

// otherWords replaces words in an answer.
type otherWords struct {
	http.ResponseWriter
	says *strings.Replacer
}

func (o otherWords) Unwrap() http.ResponseWriter { return o.ResponseWriter }

func (o otherWords) Write(b []byte) (int, error) {
	if _, err := o.says.WriteString(o.ResponseWriter, string(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// shut ends the server and its connections.
func (s *site) shut() {
	s.api.Close()
	s.http.CloseClientConnections()
	s.http.Close()
}

func (s *site) url() string { return "http://" + s.addr + "/" }

// numbered is names such as "node-001".
func numbered(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("node-%03d", i)
	}
	return names
}
