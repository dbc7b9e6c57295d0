package cluster

import (
	"testing"
	"time"
)

// Nodes forget a member at different times where they did not learn of its death at the same. Who has forgotten it is not told
// of the same death again by a table of one that has not, but of another boot's.
func TestForgottenDeathIsNoNews(t *testing.T) {
	now := time.Now()
	c, x := listener(t, now)
	var downs []uint64
	c.publish = func(_ string, e Event) {
		if e.Kind == Down {
			downs = append(downs, e.Member.Boot)
		}
	}
	table := func(boot uint64) {
		cl := claim{Name: "x", Boot: boot, Seq: 3000, State: StateDown, Addr: "10.0.0.1:7946", Age: micros(DefaultForgetAfter - time.Hour)}
		buf := encoded(t, &packet{From: "b", Boot: 1, Claims: []claim{cl}})
		c.receivedState(now, buf)
	}
	c.condemn(now, x, ReasonSilent)
	now = now.Add(DefaultForgetAfter)
	c.tidy(now)
	table(1)
	if len(downs) != 1 || c.members["x"] != nil {
		t.Errorf("told of the death of boots %v, and x is known as %v after it was forgotten; want one, and not known", downs, c.members["x"])
	}
	table(2)
	if len(downs) != 2 || c.members["x"] == nil {
		t.Errorf("told of the death of boots %v, want boot 2 as well", downs)
	}
	now = now.Add(2 * DefaultForgetAfter)
	if c.tidy(now); len(c.members) > 0 {
		t.Errorf("%d members known after twice ForgetAfter", len(c.members))
	}
	now = now.Add(DefaultForgetAfter)
	if c.tidy(now); len(c.forgotten) > 0 {
		t.Errorf("%d members kept in mind for longer than ForgetAfter after they were forgotten", len(c.forgotten))
	}
}
