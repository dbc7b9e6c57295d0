package cluster

import (
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// A doubt counts for a verdict if it was given after the longest stall could have ended, and only as far as it is about what was
// missing before such a stall could have begun.
func TestDoubtsThatAStallExplains(t *testing.T) {
	const allowed = DefaultBeat + DefaultStallAllowance + minStdDev
	for _, story := range []struct {
		name   string
		before uint64        // what each of the others says that no stall explains, in hundredths
		until  time.Duration // when they say it for the last time
		down   bool
	}{
		{"old doubts, told to the end", 1000, 2 * allowed, true},
		{"doubts that a stall explains", 0, 2 * allowed, false},
		{"old doubts, told too early", 1000, allowed - 2*minStdDev, false},
	} {
		t.Run(story.name, func(t *testing.T) {
			begin := time.Now()
			c, x := listener(t, begin)
			others := []string{"u", "v", "y", "z"}
			for _, name := range others {
				meet(t, c, begin, name, "10.0.0.2:7946", nil)
			}
			c.inquire(begin, x, true)
			x.touch().crossedAt = begin
			for at := time.Duration(0); at < allowed+100*time.Millisecond; at += time.Millisecond {
				now := begin.Add(at)
				for _, name := range others {
					c.members[name].edge.lastHeard = now
					if at <= story.until && at%(5*time.Millisecond) == 0 {
						c.asked(now, c.members[name], wire.Ask{Name: "x", Boot: 1, Seq: 1000, Doubt: 1000, Before: story.before, Awaits: 1})
					}
				}
				if x.inquiry != nil && !story.down {
					x.inquiry.times = nil // this node's own questions explain nothing either
				}
				c.heldUp(now)
				c.wake(now)
			}
			if down := x.State == claim.Down; down != story.down {
				t.Errorf("down: %v, want %v", down, story.down)
			}
		})
	}
}

// Questions about one member become rarer with their number, whatever is answered, and are forgotten with time.
func TestQuestionsBecomeRarer(t *testing.T) {
	now := time.Now()
	c, x := listener(t, now)
	asked := func(d time.Duration) (n int) {
		for end := now.Add(d); now.Before(end); now = now.Add(time.Millisecond) {
			if x.inquiry == nil {
				c.inquire(now, x, false)
			}
			before := x.askedAt
			c.pursue(now, x)
			if x.askedAt.After(before) {
				n++
				c.signOfLife(x, now) // an answer to each
			}
		}
		return n
	}
	first, later := asked(time.Second), asked(20*time.Second)
	if first < 5 || later > 20*5 {
		t.Errorf("%d questions in the first second and %d in the next twenty, want 5 at least and 100 at most", first, later)
	}
	now = now.Add(time.Minute)
	if again := asked(time.Second); again < first/2 {
		t.Errorf("%d questions in a second after a minute of peace, want about %d again", again, first)
	}
}
