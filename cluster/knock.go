package cluster

import (
	"errors"
	"syscall"
	"time"
)

// Heartbeats and questions are packets (UDP). Some networks let only streams (TCP) through, and some members are not heard
// because nobody is there any more: a stream tells the two apart. So a member of whom no packet was ever heard is knocked at,
// a connection to its port and nothing more, before its silence is held against it:
//
//   - The host refuses: it is reached, and no process listens there. That is evidence of death.
//   - Nobody answers: packets and streams are lost alike, and silence counts.
//   - Somebody accepts: the member may well live. It is unheard: suspect, and judged by memberlist, which probes by stream
//     where packets are lost.
//
// Members that were heard are not knocked at: the host of a process that stands still accepts for it.

// knocked is what a knock came to.
type knocked struct {
	at      time.Time
	name    string
	boot    uint64
	refused bool
	open    bool // somebody accepted
}

// knocking is a knock that the core asks for.
type knocking struct {
	name, addr string
	boot       uint64
}

const (
	// knockEvery is the time between two knocks at one member.
	knockEvery = 2 * time.Second
	// mostKnocks bounds the knocks under way.
	mostKnocks = 64
)

// knockTime is how long somebody may take to accept.
func (c *core) knockTime() time.Duration { return max(c.cfg.StallAllowance, 100*time.Millisecond) }

// knock asks for a knock at r, unless there was one lately.
func (c *core) knock(now time.Time, r *record) {
	if now.Sub(r.knockAt) < knockEvery || c.knocks >= mostKnocks || r.Addr == "" {
		return
	}
	r.touch().knockAt = now
	c.knocks++
	c.out.knocks = append(c.out.knocks, knocking{r.Name, r.Addr, r.Boot})
}

// knockEnded takes what a knock came to.
func (c *core) knockEnded(now time.Time, k knocked) {
	c.knocks--
	r := c.members[k.name]
	if r == nil || r.Boot != k.boot {
		return
	}
	if k.open {
		n := r.touch()
		n.streamAt, n.refused = now, false
	} else {
		n := r.touch()
		n.shutAt, n.refused = now, k.refused
	}
	if k.refused && c.isolated {
		c.setApart(now, r, ReasonRefused)
	}
	if r.inquiry != nil {
		c.pursue(now, r)
	}
}

// streamCrosses notes that a stream of r crossed, where anybody would ask.
func (c *core) streamCrosses(now time.Time, r *record) {
	if r.inquiry != nil || r.unheard || c.isolated || len(c.twins) > 0 {
		r.touch().streamAt = now
	}
}

// heardSinceUp tells whether a packet of r came since it is up, under whatever boot: if none did, silence is nothing new.
func (c *core) heardSinceUp(r *record) bool {
	return !r.edge.lastHeard.Before(r.upAt) || !r.crossedAt.Before(r.upAt)
}

// packetsCross tells whether packets of r reached anybody who looks into its silence: then silence is news.
func (c *core) packetsCross(r *record) bool {
	if c.heardSinceUp(r) {
		return true
	}
	for _, o := range r.inquiry.opinions {
		if o.awaits > 0 { // it listens to r
			return true
		}
	}
	return false
}

// unhear shows r as one that only streams reach, until a packet of it comes.
func (c *core) unhear(now time.Time, r *record) {
	c.endInquiry(r)
	if !r.unheard {
		c.log.Warn("a member is reached by streams (TCP) only; do firewalls let UDP through to its port, and back?",
			"member", r.Name, "addr", r.Addr)
	}
	r.unheard = true
	c.suspect(now, r, ReasonUnheard)
}

// packetFrom notes that a packet of r came, whatever is in it.
func (c *core) packetFrom(now time.Time, r *record) {
	r.edge.lastHeard = now
	if r.called > 0 {
		r.called = 0
	}
	if in := r.inquiry; in != nil && in.asked > 0 && !c.isolated {
		c.room.Answered(now, now.Sub(in.firstAsk) > c.replyTime(r))
	}
	if r.unheard {
		r.unheard = false
		c.trust(now, r)
	}
	c.rejoin(now, r)
	c.reconnect(now, r)
	c.tellOwed(now, r, true)
}

// knockAt connects to a member's port and hangs up.
func (n *Node) knockAt(k knocking) {
	n.background(func() {
		result := knocked{name: k.name, boot: k.boot}
		conn, err := n.transport.DialTimeout(k.addr, n.core.knockTime())
		switch {
		case err == nil:
			conn.Close()
			result.open = true
		case errors.Is(err, syscall.ECONNREFUSED):
			result.refused = true
		}
		result.at = time.Now()
		n.inbox.put(result)
	})
}
