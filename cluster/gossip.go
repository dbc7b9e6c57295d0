package cluster

import (
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// A member's name in memberlist is its own name, "#", and the start time of its process. So each boot is a member of its own
// for memberlist: a restart is seen at once however fast it was, at the same or another address, where memberlist would
// otherwise notice nothing, or call it a conflict until the old one is dead.
func gossipName(name string, started time.Time) string {
	return name + "#" + strconv.FormatInt(started.UnixMicro(), 36)
}

func memberName(gossipName string) string {
	if i := strings.LastIndexByte(gossipName, '#'); i >= 0 {
		return gossipName[:i]
	}
	return gossipName
}

// gossipMember is a member as memberlist reports it.
type gossipMember struct {
	name string // in memberlist
	addr string
	meta []byte
}

// gossipAlive acts on memberlist's report that a member joined, is back, or changed its metadata.
func (c *core) gossipAlive(now time.Time, g gossipMember) {
	if g.name == c.gossipName {
		return
	}
	m, err := decodeMeta(g.meta)
	if err == errForeignMeta {
		c.plainAlive(now, g)
		return
	}
	name := memberName(g.name)
	if err != nil || wire.BadName(name) != "" || name == "" || m.Boot > claim.HighestBoot {
		c.count.drop(dropMalformed)
		return
	}
	c.list(now, g, m.Boot)
	if name == c.cfg.Name {
		c.namesakes[g.name] = g
		switch {
		case m.Boot >= claim.HighestBoot:
			c.count.drop(dropMalformed)
		case !c.speaks():
			c.before = max(c.before, m.Boot)
		case m.Boot > claim.MaxForeignBoot+claim.BootRoom:
			c.count.drop(dropMalformed)
		case m.Boot >= c.boot && !c.left:
			c.who.alive(now.Add(flightTime), name)
			c.out.contests = append(c.out.contests, g)
		}
		return
	}
	if m.Boot == 0 { // still joining
		if r := c.members[name]; r != nil {
			r.touch().successor = now
		}
		return
	}
	r := c.members[name]
	if r != nil && r.plain {
		r.plain = false // and its boot, 0, is over
	}
	switch {
	case r == nil:
		r = &record{Claim: claim.Claim{Name: name, Boot: m.Boot, State: claim.Up}, near: &untouched}
		c.members[name] = r
		c.introduce(now, r, g, m)
		c.show(now, r, ReasonJoined)
	case m.Boot > r.Boot:
		c.restart(now, r, m.Boot)
		c.introduce(now, r, g, m)
		c.show(now, r, ReasonRestarted)
	case r.Boot > claim.MaxForeignBoot && g.name == r.gossipName && m.Boot < r.Boot:
		// Made up, as the process itself says otherwise.
		c.restart(now, r, m.Boot)
		c.introduce(now, r, g, m)
		c.show(now, r, ReasonRestarted)
	case m.Boot == r.Boot:
		changed, sick := !maps.Equal(r.tags, m.Tags), r.health != m.Health
		fresh := r.gossipName == "" && r.State != claim.Up // known from claims so far, and to nobody as up without its tags
		c.introduce(now, r, g, m)
		switch {
		case fresh:
		case changed:
			c.publish(name, c.event(now, r, Updated, ReasonTags))
		case sick:
			c.publish(name, c.event(now, r, Updated, ReasonHealth))
		}
	case c.cfg.Heartbeats == Ring:
		c.who.replaced(now, g.name)
	}
}

// introduce takes what only memberlist brings: where a member is, and its tags.
func (c *core) introduce(now time.Time, r *record, g gossipMember, m meta) {
	before := r.gossipName
	if before != g.name {
		c.unlink(now, r)
	}
	r.gossipName, r.Addr, r.tags, r.health = g.name, g.addr, m.Tags, min(m.Health, HealthWedged)
	if !r.plain {
		r.listed = true
		delete(c.listed, g.name)
	}
	delete(c.lost, r.Name)
	if r.met.IsZero() {
		r.met = now
	}
	if r.upAt.IsZero() {
		r.upAt = now
	}
	if r.seen.IsZero() {
		r.seen = now
	}
	if _, ok := c.atSeed[g.addr]; ok {
		c.atSeed[g.addr], c.seedNames[g.addr] = r, r.Name
	}
	if c.transportKnows(r) {
		if old := c.listing(before); before != g.name && old != nil && old.boot < m.Boot {
			c.who.replaced(now, before)
		}
		c.who.introduce(before, g.name, c.over(r))
	}
	c.noteAddress(now, r)
	c.displace(r)
}

// transportKnows tells whether the transport is to know of r.
func (c *core) transportKnows(r *record) bool {
	return r.gossipName != "" && !r.plain && c.cfg.Heartbeats == Ring
}

// over tells whether the process of r is over. Only memberlist reaches those that it judges, whatever they are.
func (c *core) over(r *record) bool {
	return !c.judged(r) && (r.State == claim.Down || r.State == claim.Left)
}

// plainAlive acts on a member that runs memberlist alone: memberlist judges it.
func (c *core) plainAlive(now time.Time, g gossipMember) {
	r := c.members[g.name]
	if wire.BadName(g.name) != "" {
		c.count.drop(dropMalformed)
		return
	}
	if r != nil && !r.plain || g.name == c.cfg.Name {
		c.count.drop(dropName)
		return
	}
	if r == nil {
		r = &record{Claim: claim.Claim{Name: g.name}, plain: true, near: &untouched}
		c.members[g.name] = r
	}
	reason := ReasonJoined
	if r.shown != StateUnknown {
		reason = ReasonMemberlist
	}
	r.State = claim.Up
	c.introduce(now, r, g, meta{})
	c.show(now, r, reason)
}

// gossipDead acts on memberlist's report that a member left or died, which of the two it does not say. Where heartbeats are
// judged, that is no more than a hint.
func (c *core) gossipDead(now time.Time, name string) {
	delete(c.namesakes, name)
	c.unlist(now, name)
	r := c.byGossip(name)
	if r == nil || c.left {
		return
	}
	c.lost[r.Name] = r // memberlist does not say so twice
	r.touch().lostAt = now
	switch {
	case r.State != claim.Up || c.judged(r) && c.cutOff(now, r):
	case !c.judged(r):
		c.hint(now, r)
	case now.Sub(c.connected) >= rejoinTime:
		c.condemn(now, r, ReasonMemberlist)
	}
}

// gossipAck acts on an acknowledged probe of memberlist's: a sign of life with a round-trip time.
func (c *core) gossipAck(now time.Time, a gossipAck) {
	r := c.byGossip(a.name)
	if r == nil {
		return
	}
	r.edge.rtt = max(0, a.rtt)
	if r.plain { // it has no boot to tell
		c.acked(now, r)
		return
	}
	var s sign
	if err := wire.UnmarshalSummed(a.payload, &s); err != nil {
		c.count.drop(dropCause(err))
		return
	}
	if s.Boot != r.Boot {
		c.count.drop(dropBoot)
		return
	}
	if s.Epoch > claim.MaxEpoch {
		c.count.drop(dropEpoch)
		return
	}
	c.acked(now, r)
	wasDown := r.State == claim.Down
	if !c.heard(now, r, s.Epoch, s.Seq) && wasDown {
		return
	}
	if c.cfg.Heartbeats == Probes && r.State == claim.Up {
		p := c.pathTo(r)
		if wasDown {
			p.Close()
		}
		p.Acknowledge(now, max(p.Interval(), c.probedEvery()))
		c.watching[r.Name] = r
	}
	c.alive(now, r)
}

// acked notes an acknowledged probe: r lives, whatever memberlist still says of it.
func (c *core) acked(now time.Time, r *record) {
	if c.lost[r.Name] != nil {
		r.touch().lostAt = now
	}
	c.echoed = now.Add(-r.edge.rtt)
	c.packetFrom(now, r)
}

// probedEvery is how often memberlist probes each member: one every probe interval, in turn, the dead for a while too, and those that run
// memberlist alone.
func (c *core) probedEvery() time.Duration {
	return time.Duration(max(1, c.rings.Len()-1+c.plain)) * probeInterval
}

// mostUnprobed is how long a member may go without an ack though it lives: memberlist probes its members in rounds of random order, so
// two probes of one are up to 2n−1 intervals apart (Das, Gupta and Motivala, SWIM, DSN 2002), and one of those may find nobody to probe.
func (c *core) mostUnprobed() time.Duration { return 2*c.probedEvery() + probeInterval }

// rewatch begins the history of acks anew where the cluster has grown, and each member is probed less often. Where it has shrunk
// the history learns.
func (c *core) rewatch() {
	for _, r := range c.members {
		if r.path.Watched() && r.path.Interval() < c.probedEvery() {
			r.path.Relearn(c.probedEvery())
		}
	}
}

// sign is what a node answers memberlist's probes with.
type sign struct {
	Boot  uint64
	Epoch uint64
	Seq   uint64
}
