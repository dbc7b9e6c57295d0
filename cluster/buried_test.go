package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// bury has memberlist say that a member is dead, others show that they have heard this node since, and the time for a denial pass.
func bury(c *core, now time.Time, names ...string) time.Time {
	for _, name := range names {
		c.gossipDead(now, name+"#1")
	}
	c.echoed = now.Add(time.Millisecond)
	c.tidyLost(now.Add(2 * time.Millisecond))
	return now.Add(2*time.Millisecond + denialTime)
}

// memberlist's word is a second opinion, not a verdict: without a question of this node's own that went unanswered another's doubt does not
// suffice beside it, nor do such questions without memberlist's word.
func TestMemberlistsWordIsASecondOpinion(t *testing.T) {
	for _, story := range []struct {
		name         string
		buried, asks bool
		doubted      bool // by another
		want         State
	}{
		{"memberlist's word and another's doubt", true, false, true, StateUp},
		{"memberlist's word and this node's own questions", true, true, false, StateDown},
		{"this node's own questions", false, true, false, StateUp},
		{"this node's own questions and another's doubt", false, true, true, StateDown},
	} {
		t.Run(story.name, func(t *testing.T) {
			now := time.Now()
			c, x := listener(t, now)
			y := meet(t, c, now, "y", "10.0.0.2:7946", nil)
			if story.buried {
				now = bury(c, now, "x")
			} else {
				now = now.Add(denialTime)
			}
			c.inquire(now, x, true)
			for end := now.Add(2 * denialTime); now.Before(end); now = now.Add(10 * time.Millisecond) {
				y.edge.lastHeard = now // it goes on beating
				c.echoed = now         // and hears this node
				if x.inquiry != nil && !story.asks {
					x.inquiry.asked, x.inquiry.times = 0, nil // as if it had asked just now
				}
				if story.doubted {
					c.asked(now, y, wire.Ask{Name: "x", Boot: 1, Seq: 1000, Doubt: 1000, Before: 1000, Awaits: 1})
				}
				c.heldUp(now)
				c.wake(now)
			}
			if State(x.State) != story.want {
				t.Errorf("x is %v, want %v", x.State, story.want)
			}
		})
	}
}

// A member that memberlist holds for dead is asked by a few: those who would listen to it if all of whom memberlist says the same were gone.
// Its observers of before may be among those, and if everybody asked, a member with a bad link would have to answer each of them.
func TestFewAskAboutTheBuried(t *testing.T) {
	const members = 40
	name := func(i int) string { return fmt.Sprintf("m%02d", i) }
	begin := time.Now()
	asking, gone := 0, map[string]bool{}
	for self := range members - 1 {
		c := loner(t, begin, Config{Name: name(self)})
		for i := range members {
			if i != self {
				meet(t, c, begin, name(i), fmt.Sprintf("10.0.0.%d:7946", 1+i), nil)
			}
		}
		c.regraph(begin)
		subject := name(members - 1)
		lost := []string{subject}
		for _, o := range c.rings.Successors(subject) {
			lost = append(lost, o)
			gone[o] = true
		}
		if gone[name(self)] {
			continue
		}
		now := bury(c, begin, lost...)
		c.tidyLost(now)
		if c.members[subject].inquiry != nil {
			asking++
		}
	}
	if want := DefaultObservers; len(gone) < want/2 || asking < want/2 || asking > want {
		t.Errorf("%d of %d members ask about one that died with its %d observers, want %d to %d", asking, members, len(gone), want/2, want)
	}
}
