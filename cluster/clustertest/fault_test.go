package clustertest_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/pulsering/pulsering/cluster/clustertest"
)

// trio is three nodes, and whose packets reach whom.
type trio struct {
	*testing.T
	network *clustertest.Network
	nodes   [3]*clustertest.Transport
}

func newTrio(t *testing.T, n *clustertest.Network) *trio {
	return &trio{t, n, [3]*clustertest.Transport{open(t, n, addrA), open(t, n, addrB), open(t, n, addrC)}}
}

// wantReach sends from each to each and compares: "A>B" for who reaches whom.
func (r *trio) wantReach(want ...string) {
	r.Helper()
	reached := make(map[string]bool)
	for i, from := range r.nodes {
		for j, to := range r.nodes {
			if i != j {
				send(r.T, from, to.Addr(), "x")
				time.Sleep(ms)
				if len(received(to)) == 1 {
					reached[fmt.Sprintf("%c>%c", 'A'+i, 'A'+j)] = true
				}
			}
		}
	}
	for _, w := range want {
		if !reached[w] {
			r.Errorf("%s does not get through, but should", w)
		}
		delete(reached, w)
	}
	for got := range reached {
		r.Errorf("%s gets through, but should not", got)
	}
}

func TestCutsAndHealing(t *testing.T) {
	inBubble(t, clustertest.Options{}, func(t *testing.T, n *clustertest.Network) {
		r := newTrio(t, n)
		all := []string{"A>B", "A>C", "B>A", "B>C", "C>A", "C>B"}
		r.wantReach(all...)

		t.Log("one way")
		check(t, n.Cut(only(addrA), only(addrB)))
		r.wantReach("A>C", "B>A", "B>C", "C>A", "C>B")
		check(t, n.Heal(only(addrB), only(addrA))) // either order
		r.wantReach(all...)

		t.Log("ingress of one")
		check(t, n.Cut(everyone, only(addrB)))
		r.wantReach("A>C", "B>A", "B>C", "C>A")
		check(t, n.Heal(everyone, only(addrB)))
		r.wantReach(all...)

		t.Log("two against one, then partly healed")
		check(t, n.Split(only(addrA, addrB), only(addrC)))
		r.wantReach("A>B", "B>A")
		check(t, n.Heal(only(addrA), only(addrC)))
		r.wantReach("A>B", "B>A", "A>C", "C>A")
		check(t, n.Cut(only(addrA), only(addrC)))
		r.wantReach("A>B", "B>A", "C>A")
		check(t, n.Heal(everyone, everyone))
		r.wantReach(all...)

		t.Log("isolated, and still reaches itself")
		check(t, n.Isolate(addrA))
		r.wantReach("B>C", "C>B")
		send(t, r.nodes[0], addrA, "me")
		time.Sleep(ms)
		wantReceived(t, r.nodes[0], "me")
		check(t, n.Heal(only(addrA), everyone))
		r.wantReach(all...)

		t.Log("addresses to come are in everyone, nobody is in an empty set")
		check(t, n.Isolate("10.9.9.9:1"))
		late, later := open(t, n, "10.9.9.9:1"), open(t, n, "10.9.9.9:2")
		send(t, late, later.Addr(), "x")
		check(t, n.Cut(nil, everyone))
		time.Sleep(ms)
		wantReceived(t, later)
		r.wantReach(all...)
	})
}

// A node that stands still sends nothing, not even late: its sender waits. What came meanwhile is there when it goes on.
func TestStallStopsTheSender(t *testing.T) {
	inBubble(t, clustertest.Options{}, func(t *testing.T, n *clustertest.Network) {
		a, b := open(t, n, addrA), open(t, n, addrB)
		var sent []time.Duration
		begin := time.Now()
		done := make(chan struct{})
		go func() { // a heartbeat a second
			defer close(done)
			for i := range 6 {
				if _, err := b.WriteTo([]byte{byte('0' + i)}, addrA); err != nil {
					t.Error(err)
				}
				sent = append(sent, time.Since(begin))
				time.Sleep(time.Second)
			}
		}()
		time.Sleep(500 * ms)
		check(t, n.Stall(addrB))
		check(t, n.Stall(addrB))   // again: nothing
		check(t, n.Block(addrB))   // it is
		check(t, n.Unblock(addrB)) // and remains so
		send(t, a, addrB, "in")
		time.Sleep(3 * time.Second)
		wantReceived(t, a, "0")
		wantReceived(t, b)
		check(t, n.Resume(addrB))
		check(t, n.Resume(addrB))
		<-done
		wantReceived(t, b, "in")
		wantReceived(t, a, "1", "2", "3", "4", "5")
		for i, want := range []time.Duration{0, 3500, 4500, 5500, 6500, 7500} {
			if sent[i] != want*ms {
				t.Errorf("heartbeat %d was sent after %v, want %v", i, sent[i], want*ms)
			}
		}
	})
}

// Whoever waits goes on when the stalled node ends, and others may stall and go on meanwhile.
func TestStallEndsWithTheNode(t *testing.T) {
	inBubble(t, clustertest.Options{}, func(t *testing.T, n *clustertest.Network) {
		r := newTrio(t, n)
		if err := n.Stall(addrA, "10.9.9.9:1"); err == nil {
			t.Error("stalled an address without a node")
		}
		if err := n.Resume("nowhere"); err == nil {
			t.Error("resumed what is no address")
		}
		r.wantReach("A>B", "A>C", "B>A", "B>C", "C>A", "C>B")
		check(t, n.Block(addrA))
		check(t, n.Stall(addrA, addrB, addrC))
		errs := make(chan error, 3)
		for _, tr := range r.nodes {
			go func() {
				_, err := tr.WriteTo([]byte("x"), addrC)
				errs <- err
			}()
		}
		time.Sleep(time.Second)
		if len(errs) > 0 {
			t.Fatal("somebody sent while it stood still")
		}
		check(t, n.Resume(addrA))
		if err := <-errs; err != nil {
			t.Errorf("after Resume: %v", err)
		}
		check(t, n.Kill(addrB))
		if err := <-errs; err != nil {
			t.Errorf("after Kill: %v", err)
		}
		check(t, r.nodes[2].Shutdown())
		if err := <-errs; !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Shutdown: %v, want %v", err, net.ErrClosed)
		}
	})
}

// What is left of a node that was killed does not wait for the stall of the next one at its address.
func TestStallIsOfTheHolder(t *testing.T) {
	inBubble(t, clustertest.Options{}, func(t *testing.T, n *clustertest.Network) {
		open(t, n, addrA)
		old := open(t, n, addrB)
		check(t, n.Kill(addrB))
		open(t, n, addrB)
		check(t, n.Stall(addrB))
		time.AfterFunc(time.Minute, func() { n.Resume(addrB) })
		begin := time.Now()
		if _, err := old.WriteTo([]byte("x"), addrA); err != nil {
			t.Errorf("after Kill: %v", err)
		}
		check(t, old.Shutdown())
		if _, err := old.WriteTo([]byte("x"), addrA); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Shutdown: %v, want %v", err, net.ErrClosed)
		}
		if waited := time.Since(begin); waited > 0 {
			t.Errorf("it waited for %v", waited)
		}
	})
}

func TestCutSparesWhatIsInFlight(t *testing.T) {
	o := clustertest.Options{Link: clustertest.Link{Delay: clustertest.Constant(10 * ms)}}
	inBubble(t, o, func(t *testing.T, n *clustertest.Network) {
		a, b := open(t, n, addrA), open(t, n, addrB)
		send(t, a, addrB, "before")
		time.Sleep(5 * ms)
		check(t, n.Split(only(addrA), only(addrB)))
		send(t, a, addrB, "during")
		time.Sleep(10 * ms)
		check(t, n.Heal(only(addrA), only(addrB)))
		send(t, a, addrB, "after")
		time.Sleep(10 * ms)
		wantReceived(t, b, "before", "after")
	})
}

func TestBlockHoldsBothWaysAndLetsGo(t *testing.T) {
	o := clustertest.Options{Link: clustertest.Link{Delay: clustertest.Constant(10 * ms)}}
	inBubble(t, o, func(t *testing.T, n *clustertest.Network) {
		a, b, c := open(t, n, addrA), open(t, n, addrB), open(t, n, addrC)
		send(t, b, addrA, "left in time")
		send(t, a, addrB, "came too late")
		time.Sleep(5 * ms)
		check(t, n.Block(addrB))
		check(t, n.Block(addrB)) // again: nothing
		start := time.Now()
		for i := range 3 {
			send(t, a, addrB, fmt.Sprint("in ", i))
			send(t, b, addrA, fmt.Sprint("out ", i))
			time.Sleep(time.Second)
		}
		wantReceived(t, a, "left in time")
		wantReceived(t, b)
		send(t, a, addrC, "others go on")
		time.Sleep(10 * ms)
		wantReceived(t, c, "others go on")

		check(t, n.Unblock(addrB))
		first := <-b.PacketCh()
		if held := first.Timestamp.Sub(start); held != 3*time.Second+10*ms || string(first.Buf) != "came too late" {
			t.Errorf("first %q, received %v after the block began, want it at its end", first.Buf, held)
		}
		wantReceived(t, b, "in 0", "in 1", "in 2")
		time.Sleep(9 * ms)
		wantReceived(t, a)
		time.Sleep(ms)
		wantReceived(t, a, "out 0", "out 1", "out 2")
		check(t, n.Unblock(addrB)) // again: nothing
		send(t, a, addrB, "as before")
		time.Sleep(10 * ms)
		wantReceived(t, b, "as before")
	})
}

// The same as memberlist meets it: SendReliable closes its stream at once, and its message outlives
// a block of a tenth of a second.
func TestReliableMessageThroughAShortBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := clustertest.New(tenMs)
		check(t, err)
		heard := &listener{}
		var nodes []*memberlist.Memberlist
		for _, addr := range []string{addrA, addrB} {
			c := memberlist.DefaultLANConfig()
			c.Name, c.Transport, c.EnableCompression, c.LogOutput = addr, open(t, n, addr), false, io.Discard
			if addr == addrB {
				c.Delegate = heard
			}
			m, err := memberlist.Create(c)
			check(t, err)
			nodes = append(nodes, m)
		}
		_, err = nodes[1].Join([]string{addrA})
		check(t, err)
		time.Sleep(time.Second)
		time.AfterFunc(15*ms, func() { n.Block(addrA) })
		time.AfterFunc(115*ms, func() { n.Unblock(addrA) })
		for _, m := range nodes[0].Members() {
			if m.Name == addrB {
				check(t, nodes[0].SendReliable(m, []byte("order 66")))
			}
		}
		time.Sleep(time.Minute)
		if heard.messages.Load() != 1 {
			t.Errorf("a minute later %d messages have arrived, want 1", heard.messages.Load())
		}
		for _, m := range nodes {
			m.Shutdown()
		}
		n.Close()
		time.Sleep(time.Minute)
	})
}

// listener counts memberlist's messages to the user.
type listener struct{ messages atomic.Int32 }

func (l *listener) NotifyMsg([]byte)                { l.messages.Add(1) }
func (l *listener) NodeMeta(int) []byte             { return nil }
func (l *listener) GetBroadcasts(int, int) [][]byte { return nil }
func (l *listener) LocalState(bool) []byte          { return nil }
func (l *listener) MergeRemoteState([]byte, bool)   {}

func TestFullQueuesDropAndCount(t *testing.T) {
	inBubble(t, clustertest.Options{Queue: 5}, func(t *testing.T, n *clustertest.Network) {
		a, b := open(t, n, addrA), open(t, n, addrB)
		want := func(addr string, received, full uint64) {
			t.Helper()
			c, err := n.Counters(addr)
			check(t, err)
			if c.Received.Packets != received || c.Full.Packets != full || c.Full.Bytes != full {
				t.Errorf("%s: %d received, %+v dropped as full, want %d and %d", addr, c.Received.Packets, c.Full, received, full)
			}
		}
		for range 8 {
			send(t, a, addrB, "x")
		}
		time.Sleep(ms)
		want(addrB, 5, 3)
		if got := len(received(b)); got != 5 {
			t.Errorf("%d waited, want 5", got)
		}

		t.Log("blocked, unread and held packets share the room; what goes out has its own")
		n.ResetCounters()
		send(t, a, addrB, "x")
		send(t, a, addrB, "x")
		time.Sleep(ms)
		check(t, n.Block(addrB))
		for range 8 {
			send(t, a, addrB, "x")
			send(t, b, addrA, "x")
		}
		time.Sleep(ms)
		want(addrB, 2, 5+3)
		check(t, n.Unblock(addrB))
		time.Sleep(ms)
		want(addrB, 5, 5+3)
		want(addrA, 5, 0)
	})
}

func TestKillIsForEver(t *testing.T) {
	o := clustertest.Options{Link: clustertest.Link{Delay: clustertest.Constant(10 * ms)}}
	inBubble(t, o, func(t *testing.T, n *clustertest.Network) {
		a, b := open(t, n, addrA), open(t, n, addrB)
		send(t, a, addrB, "in flight to it")
		send(t, b, addrA, "in flight from it")
		time.Sleep(5 * ms)
		check(t, n.Kill(addrB))
		if err := n.Kill(addrA, addrB); err == nil {
			t.Error("killed a dead node")
		}
		send(t, b, addrA, "from the dead") // no error: see WriteTo
		send(t, a, addrB, "to the dead")
		time.Sleep(time.Minute)
		wantReceived(t, a, "in flight from it")
		wantReceived(t, b)
		if c := n.Totals(); c.Dead.Packets != 3 || c.Sent.Packets != 4 {
			t.Errorf("%d of %d packets counted as Dead, want 3 of 4", c.Dead.Packets, c.Sent.Packets)
		}
		if _, err := b.DialTimeout(addrA, time.Second); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a dial by the dead: %v, want net.ErrClosed", err)
		}
		check(t, b.Shutdown())
		if _, err := b.WriteTo([]byte("x"), addrA); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a write after Shutdown: %v, want net.ErrClosed", err)
		}
	})
}

func TestAddressIsTakenAgain(t *testing.T) {
	o := clustertest.Options{Link: clustertest.Link{Delay: clustertest.Constant(10 * ms)}}
	ends := map[string]func(*clustertest.Network, *clustertest.Transport) error{
		"kill":     func(n *clustertest.Network, tr *clustertest.Transport) error { return n.Kill(tr.Addr()) },
		"shutdown": func(_ *clustertest.Network, tr *clustertest.Transport) error { return tr.Shutdown() },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			inBubble(t, o, func(t *testing.T, n *clustertest.Network) {
				a, old := open(t, n, addrA), open(t, n, addrB)
				if _, err := n.Transport(addrB); !errors.Is(err, syscall.EADDRINUSE) {
					t.Errorf("taking a live address: %v, want EADDRINUSE", err)
				}
				send(t, a, addrB, "unread")
				time.Sleep(10 * ms)
				send(t, a, addrB, "into the gap")
				time.Sleep(time.Millisecond)
				send(t, a, addrB, "in flight")
				check(t, n.Block(addrB))
				check(t, end(n, old))
				time.Sleep(9 * ms)
				next := open(t, n, addrB)
				time.Sleep(ms)
				check(t, old.Shutdown()) // late: not about the new one
				wantReceived(t, old, "unread")
				// "into the gap" and the restart are at one instant; either may be first.
				got := received(next)
				if len(got) == 0 || got[len(got)-1] != "in flight" {
					t.Errorf("the new one received %q, want what was in flight", got)
				}
				send(t, next, addrA, "I am back, and not blocked")
				time.Sleep(10 * ms)
				wantReceived(t, a, "I am back, and not blocked")
			})
		})
	}
}

func TestBlockedNodeCanDie(t *testing.T) {
	inBubble(t, clustertest.Options{}, func(t *testing.T, n *clustertest.Network) {
		a, b := open(t, n, addrA), open(t, n, addrB)
		check(t, n.Block(addrB))
		send(t, a, addrB, "x")
		send(t, b, addrA, "x")
		time.Sleep(ms)
		check(t, n.Kill(addrB))
		check(t, n.Unblock(addrB))
		wantReceived(t, a)
		wantReceived(t, b)
		if c := n.Totals(); c.Dead.Packets != 2 {
			t.Errorf("Dead = %d packets, want both that were held back", c.Dead.Packets)
		}
	})
}

func TestFaultsNeedALiveNode(t *testing.T) {
	inBubble(t, clustertest.Options{}, func(t *testing.T, n *clustertest.Network) {
		open(t, n, addrA)
		for name, fault := range map[string]func(...string) error{"Kill": n.Kill, "Block": n.Block} {
			if err := fault(addrA, addrB); err == nil {
				t.Errorf("%s of an address without a node: no error", name)
			}
		}
		check(t, n.Kill(addrA)) // it lived
	})
}
