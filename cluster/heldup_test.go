package cluster

import (
	"testing"
	"time"
)

// A node that stood still after it had asked finds its questions unanswered when it goes on. That says nothing of the member: it
// asks again, and only what is then left unanswered adds to another's doubt.
func TestOwnStallIsNoEvidence(t *testing.T) {
	now := time.Now()
	c, x := listener(t, now)
	m, err := encodeMeta(meta{Boot: 1})
	if err != nil {
		t.Fatal(err)
	}
	c.gossipAlive(now, gossipMember{"y#1", "10.0.0.2:7946", m})
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
