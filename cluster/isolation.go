package cluster

import "time"

// checkIsolation begins an isolation when every member that this node listens to is silent, has been asked in vain, and nobody
// else has said a word meanwhile. While it lasts this node judges nobody, for want of supporters. Members that run memberlist alone
// speak in acks only, which may be far apart: beside them an isolation may begin between two acks and end with the next.
func (c *core) checkIsolation(now time.Time) {
	if c.isolated {
		return
	}
	silent := 0
	for _, r := range c.members {
		switch {
		case r.State != StateUp:
		case now.Sub(r.edge.lastHeard) < c.cfg.StallAllowance:
			return // somebody said something
		case r.plain:
			if now.Sub(r.edge.lastHeard) < recentProbe {
				return // it speaks in acks only, when its turn has come to be probed
			}
		case r.Seq == 0 && now.Sub(r.met) >= 4*c.patience(): // no newcomer, and nobody ever heard it: it did not fall silent just now
		case r.inquiry != nil && r.inquiry.urgent && c.unanswered(now, r) > 1:
			silent++
		case r.edge.watched:
			return // somebody may still speak
		}
	}
	if silent < 2 { // in a cluster of two there is no isolation
		return
	}
	c.isolated = true
	c.log.Warn("this node hears nobody any more: isolated")
	c.publish(c.cfg.Name, Event{Kind: Isolated, Member: c.selfMember(), At: now, Reason: ReasonSilent})
}

// reconnect ends an isolation with the first packet of anybody. Whoever is still silent is asked anew, and judged by what
// is left unanswered from now on. With Probes nothing begins an isolation: this node was cut off
// if nobody said a word for longer than any one member may be silent.
//
// Before everybody is asked in vain a node may hear others again: one that is cut off again and again is used to seconds of silence, and
// asks some of them only. What comes first then is what waited on the way, the doubts of a while ago among it, of others perhaps that
// were cut off as well. So it goes on as one that stood still itself.
func (c *core) reconnect(now time.Time, by *record) {
	if c.cfg.Heartbeats == Probes && !c.heardAt.IsZero() && now.Sub(c.heardAt) > c.mostUnprobed() && !c.aloneWith(by) {
		c.connected = now
	}
	vainSince := c.vainSince
	c.heardAt, c.vainSince = now, time.Time{}
	if !c.isolated {
		if missed := now.Sub(vainSince); !vainSince.IsZero() && missed >= max(c.cfg.StallAllowance, c.replyTime(by)) {
			c.listenAnew(now, missed)
		}
		return
	}
	c.isolated, c.connected = false, now
	c.log.Info("this node hears others again: connected")
	c.publish(c.cfg.Name, Event{Kind: Connected, Member: c.selfMember(), At: now, Reason: ReasonHeard})
	for _, r := range c.inquiries {
		r.inquiry.asked = 0 // what it left unanswered tells nothing of its path
		c.signOfLife(r, now)
	}
	for _, r := range c.lost {
		if !r.lostAt.IsZero() { // what memberlist said meanwhile is weighed anew
			r.lostAt, r.backedAt = now, time.Time{}
		}
	}
}
