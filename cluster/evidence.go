package cluster

import (
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
)

// told takes up a claim that came as such, in an answer, a flood or a table. A later heartbeat alone does not contradict it: two who
// hear a member, and are further apart than its heartbeats, would answer each other for ever.
func (c *core) told(now time.Time, from *record, cl claim.Claim) (contrary claim.Claim, ok bool) {
	if c.alleged(now, cl) {
		return claim.Claim{}, false
	}
	later, ok := c.merge(now, from, cl)
	return later, ok && (later.State != cl.State || later.Boot != cl.Boot)
}

// oldVerdict is the age from which a verdict is no news: flood and gossip take a fraction of it to reach everybody. Who is told later
// was not connected to who gave it.
const oldVerdict = 2 * time.Second

// alleged takes up an old verdict of another member, from its table or in an answer, about one that is up here. It may come from the
// other half of a network that was cut, which calls all of this half down, and this node knows no later evidence of members to whom it
// does not listen. So it asks the member first (see pursue). It reports false for all other claims.
func (c *core) alleged(now time.Time, cl claim.Claim) bool {
	r := c.members[cl.Name]
	if r == nil || r.plain || r.State != claim.Up || r.path.Watched() || cl.State != claim.Down || cl.Boot != r.Boot || !cl.After(r.Claim) ||
		cl.Epoch > claim.MaxEpoch || duration(cl.Age) < oldVerdict || !c.speaks() || c.left || c.isolated || c.cfg.Heartbeats == Probes {
		return false
	}
	if r.inquiry == nil {
		c.open(now, r, &inquiry{alleged: &cl})
	}
	if r.inquiry != nil {
		r.inquiry.alleged = &cl
	}
	return true
}

// heard takes evidence from the member itself: it lived when it sent heartbeat seq. It reports whether that was later than
// what was known.
func (c *core) heard(now time.Time, r *record, epoch, seq uint64) bool {
	up := r.Claim
	up.State, up.Epoch, up.Seq, up.Basis = claim.Up, epoch, seq, nil
	if !up.After(r.Claim) {
		return false
	}
	was, wasDown := r.Claim, r.State == claim.Down
	if wasDown {
		r.upAt = now
	}
	r.edge.lastHeard = now
	r.take(up)
	c.survived(now, r)
	if wasDown {
		c.absolve(now, r, was)
		c.spread(now, up)
		c.show(now, r, ReasonHeard)
	}
	return true
}

// take makes a later claim about the present boot the latest. In a new epoch the member counts its heartbeats itself: what
// was believed of them before may have been made up, and a verdict to be refuted by a heartbeat that never comes.
func (r *record) take(cl claim.Claim) {
	if cl.Epoch > r.Epoch && r.accusedSeq > 0 {
		r.accusedSeq = min(r.accusedSeq, max(1, cl.Seq))
	}
	r.Claim = cl
}

// merge takes a claim of somebody (from may be nil) about anybody. Where this node knows later, it returns that instead,
// for an answer on the same path.
func (c *core) merge(now time.Time, from *record, cl claim.Claim) (later claim.Claim, ok bool) {
	if cl.Name == c.cfg.Name {
		return c.mergeSelf(now, cl)
	}
	r := c.members[cl.Name]
	if r == nil || r.plain {
		c.count.drop(dropAbout)
		return claim.Claim{}, false
	}
	if cl.Epoch > claim.MaxEpoch {
		c.count.drop(dropEpoch)
		return claim.Claim{}, false
	}
	c.count.receive("claim")
	heard := now.Add(-duration(cl.Age))
	cl.Addr, cl.Age = r.Addr, 0 // only memberlist says where a member is
	switch order := cl.Compare(r.Claim); {
	case order < 0:
		known := r.Claim
		if cl.State == claim.Down && known.State == claim.Up && cl.Boot == known.Boot {
			c.accused(now, r, cl, known)
		}
		known = r.aged(now)
		known.Addr = ""
		return known, true
	case order > 0 && cl.Boot > r.Boot:
		if cl.Boot > claim.MaxForeignBoot { // the member itself would not go above it: see there
			c.count.drop(dropMalformed)
			return claim.Claim{}, false
		}
		if cl.State == claim.Up {
			// A boot that memberlist has not brought yet; it will, with address and tags.
			c.miss(now, cl.Name, cl.Boot)
			return claim.Claim{}, false
		}
		c.restart(now, r, cl.Boot)
		r.Claim = cl
		c.show(now, r, reasonOf(cl))
		c.spread(now, cl)
	case order > 0:
		c.adopt(now, from, r, cl, heard)
	case from == r: // nothing new in it but the sign of life
		c.alive(now, r)
	}
	return claim.Claim{}, false
}

// adopt takes a later claim about the present boot of r.
func (c *core) adopt(now time.Time, from, r *record, cl claim.Claim, heard time.Time) {
	before := r.Claim
	r.take(cl)
	switch {
	case cl.State != claim.Up:
		c.endInquiry(r)
		if cl.State == claim.Left {
			c.unwatch(now, r)
		}
		c.show(now, r, reasonOf(cl))
	case from == r:
		c.alive(now, r)
	default:
		if before.State != claim.Up && heard.After(r.since) { // or else it was known better before, and is not back
			r.upAt = now
		}
		// Somebody's opinion counts when the evidence was heard,
		// as its holder says, or at the due time of the heartbeat that it names, but not when it came.
		if sent, ok := r.path.Sent(cl.Seq); ok {
			if sent.After(heard) && sent.Before(now) {
				heard = sent
			}
			r.path.Alive(heard)
		}
		c.signOfLife(r, heard)
		if r.apart && heard.After(r.since) {
			c.rejoin(now, r)
		}
		if r.inquiry != nil && !r.path.Watched() && now.Before(c.allowed(now, r)) {
			c.endInquiry(r) // others listen to it, and heard it just now
			c.trust(now, r)
		}
	}
	c.survived(now, r)
	if before.State != r.State {
		switch {
		case cl.State == claim.Down:
			c.accused(now, r, cl, before)
		case before.State == claim.Down:
			c.absolve(now, r, before)
			cl.Age = micros(now.Sub(heard))
		default:
			cl.Age = micros(now.Sub(heard))
		}
		c.spread(now, cl)
		if r.unheard && r.State == claim.Up {
			c.suspect(now, r, ReasonUnheard)
		}
		c.show(now, r, ReasonHeard)
	}
	c.review(now, r)
}

// alive takes a sign of life from the member itself that is no heartbeat.
func (c *core) alive(now time.Time, r *record) {
	c.signOfLife(r, now)
	switch {
	case r.State != claim.Up:
	case r.path.Watched():
		r.path.Alive(now)
	case r.inquiry != nil:
		c.endInquiry(r)
		c.trust(now, r)
	}
	c.review(now, r)
}

// restart ends the present boot of r and begins another one.
func (c *core) restart(now time.Time, r *record, boot uint64) {
	if r.shown == StateUp || r.shown == StateSuspect {
		e := c.event(now, r, Down, ReasonRestarted)
		e.Member.State, e.Member.Since = StateDown, now
		c.publish(r.Name, e)
		c.log.Info("member restarted", "member", r.Name, "old", r.Boot, "new", boot)
	}
	c.unlink(now, r)
	c.unwatch(now, r)
	c.endInquiry(r)
	r.met, r.seen, r.upAt = time.Time{}, now, now
	r.unheard, r.apart = false, false
	r.renew()
	r.path, r.edge = r.path.Renew(c.fresh), edge{}
	r.shown = StateUnknown
	r.Claim = claim.Claim{Name: r.Name, Boot: boot, State: claim.Up, Addr: r.Addr}
	delete(c.gone, r.Name)
	c.displace(r)
}

// reasonOf is that of an event about a claim of the end of a boot.
func reasonOf(c claim.Claim) string {
	switch {
	case c.State == claim.Left:
		return ReasonLeft
	case c.Exit() != "":
		return ReasonExited
	}
	return ReasonVerdict
}
