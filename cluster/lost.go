package cluster

import (
	"slices"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
)

// judged tells whether memberlist judges r: it runs memberlist alone, or only streams reach it.
func (c *core) judged(r *record) bool { return r.plain || r.unheard || c.cfg.Heartbeats == Probes }

// tidyLost looks after those that memberlist holds for dead and this node does not. They may be members that memberlist judges,
// and its word came while this node was cut off. Or nobody else knows of them: of members that come and go some are known to one
// other when they die, and later starters never hear of the dead. The others are for heal.
//
// Those who would listen to such a member ask it first. They may not know of it, so after a while every node does that does.
func (c *core) tidyLost(now time.Time) {
	for name, r := range inOrder(c.lost) {
		held := now.Sub(r.lostAt)
		switch {
		case r.State == claim.Left:
			delete(c.lost, name)
		case c.left:
		case c.judged(r) && (r.State != claim.Up || c.cutOff(now, r)):
			r.touch().lostAt = now
		case c.judged(r) && (held >= rejoinTime || r.unheard && now.Sub(r.streamAt) >= denialTime):
			c.condemn(now, r, ReasonMemberlist)
		case c.judged(r) || r.State != claim.Up || r.path.Watched() || r.inquiry != nil || now.Sub(r.seen) < denialTime:
		case held >= denialTime && c.mourns(r) || held >= 3*denialTime && now.Sub(r.seen) >= 3*denialTime:
			c.inquire(now, r, true)
		}
	}
	var unlisted []*record
	for _, r := range c.members { // known from claims alone, and to nobody's memberlist any more
		if r.State == claim.Up && !r.plain && r.gossipName == "" && r.inquiry == nil && now.Sub(r.seen) >= denialTime {
			unlisted = append(unlisted, r)
		}
	}
	for _, r := range byName(unlisted) {
		c.inquire(now, r, true)
	}
}

// mourns tells whether it is for this node to ask about r, whom memberlist holds for dead: it would listen to r if only those were there of
// whom memberlist does not say the same. If all asked, a member with a bad link would answer to each of them.
func (c *core) mourns(r *record) bool {
	lost := func(name string) bool { return c.lost[name] != nil }
	return slices.Contains(c.rings.Without(lost, r.Name), c.cfg.Name)
}

// nobodyElseKnows tells whether this node's doubt about r is enough, as nobody else has one: either r's host refuses connections,
// or memberlist does not hold r for alive, and there was time for a denial, by r or anybody, since the last sign of life and since
// others heard this node and it them.
func (c *core) nobodyElseKnows(now time.Time, r *record) bool {
	if c.isolated {
		return false
	}
	if r.refused && r.shutAt.After(r.seen) && r.shutAt.After(r.edge.lastHeard) {
		return true
	}
	if c.lost[r.Name] == nil && r.gossipName != "" {
		return false
	}
	since := r.seen
	for _, t := range []time.Time{r.lostAt, r.edge.lastHeard, c.connected, r.inquiry.firstAsk} {
		if t.After(since) {
			since = t
		}
	}
	return now.Sub(since) >= denialTime && c.echoed.After(since)
}

// denialTime is what memberlist's gossip takes to tell a member that it is held for dead, and to bring back its denial, with some to spare:
// a second or two each way, where packets are lost too.
const denialTime = 5 * time.Second

// cutOff tells whether it is this node that hears nobody, so that memberlist's word about r says nothing of r.
func (c *core) cutOff(now time.Time, r *record) bool {
	return c.isolated || c.cfg.Heartbeats == Probes && !c.probesArrive(now, r)
}

// rejoinTime is how long memberlist is given, after the end of an isolation, to find those that it held for dead meanwhile: the
// longest pause between two knocks of heal. Found it has them within 40 s (7 isolations of 130 to 400 s).
const rejoinTime = 90 * time.Second

// hint acts on memberlist's word that r is dead where heartbeats are judged.
func (c *core) hint(now time.Time, r *record) {
	switch {
	case r.inquiry == nil && !r.path.Watched() && (slices.Contains(c.duty, r) || c.newcomer(now, r) && c.mourns(r)):
		c.inquire(now, r, true) // perhaps nobody listens to it, or the verdict came before its name did
	case r.path.Watched():
		c.question(now, r) // perhaps its goodbye was lost on the way here
	}
}
