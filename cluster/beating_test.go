package cluster

import (
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/path"
	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// Whoever takes over a dead member's address gets its heartbeats for a while too, under numbers of another edge: nothing was lost
// between the two.
func TestHeartbeatsForAnotherMember(t *testing.T) {
	now := time.Now()
	c, r := listener(t, now)
	for i := range uint64(20) {
		other := wire.Beat{Seq: 1001 + 2*i, Edge: 500 + i, Interval: micros(time.Second), Every: micros(DefaultBeat)}
		own := other
		own.Seq, own.Edge = other.Seq+1, 1+i
		c.heartbeat(now.Add(time.Duration(2*i)*time.Second/2), r, &other)
		c.heartbeat(now.Add(time.Duration(2*i+1)*time.Second/2), r, &own)
	}
	c.heartbeat(now.Add(20*time.Second), r, &wire.Beat{Seq: 1041, Edge: 520}) // it was dismissed
	if loss := r.path.Loss(now); loss > path.PriorLoss || r.path.Status().Edge != 20 || !r.path.Watched() {
		t.Errorf("loss %.2f, last heartbeat of the edge %d, watched: %v; want none, 20 and true", loss, r.path.Status().Edge, r.path.Watched())
	}
	if got := c.count.stats().Dropped[dropEdge]; got != 20 { // the first could not be known for one
		t.Errorf("%d dropped, want 20", got)
	}
}

// A last heartbeat says nothing of the ear of a member that is not heard here any more, and ends what the ones before it said.
func TestLastHeartbeatEndsDeafness(t *testing.T) {
	now := time.Now()
	c, r := listener(t, now)
	for i, b := range []wire.Beat{
		{Seq: 1001, Edge: 1, Deaf: true},
		{Seq: 1002, Edge: 2, Deaf: true, Interval: 500_000},
		{Seq: 1003, Edge: 3, Deaf: true},
	} {
		b.Every = 125_000
		c.heartbeat(now.Add(time.Duration(i)*time.Second), r, &b)
		if want := [...]State{StateUp, StateSuspect, StateUp}[i]; r.shown != want {
			t.Errorf("shown %v after heartbeat %d, want %v", r.shown, b.Seq, want)
		}
	}
	if r.suspicion.ended.IsZero() {
		t.Error("the deafness is not remembered")
	}
}

// A machine that slept for a day, a laptop or a paused virtual one, finds the heartbeats of the others numbered hundreds of thousands later,
// while its own monotonic clock, which stood still, explains none of that. It believes the second one; a single one it does not.
func TestHearingAfterTheMachineSlept(t *testing.T) {
	for _, every := range []time.Duration{wire.MinBeat, DefaultBeat} {
		now := time.Now()
		c, r := listener(t, now)
		turns := uint64(8)
		b := wire.Beat{Seq: 2000, Edge: 10, Interval: micros(time.Duration(turns) * every), Every: micros(every)}
		next := func(slept uint64) {
			now = now.Add(time.Duration(turns) * every)
			b.Seq, b.Edge = b.Seq+(1+slept)*turns, b.Edge+1+slept
			c.heartbeat(now, r, &b)
		}
		next(0)
		forged := b
		forged.Seq += 1 << 40
		c.heartbeat(now, r, &forged)
		next(0)
		if r.path.Status().Seq != b.Seq {
			t.Errorf("Beat %v: after a forged one no heartbeat was taken", every)
		}
		next(uint64(24*time.Hour/every) / turns)
		if r.path.Status().Seq == b.Seq {
			t.Errorf("Beat %v: the first heartbeat after a day that did not pass here was taken", every)
		}
		next(0)
		if r.path.Status().Seq != b.Seq {
			t.Errorf("Beat %v: the second heartbeat after a day that did not pass here was not taken either: %v", every, c.count.stats().Dropped)
		}
	}
}

// What the heartbeats of a sleep teach of the path is nothing, however many they were: no loss,
// and no lateness.
func TestPathAfterTheMachineSlept(t *testing.T) {
	for _, slept := range []uint64{2, 3, 5, 20, 500, 15_000} {
		for _, after := range []float64{0.1, 1, 1.7} { // from the last heartbeat to the next, by the clock that slept between
			now := time.Now()
			c, r := listener(t, now)
			b := wire.Beat{Seq: 2000, Edge: 10, Interval: 500_000, Every: 125_000}
			next := func(n uint64, intervals float64) {
				now = now.Add(time.Duration(intervals * float64(500*time.Millisecond)))
				b.Seq, b.Edge = b.Seq+4*n, b.Edge+n
				c.heartbeat(now, r, &b)
			}
			for range 200 {
				next(1, 1)
			}
			next(1+slept, after)
			if loss, late := r.path.Loss(now), r.path.Status().Deviation; loss > path.PriorLoss || late != 0 || r.path.Status().Seq != b.Seq {
				t.Errorf("after a sleep of %d heartbeats, the next after %v intervals: loss %.2f, lateness %v; want none", slept, after, loss, late)
			}
			next(3, 3)
			if loss := r.path.Loss(now); loss < 0.1 {
				t.Errorf("two lost after that: loss %.2f", loss)
			}
		}
	}
}

// A member that beats to fewer from now on promises the next heartbeat sooner. The present one
// was in time by the promise before, which had it come later: what is learnt of the path is
// that it keeps time.
func TestPromiseOfASoonerHeartbeat(t *testing.T) {
	silence := func(rounds ...uint64) (phi float64) {
		now := time.Now()
		c, r := listener(t, now)
		b := wire.Beat{Seq: 2000, Edge: 10, Every: 125_000}
		for _, turns := range rounds {
			for range 2000 {
				b.Seq, b.Edge, b.Interval = b.Seq+turns, b.Edge+1, turns*125_000
				c.heartbeat(now, r, &b)
				now = now.Add(duration(b.Interval))
			}
		}
		return c.member(now.Add(2*duration(b.Interval)), r).Phi // three in all
	}
	if got, want := silence(8, 1), silence(1, 1); got < want-0.1 {
		t.Errorf("after three intervals of silence φ = %.1f, and %.1f where it was promised so soon all along", got, want)
	}
	if got, want := silence(1, 8), silence(8, 8); got < want-0.1 {
		t.Errorf("after three intervals of silence φ = %.1f, and %.1f where it was promised so late all along", got, want)
	}
}
