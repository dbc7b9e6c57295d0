package cluster

import (
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// A member beats to one observer after the other. While the one whose turn came after the latest known heartbeat says nothing, that
// one may have been sent, and the member's stall may have begun a Beat later than it seems.
func TestSilentObserverMayHaveHeardMore(t *testing.T) {
	const beat, doubt = DefaultBeat, 1000 // ten decades, from each
	type opinion struct {
		of     string
		awaits uint64
	}
	for _, story := range []struct {
		name     string
		opinions []opinion
		beats    time.Duration // what is added to the allowance
	}{
		{"all speak", []opinion{{"y", 1}, {"z", 2}}, 0},
		{"the next is silent", []opinion{{"y", 2}, {"z", 3}}, 1},
		{"the next two are silent", []opinion{{"y", 3}, {"z", 4}}, 2},
		{"the next three are silent", []opinion{{"y", 4}, {"z", 5}}, mostUntold},
		{"nobody who speaks listens", []opinion{{"y", 0}, {"z", 0}}, mostUntold},
	} {
		t.Run(story.name, func(t *testing.T) {
			begin := time.Now()
			c, x := listener(t, begin)
			for _, o := range story.opinions {
				meet(t, c, begin, o.of, "10.0.0.2:7946", nil)
			}
			c.inquire(begin, x, true)
			var downAt time.Duration
			for at := time.Duration(0); x.State == claim.Up && at < 2*time.Second; at += time.Millisecond {
				now := begin.Add(at)
				for _, o := range story.opinions {
					if from := c.members[o.of]; at%(5*time.Millisecond) == 0 {
						from.edge.lastHeard = now // it goes on beating
						c.asked(now, from, wire.Ask{Name: "x", Boot: 1, Seq: 1000, Doubt: doubt, Before: doubt, Awaits: o.awaits})
					}
				}
				c.wake(now)
				downAt = at
			}
			if want := DefaultStallAllowance + minStdDev + (1+story.beats)*beat; downAt != want {
				t.Errorf("down after %v of silence, want %v", downAt, want)
			}
		})
	}
}

// Who listens knows which heartbeat is its next, from the last one and its promise, also where some were lost or told by others.
func TestAwaits(t *testing.T) {
	now := time.Now()
	c, x := listener(t, now)
	if got := c.awaits(x); got != 0 {
		t.Errorf("awaits %d before it listens, want 0: none", got)
	}
	b := wire.Beat{Seq: 1003, Edge: 1, Interval: micros(7 * DefaultBeat), Every: micros(DefaultBeat)}
	c.heartbeat(now, x, &b)
	for seq, want := range map[uint64]uint64{1000: 10, 1003: 7, 1004: 6, 1009: 1, 1010: 7, 1012: 5, 1017: 7} {
		x.Seq = seq
		if got := c.awaits(x); got != want {
			t.Errorf("after heartbeat %d awaits the %dth from there, want the %dth", seq, got, want)
		}
	}
}
