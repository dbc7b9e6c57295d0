package cluster

import (
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// Packets and tables of other members.

// received acts on a packet from another member.
func (c *core) received(now time.Time, buf []byte) {
	if len(buf) > 0 && buf[0] == helloMark {
		c.greeted(now, buf)
		return
	}
	if len(buf) > 0 && (buf[0] == orderMark || buf[0] == reportMark) {
		c.ordered(buf)
		return
	}
	p, err := wire.Decode(buf)
	if err != nil {
		c.count.drop(dropCause(err))
		return
	}
	if len(p.Asks) > wire.MaxParts || len(p.Claims) > wire.MaxParts {
		c.count.drop(dropMalformed)
		return
	}
	from := c.sender(now, p)
	if from == nil {
		return
	}
	c.packetFrom(now, from)
	if p.Beat != nil {
		c.heartbeat(now, from, p.Beat)
	}
	var answers []claim.Claim
	asksUs := false
	for _, a := range p.Asks {
		c.count.receive("ask")
		if a.Name == c.cfg.Name {
			asksUs = true
		} else if answer, ok := c.asked(now, from, a); ok {
			answers = append(answers, answer)
		}
	}
	if asksUs { // however often
		answers = append(answers, c.selfClaim())
	}
	for _, cl := range p.Claims {
		if contrary, ok := c.told(now, from, cl); ok {
			answers = append(answers, contrary)
		}
	}
	if len(answers) > 0 {
		for i := range answers {
			answers[i].Addr = "" // which only memberlist is believed, and it would make the answer longer than the question
		}
		c.send(from, &wire.Packet{Claims: answers})
		c.count.send("claim")
	}
	if asksUs && !c.beatsTo(from.Name) { // it waits in vain: it missed the last heartbeat, which said so
		c.dismiss(now, from)
	}
}

// sender returns the member that a packet names as its sender, or nil where there is no such member in that boot.
func (c *core) sender(now time.Time, p *wire.Packet) *record {
	r := c.members[p.From]
	if r != nil {
		r.touch().crossedAt = now
	}
	switch {
	case p.From == c.cfg.Name:
		c.count.drop(dropOwnName)
	case r == nil || r.plain:
		c.miss(now, p.From, p.Boot)
		c.count.drop(dropStranger)
	case r.Boot != p.Boot:
		if p.Boot > r.Boot {
			c.miss(now, p.From, p.Boot)
		}
		c.count.drop(dropBoot)
		if p.Boot < r.Boot && p.Beat != nil {
			c.who.alive(now, p.From)
		}
	case r.State == claim.Left:
		c.count.drop(dropLeft)
	default:
		return r
	}
	return nil
}

// receivedState acts on the table of another member, which came with memberlist's push/pull. Its sender may be new here, and
// the members that it knows to be down or to have left may be too.
func (c *core) receivedState(now time.Time, buf []byte) {
	p, err := wire.Decode(buf)
	if err != nil {
		c.count.drop(dropCause(err))
		return
	}
	if r := c.members[p.From]; r != nil && r.Boot == p.Boot {
		c.streamCrosses(now, r)
	}
	for _, cl := range p.Claims {
		if c.members[cl.Name] == nil && cl.Name != c.cfg.Name && cl.State != claim.Up && cl.Addr != "" {
			// New here, and to be forgotten no later than by those who knew it.
			age := time.Duration(min(cl.Age, uint64(maxForget/time.Microsecond))) * time.Microsecond
			if age >= c.cfg.ForgetAfter || now.Add(-age).Before(c.horizon) || cl.Boot <= c.forgotten[cl.Name].boot || cl.Epoch > claim.MaxEpoch || cl.Boot > claim.HighestBoot {
				continue
			}
			cl.Age = 0
			r := &record{Claim: cl, near: &untouched}
			c.members[cl.Name] = r
			c.show(now, r, reasonOf(cl))
			r.since = now.Add(-age)
			continue
		}
		c.told(now, nil, cl) // by stream, which says nothing of the way that packets take
	}
}
