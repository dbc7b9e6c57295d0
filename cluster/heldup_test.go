package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/attention"
	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// Nor is what others said before it stood still: they may know better since, and have said so.
func TestOwnStallOutdatesOpinions(t *testing.T) {
	for _, stall := range []time.Duration{5 * time.Millisecond, 20 * time.Millisecond, 80 * time.Millisecond, 200 * time.Millisecond} {
		now := time.Now()
		c, x := listener(t, now)
		others := []string{"u", "v", "y", "z"}
		for _, name := range others {
			meet(t, c, now, name, "10.0.0.2:7946", nil)
		}
		c.inquire(now, x, true)
		step := func(d time.Duration) {
			for end := now.Add(d); now.Before(end); {
				now = now.Add(time.Millisecond)
				for _, name := range others {
					c.members[name].edge.lastHeard = now
				}
				c.heldUp(now)
				c.wake(now)
			}
		}
		doubts := func() {
			for _, name := range others {
				c.asked(now, c.members[name], wire.Ask{Name: "x", Boot: 1, Seq: 1000, Doubt: 1000, Before: 1000, Awaits: 1})
			}
		}
		allowed := DefaultBeat + DefaultStallAllowance + minStdDev
		step(allowed - 3*time.Millisecond)
		doubts()
		c.wake(now)
		now = now.Add(stall)
		c.heldUp(now)
		doubts() // waited in its queue, before their newer word
		c.wake(now)
		if known := x.State == claim.Down; known != (stall < attention.Overslept) {
			t.Errorf("stood still for %v when x was due for a verdict: down at once is %v", stall, known)
		}
		for range 3 {
			step(c.askEvery())
			doubts()
		}
		if x.State != claim.Down {
			t.Errorf("stood still for %v: x is %v for good", stall, x.State)
		}
	}
}

// What it asked and what others said counts no more after a stall of its own in which it could have asked again, and counts on after
// a shorter one.
func TestOwnStallBeginsAnew(t *testing.T) {
	for _, stall := range []time.Duration{20 * time.Millisecond, 80 * time.Millisecond, 130 * time.Millisecond, 250 * time.Millisecond} {
		now := time.Now()
		c, x := listener(t, now)
		meet(t, c, now, "y", "10.0.0.2:7946", nil)
		evidence := func() (unanswered, opinions int) {
			for range c.opinions(now, x) {
				opinions++
			}
			return c.unanswered(now, x), opinions
		}
		c.inquire(now, x, true)
		for range 20 {
			now = now.Add(10 * time.Millisecond)
			c.members["y"].edge.lastHeard = now
			c.heldUp(now)
			c.wake(now)
		}
		c.asked(now, c.members["y"], wire.Ask{Name: "x", Boot: 1, Seq: 1000, Doubt: 1000, Before: 1000, Awaits: 1})
		c.wake(now)
		if unanswered, opinions := evidence(); unanswered == 0 || opinions != 1 {
			t.Fatalf("before the stall: %d questions unanswered and %d opinions, want some and 1", unanswered, opinions)
		}
		now = now.Add(stall)
		c.heldUp(now)
		unanswered, opinions := evidence()
		if anew := unanswered == 0 && opinions == 0; anew != (stall > c.askEvery()) || !anew && (unanswered == 0 || opinions == 0) {
			t.Errorf("stood still for %v, asks every %v: %d questions unanswered and %d opinions count on", stall, c.askEvery(), unanswered, opinions)
		}
	}
}

// A node that stood still after it had asked finds its questions unanswered when it goes on. That says nothing of the member: it
// asks again, and only what is then left unanswered adds to another's doubt.
func TestOwnStallIsNoEvidence(t *testing.T) {
	now := time.Now()
	c, x := listener(t, now)
	meet(t, c, now, "y", "10.0.0.2:7946", nil)
	y := c.members["y"]
	doubt := func() { // y says that it doubts
		y.edge.lastHeard = now
		c.asked(now, y, wire.Ask{Name: "x", Boot: 1, Seq: 1000, Doubt: 1000, Before: 1000, Awaits: 1})
	}
	wake := func(d time.Duration) { // as Node.turn does, every 10 ms
		for end := now.Add(d); now.Before(end); {
			y.edge.lastHeard = now // y goes on beating
			now = now.Add(10 * time.Millisecond)
			c.heldUp(now)
			c.wake(now)
		}
	}

	wake(200 * time.Millisecond)
	c.inquire(now, x, true)
	wake(350 * time.Millisecond)
	now = now.Add(200 * time.Millisecond) // it stands still
	c.heldUp(now)
	doubt()
	if c.wake(now); x.State != claim.Up {
		t.Fatalf("after a stall of its own the node calls x %v on questions that it left unread", x.State)
	}
	wake(50 * time.Millisecond)
	doubt()
	if x.State != claim.Up {
		t.Fatalf("x is %v before it could answer anew", x.State)
	}
	wake(400 * time.Millisecond)
	doubt()
	if x.State != claim.Down {
		t.Errorf("x is %v, and has not answered since", x.State)
	}
}

// A node that was cut off, though not for long enough to know that everybody is silent, reads first what waited on the way: doubts of a
// while ago. It believes none of them before whoever is doubted could answer. But an answer that takes its time is no backlog.
func TestBacklogIsNoEvidence(t *testing.T) {
	for _, story := range []struct {
		cutOff, rtt time.Duration
		atOnce      bool // it believes what it reads
	}{
		{300 * time.Millisecond, 0, true},
		{800 * time.Millisecond, 0, false},
		{2 * time.Second, 0, false},
		{800 * time.Millisecond, 600 * time.Millisecond, true},
		{2 * time.Second, 600 * time.Millisecond, false},
	} {
		t.Run(fmt.Sprintf("%v, round trip %v", story.cutOff, story.rtt), func(t *testing.T) {
			now := time.Now()
			c, x := listener(t, now)
			others := []string{"u", "v", "y", "z"}
			for _, name := range others {
				meet(t, c, now, name, "10.0.0.2:7946", nil).edge.rtt = story.rtt
			}
			promises(c, now, c.members["u"], time.Minute) // and is not due yet, so it may still speak
			step := func(d time.Duration, each func()) {
				for end := now.Add(d); now.Before(end); {
					now = now.Add(10 * time.Millisecond)
					each()
					c.heldUp(now)
					c.wake(now)
				}
			}
			doubts := func() {
				for _, name := range others {
					c.received(now, encoded(t, &wire.Packet{From: name, Boot: 1, Asks: []wire.Ask{{Name: "x", Boot: 1, Seq: 1000, Doubt: 1000, Before: 1000, Awaits: 1}}}))
				}
			}
			hear := func() {
				for _, name := range others {
					c.reconnect(now, c.members[name])
					c.members[name].edge.lastHeard = now
				}
			}
			check := func(when string, down bool) {
				t.Helper()
				if got := x.State == claim.Down; got != down {
					t.Errorf("%s: down is %v, want %v", when, got, down)
				}
			}
			step(500*time.Millisecond, hear)
			c.inquire(now, x, true)
			step(story.cutOff, func() {})
			if c.isolated {
				t.Fatal("isolated")
			}
			doubts()
			check("at once", story.atOnce)
			step(c.askEvery()-10*time.Millisecond, hear)
			check("before it could answer", story.atOnce)
			wait := min(2*story.rtt, time.Second) // the hold follows the reply times
			for range 4 + wait/c.askEvery() {
				step(c.askEvery(), doubts)
			}
			check("in the end", true)
		})
	}
}

// What waits on the way while a node is cut off is believed in none of the ways in which a hold could be too short: it stood still
// itself a moment before the first packet comes, or it is cut off again while it listens, so that nobody can contradict.
func TestBacklogIsNeverEvidence(t *testing.T) {
	for _, story := range []string{"cut off", "held up before the first packet", "cut off again"} {
		t.Run(story, func(t *testing.T) {
			now := time.Now()
			c, x := listener(t, now)
			others := []string{"u", "v", "y", "z"}
			for _, name := range others {
				meet(t, c, now, name, "10.0.0.2:7946", nil)
			}
			promises(c, now, c.members["u"], time.Minute) // and is not due yet, so it may still speak
			step := func(d time.Duration, hear bool) {
				for end := now.Add(d); now.Before(end); {
					now = now.Add(10 * time.Millisecond)
					for _, name := range others {
						if hear {
							c.packetFrom(now, c.members[name])
						}
					}
					c.heldUp(now)
					c.wake(now)
				}
			}
			backlog := func() {
				for _, name := range others {
					word := wire.Ask{Name: "x", Boot: 1, Seq: x.Seq, Doubt: 1000, Before: 1000, Awaits: 1}
					c.received(now, encoded(t, &wire.Packet{From: name, Boot: 1, Asks: []wire.Ask{word}}))
				}
			}
			step(500*time.Millisecond, true)
			c.inquire(now, x, true)
			step(2*time.Second, false)
			if story == "held up before the first packet" {
				now = now.Add(50 * time.Millisecond)
				c.heldUp(now)
				c.wake(now)
				now = now.Add(15 * time.Millisecond)
				c.heldUp(now)
			}
			backlog()
			step(40*time.Millisecond, story != "cut off again")
			if story == "cut off again" {
				step(200*time.Millisecond, false)
			}
			if x.State != claim.Up {
				t.Fatalf("x is %v on what waited on the way", x.State)
			}
			for range 4 { // nobody contradicts, and the others say so again
				step(c.askEvery(), true)
				backlog()
			}
			if x.State != claim.Down {
				t.Errorf("x is %v in the end", x.State)
			}
		})
	}
}
