package cluster_test

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

// town is a cluster of real nodes over a network in memory, in virtual time. Tests read as stories: start, wait, crash, see
// who said what.
type town struct {
	t       *testing.T
	network *clustertest.Network
	nodes   map[string]*citizen
	config  func(*cluster.Config) // changes each node's configuration
	loops   []func() string       // that end the crash loops
}

// citizen is a node and the events that it told its one subscriber.
type citizen struct {
	*cluster.Node
	transport *clustertest.Transport

	mu     sync.Mutex
	events []cluster.Event
	ended  chan struct{}
}

// towns counts those of each test: see townsOfATest.
var towns sync.Map

// inTown runs a story in a synctest bubble; it fails if a goroutine of ours is left at the end of it.
func inTown(t *testing.T, options clustertest.Options, story func(*testing.T, *town)) {
	test, _, _ := strings.Cut(t.Name(), "/")
	count, _ := towns.LoadOrStore(test, new(atomic.Int64))
	times, _ := strconv.ParseInt(flag.Lookup("test.count").Value.String(), 10, 64)
	if n := count.(*atomic.Int64).Add(1); townsOfATest > 0 && n > townsOfATest*times {
		return
	}
	synctest.Test(t, func(t *testing.T) {
		network, err := clustertest.New(options)
		if err != nil {
			t.Fatal(err)
		}
		w := &town{t: t, network: network, nodes: map[string]*citizen{}, config: func(*cluster.Config) {}}
		defer func() {
			for _, stop := range w.loops {
				stop()
			}
			for _, n := range w.nodes {
				n.Close()
				<-n.ended
			}
			network.Close()
			time.Sleep(10 * time.Second) // memberlist's probes under way run out
		}()
		story(t, w)
	})
}

// start joins a node at addr ("" for the next free one) through all the nodes there are.
func (w *town) start(name, addr string) *citizen {
	w.t.Helper()
	n, err := w.join(context.Background(), name, addr)
	if err != nil {
		w.t.Fatalf("start %s: %v", name, err)
	}
	return n
}

func (w *town) join(ctx context.Context, name, addr string) (*citizen, error) {
	w.t.Helper()
	transport, err := w.network.Transport(addr)
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := cluster.Config{Name: name, Transport: transport}
	for _, n := range w.nodes {
		if n.Err() == nil {
			cfg.Seeds = append(cfg.Seeds, n.Self().Addr)
		}
	}
	w.config(&cfg)
	node, err := cluster.Join(ctx, cfg)
	if err != nil {
		return nil, err
	}
	n := &citizen{Node: node, transport: transport, ended: make(chan struct{})}
	events := n.Events(context.Background())
	go func() {
		defer close(n.ended)
		for e := range events {
			n.mu.Lock()
			n.events = append(n.events, e)
			n.mu.Unlock()
		}
	}()
	w.nodes[name] = n
	return n, nil
}

// startAll joins n nodes named n00, n01, … 37 ms apart, and waits until all of them see each other up.
func (w *town) startAll(n int) []string {
	w.t.Helper()
	var names []string
	for i := range n {
		name := fmt.Sprintf("n%02d", i)
		w.start(name, "")
		names = append(names, name)
		time.Sleep(37 * time.Millisecond)
	}
	w.within(5*time.Second, "all up everywhere", w.allUp)
	time.Sleep(5 * time.Second)
	return names
}

func (w *town) allUp() bool {
	for _, n := range w.nodes {
		members := n.Members()
		if len(members) != len(w.nodes) {
			return false
		}
		for _, m := range members {
			if m.State != cluster.StateUp {
				return false
			}
		}
	}
	return true
}

// within waits until ok, in steps of 10 ms of virtual time.
func (w *town) within(d time.Duration, what string, ok func() bool) time.Duration {
	w.t.Helper()
	begin := time.Now()
	for !ok() {
		if time.Since(begin) > d {
			w.t.Fatalf("not within %v: %s\n%s", d, what, w.describe())
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(begin)
}

// crash makes a node vanish from the network, then shuts it down, unseen by anybody.
func (w *town) crash(name string) {
	w.t.Helper()
	if err := w.network.Kill(w.nodes[name].transport.Addr()); err != nil {
		w.t.Fatal(err)
	}
	w.close(name)
}

func (w *town) close(name string) {
	n := w.nodes[name]
	n.Close()
	<-n.ended
	delete(w.nodes, name)
}

// forget drops what the subscribers have been told so far.
func (w *town) forget() {
	synctest.Wait()
	for _, n := range w.nodes {
		n.forget()
	}
}

func (n *citizen) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = nil
}

// told returns what a node told its subscriber about a member, as "kind/reason".
func (n *citizen) told(about string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var told []string
	for _, e := range n.events {
		if e.Member.Name == about {
			told = append(told, e.Kind.String()+"/"+e.Reason)
		}
	}
	return told
}

// since returns the events from an instant on.
func (n *citizen) since(t time.Time) (events []cluster.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.events {
		if !e.At.Before(t) {
			events = append(events, e)
		}
	}
	return events
}

// downs returns whom a node called down since the last forget.
func (n *citizen) downs() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var down []string
	for _, e := range n.events {
		if e.Kind == cluster.Down && e.Reason != cluster.ReasonIsolated { // of which it knows that they may live
			down = append(down, e.Member.Name)
		}
	}
	return down
}

func (n *citizen) state(of string) cluster.State {
	for _, m := range n.Members() {
		if m.Name == of {
			return m.State
		}
	}
	return cluster.StateUnknown
}

// everywhere tells whether all nodes but the member itself hold it for state.
func (w *town) everywhere(name string, state cluster.State) func() bool {
	return func() bool {
		for other, n := range w.nodes {
			if other != name && n.state(name) != state {
				return false
			}
		}
		return true
	}
}

// quiet fails the test if any node told anything about a member that is not in except.
func (w *town) quiet(except ...string) {
	w.t.Helper()
	synctest.Wait()
	for name, n := range w.nodes {
		n.mu.Lock()
		for _, e := range n.events {
			if !slices.Contains(except, e.Member.Name) {
				w.t.Errorf("%s said %v of %s (%s, φ %.1f)", name, e.Kind, e.Member.Name, e.Reason, e.Phi)
			}
		}
		n.mu.Unlock()
	}
}

func (w *town) describe() string {
	var b strings.Builder
	for name, n := range w.nodes {
		fmt.Fprintf(&b, "%s sees", name)
		up := 0
		for _, m := range n.Members() {
			if m.State == cluster.StateUp && m.Phi < 1 {
				up++
				continue
			}
			fmt.Fprintf(&b, " %s:%v(φ %.1f)", m.Name, m.State, m.Phi)
		}
		fmt.Fprintf(&b, " and %d up; dropped %v\n", up, n.Stats().Dropped)
	}
	return b.String()
}
