package clustertest_test

import (
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/pulsering/pulsering/cluster/clustertest"
)

// ring is a cluster of plain memberlist nodes for tests in virtual time.
type ring struct {
	t       testing.TB
	network *clustertest.Network
	nodes   []*memberlist.Memberlist
	addrs   []string

	mu   sync.Mutex
	left map[string]int // by "observer>member"
}

// newRing forms a cluster of n LAN-default nodes, created 37 ms apart. stop
// shuts it down and lets the probes that are under way run out.
func newRing(t testing.TB, n int, o clustertest.Options) (r *ring, stop func()) {
	t.Helper()
	network, err := clustertest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	r = &ring{t: t, network: network, left: make(map[string]int)}
	for range n {
		r.start("")
	}
	// Gossip misses a member now and then; three rounds of push/pull do not.
	time.Sleep(100 * time.Second)
	return r, func() {
		for _, m := range r.nodes {
			if err := m.Shutdown(); err != nil {
				t.Error(err)
			}
		}
		if err := network.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(10 * time.Second) // > ProbeInterval × AwarenessMaxMultiplier
	}
}

func (r *ring) start(addr string) *memberlist.Memberlist {
	r.t.Helper()
	transport, err := r.network.Transport(addr)
	if err != nil {
		r.t.Fatal(err)
	}
	c := memberlist.DefaultLANConfig()
	c.Name = transport.Addr()
	c.Transport = transport
	c.EnableCompression = false
	c.LogOutput = io.Discard
	c.Events = observer{r, c.Name}
	m, err := memberlist.Create(c)
	if err != nil {
		r.t.Fatal(err)
	}
	if len(r.nodes) > 0 {
		if _, err := m.Join(r.addrs[:1]); err != nil {
			r.t.Fatal(err)
		}
	}
	r.nodes = append(r.nodes, m)
	r.addrs = append(r.addrs, transport.Addr())
	time.Sleep(37 * time.Millisecond)
	return m
}

type observer struct {
	*ring
	name string
}

func (o observer) NotifyJoin(*memberlist.Node)   {}
func (o observer) NotifyUpdate(*memberlist.Node) {}
func (o observer) NotifyLeave(n *memberlist.Node) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.left[o.name+">"+n.Name]++
}

func (r *ring) wantSizes(want ...int) {
	r.t.Helper()
	for i, m := range r.nodes {
		if got := m.NumMembers(); got != want[min(i, len(want)-1)] {
			r.t.Errorf("%s sees %d members, want %d", r.addrs[i], got, want[min(i, len(want)-1)])
		}
	}
}

func (r *ring) wantNoneLeft() {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.left) != 0 {
		r.t.Errorf("on a quiet LAN members were called dead: %v", r.left)
	}
}

func TestPlainMemberlistForms(t *testing.T) {
	for _, n := range []int{3, 20} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, stop := newRing(t, n, clustertest.Options{})
				defer stop()
				r.wantSizes(n)
				time.Sleep(time.Minute)
				r.wantNoneLeft()
			})
		})
	}
}

func TestCrashedNodeIsFoundAndRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := newRing(t, 8, clustertest.Options{})
		defer stop()
		victim := r.addrs[3]
		if err := r.network.Kill(victim); err != nil {
			t.Fatal(err)
		}
		// memberlist needs 5 to 8 s at this size, and up to two rounds of
		// push/pull for whom its gossip missed.
		time.Sleep(2 * time.Minute)
		r.mu.Lock()
		for _, addr := range r.addrs {
			if want := 1; addr != victim && r.left[addr+">"+victim] != want {
				t.Errorf("%s: %d leave events about the victim, want %d", addr, r.left[addr+">"+victim], want)
			}
		}
		r.mu.Unlock()
		r.start(victim)
		time.Sleep(2 * time.Minute)
		for i, m := range r.nodes {
			if i != 3 && m.NumMembers() != 8 {
				t.Errorf("%s sees %d members after the restart, want 8", r.addrs[i], m.NumMembers())
			}
		}
	})
}

func TestSplitRingHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, stop := newRing(t, 6, clustertest.Options{})
		defer stop()
		a, b := r.addrs[:3], r.addrs[3:]
		if err := r.network.Split(a, b); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		r.wantSizes(3)
		if err := r.network.Heal(a, b); err != nil {
			t.Fatal(err)
		}
		if _, err := r.nodes[0].Join(b[:1]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		r.wantSizes(6)
	})
}
