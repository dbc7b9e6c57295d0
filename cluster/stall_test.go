package cluster_test

import (
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

// diesAfterStall has one of n members stand still for so long, go on, and crash: how long until all know.
func diesAfterStall(t *testing.T, n int, stall, lives time.Duration) {
	t.Helper()
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(n)
		it := w.nodes["n02"].transport.Addr()
		if err := w.network.Stall(it); err != nil {
			t.Fatal(err)
		}
		w.within(3*time.Second, "down everywhere", w.everywhere("n02", cluster.StateDown))
		time.Sleep(stall)
		if err := w.network.Resume(it); err != nil {
			t.Fatal(err)
		}
		time.Sleep(lives)
		if w.everywhere("n02", cluster.StateDown)() {
			t.Fatalf("still down %v after it went on\n%s", lives, w.describe())
		}
		w.crash("n02")
		w.within(5*time.Second, "down again", w.everywhere("n02", cluster.StateDown)) // its allowance is quadrupled
	})
}

// One heartbeat that is minutes late says nothing of how late those are that arrive.
func TestLongStallTeachesNoLateness(t *testing.T) {
	diesAfterStall(t, 6, 3*time.Minute, 5*time.Second)
}

// Nor does what it answers to a heartbeat that had waited in its queue tell how long an answer takes.
func TestLongStallIsNoRoundTrip(t *testing.T) {
	diesAfterStall(t, 3, time.Minute, 200*time.Millisecond)
}
