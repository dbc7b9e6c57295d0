package cluster

import (
	"testing"
	"time"
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
				c.asked(now, c.members[name], ask{Name: "x", Boot: 1, Seq: 1000, Doubt: 1000, Awaits: 1})
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
		if known := x.State == StateDown; known != (stall < overslept) {
			t.Errorf("stood still for %v when x was due for a verdict: down at once is %v", stall, known)
		}
		for range 3 {
			step(c.askEvery())
			doubts()
		}
		if x.State != StateDown {
			t.Errorf("stood still for %v: x is %v for good", stall, x.State)
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
		c.asked(now, y, ask{Name: "x", Boot: 1, Seq: 1000, Doubt: 1000, Awaits: 1})
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
	if c.wake(now); x.State != StateUp {
		t.Fatalf("after a stall of its own the node calls x %v on questions that it left unread", x.State)
	}
	wake(50 * time.Millisecond)
	doubt()
	if x.State != StateUp {
		t.Fatalf("x is %v before it could answer anew", x.State)
	}
	wake(400 * time.Millisecond)
	doubt()
	if x.State != StateDown {
		t.Errorf("x is %v, and has not answered since", x.State)
	}
}
