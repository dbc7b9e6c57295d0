package cluster

import "time"

// connected tells whether this node has heard from anybody but r since the inquiry about r opened. Where there is nobody else
// to hear from, in a cluster of two, there is nothing to tell a dead member from a dead link, and it counts as connected.
func (c *core) connected(r *record) bool {
	alone := true
	for _, other := range c.members {
		if other == r || other.plain || other.State != StateUp {
			continue
		}
		if other.edge.lastHeard.After(r.inquiry.since) {
			return true
		}
		alone = false
	}
	return alone
}

// checkIsolation begins an isolation when everybody whom this node listens to is overdue and it has heard from nobody
// since. While it lasts, this node judges nobody.
func (c *core) checkIsolation(now time.Time) {
	if c.isolated || c.cfg.Heartbeats == Probes {
		return
	}
	for _, r := range c.members {
		switch {
		case r.plain || r.State != StateUp || !r.edge.watched:
		case r.inquiry == nil || now.Before(r.inquiry.reply) || c.doubt(r) < c.downPhi/2 || c.connected(r):
			return
		}
	}
	c.isolated = true
	c.log.Warn("this node hears nobody any more: isolated")
	c.publish(c.cfg.Name, Event{Kind: Isolated, Member: c.selfMember(), At: now, Reason: ReasonSilent})
}

// reconnect ends an isolation with the first packet of anybody. Whoever is still silent is asked anew, and judged on what
// it leaves unanswered from now on.
func (c *core) reconnect(now time.Time) {
	if !c.isolated {
		return
	}
	c.isolated = false
	c.log.Info("this node hears others again: connected")
	c.publish(c.cfg.Name, Event{Kind: Connected, Member: c.selfMember(), At: now, Reason: ReasonHeard})
	for _, r := range c.inquiries {
		*r.inquiry = inquiry{since: now, askAt: now, reply: now.Add(c.replyTime(r)), suspect: r.inquiry.suspect}
	}
}
