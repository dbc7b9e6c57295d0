package cluster

import (
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
)

// This node itself.

// speaks tells whether this node has an identity to speak under.
func (c *core) speaks() bool { return c.boot != 0 }

// assume gives this node a boot, at Join or when it has to begin anew, and makes it known.
func (c *core) assume(boot uint64) {
	c.boot, c.epoch = boot, 0
	c.out.meta = true
}

// selfClaim is what this node says of itself.
func (c *core) selfClaim() claim.Claim {
	cl := claim.Claim{Name: c.cfg.Name, Boot: c.boot, Epoch: c.epoch, Seq: c.seq, State: c.selfState(), Addr: c.addr}
	if c.death != "" {
		cl.Basis = &claim.Basis{By: []string{c.cfg.Name}, Exit: c.death}
	}
	return cl
}

// selfState is what this node says of itself.
func (c *core) selfState() claim.State {
	switch {
	case c.death != "":
		return claim.Down
	case c.left:
		return claim.Left
	}
	return claim.Up
}

// leave says goodbye: the caller sends what is in out, and waits for the gossip.
func (c *core) leave(now time.Time) {
	c.left, c.since = true, now
	for _, r := range inOrder(c.members) { // the others stop beating to it: that says nothing of them
		c.endInquiry(r)
		r.suspicion.end(now)
		c.show(now, r, ReasonHeard)
	}
	c.spread(now, c.selfClaim())
	c.sendFlood()
}

// mergeSelf takes what others say of this node.
func (c *core) mergeSelf(now time.Time, cl claim.Claim) (later claim.Claim, ok bool) {
	if !c.speaks() { // it may hear of its own boot to be, one above
		if cl.Boot >= claim.HighestBoot {
			c.count.drop(dropMalformed)
		} else {
			c.before = max(c.before, cl.Boot)
		}
		return claim.Claim{}, false
	}
	next, act := claim.Refute(claim.Self{Boot: c.boot, Epoch: c.epoch}, cl)
	switch {
	case act == claim.Malformed:
		c.count.drop(dropMalformed)
	case c.left:
	case act == claim.WrongEpoch:
		c.count.drop(dropEpoch)
	case act == claim.Answer:
		return c.selfClaim(), true
	case act == claim.Rise && next.Boot != c.boot:
		c.log.Warn("somebody says that this node is over, as nothing in its boot can be refuted; beginning anew", "is", cl.State, "boot", cl.Boot)
		c.assume(next.Boot)
		c.tellAccused(now, cl)
	case act == claim.Rise:
		c.count.receive("claim")
		c.epoch = next.Epoch
		c.tellAccused(now, cl)
		c.spread(now, c.selfClaim())
		return c.selfClaim(), true
	}
	return claim.Claim{}, false
}
