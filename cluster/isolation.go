package cluster

import (
	"math"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
)

// checkIsolation begins an isolation when every member that this node listens to is silent, has been asked in vain, more often
// than the losses of their paths explain, and nobody else has said a word meanwhile. While it lasts this node judges nobody, for
// want of supporters. Members that run memberlist alone speak in acks only, which may be far apart: beside them an isolation may
// begin between two acks and end with the next.
func (c *core) checkIsolation(now time.Time) {
	if c.isolated {
		return
	}
	if c.fewAnswer(now) {
		c.beginRoll(now)
	}
	var silent []*record
	quiet := c.quietTime(now)
	for _, r := range c.members {
		switch {
		case r.State != claim.Up || r.unheard:
		case now.Sub(r.edge.lastHeard) < quiet:
			return // somebody said something
		case r.plain:
			if now.Sub(r.edge.lastHeard) < recentProbe {
				return // it speaks in acks only, when its turn has come to be probed
			}
		case r.Seq == 0 && now.Sub(r.met) >= 4*c.patience(): // no newcomer, and nobody ever heard it: it did not fall silent just now
		case c.askedInVain(now, r):
			silent = append(silent, r)
		case r.path.Watched():
			return // somebody may still speak
		}
	}
	phi := 0.0
	for _, r := range byName(silent) {
		phi -= float64(c.unanswered(now, r)) * math.Log10(r.path.Unanswered(now))
		phi += r.path.Phi(now)
	}
	if len(silent) < 2 || phi < c.quorum.Down { // in a cluster of two there is no isolation
		return
	}
	c.isolated, c.isolatedAt = true, now
	c.beginRoll(now)
	c.log.Warn("this node hears nobody any more: isolated")
	c.publish(c.cfg.Name, Event{Kind: Isolated, Member: c.selfMember(), At: now, Reason: ReasonSilent})
}

func (c *core) askedInVain(now time.Time, r *record) bool {
	return r.inquiry != nil && r.inquiry.urgent && c.unanswered(now, r) > 1
}

// fewAnswer tells whether no more than a quarter of those that this node listens to, or did until their death a moment ago, may
// still speak.
func (c *core) fewAnswer(now time.Time) bool {
	silent, watched := 0, 0
	for _, r := range c.watching {
		switch {
		case r.State == claim.Up:
			watched++
			if c.askedInVain(now, r) {
				silent++
			}
		case r.State == claim.Down && now.Sub(r.since) < presentFor:
			watched++
			silent++
		}
	}
	return silent >= fewestPaths && 4*silent >= 3*watched
}

// quietTime is how long nobody may say a word before an isolation begins. After an isolation that few others ended it is
// longer: those who are left of a larger cluster hear each other in answers only, until they listen to each other.
func (c *core) quietTime(now time.Time) time.Duration {
	if c.connected.IsZero() || now.Sub(c.connected) >= reunionTime {
		return c.cfg.StallAllowance
	}
	heard, watched := 0, 0
	for _, r := range c.watching {
		if r.State == claim.Up {
			watched++
			if r.edge.lastHeard.After(c.connected) {
				heard++
			}
		}
	}
	if 2*heard >= watched {
		return c.cfg.StallAllowance
	}
	return max(c.cfg.StallAllowance, reunionQuiet)
}

const (
	// reunionTime is how long after an isolation the next one may need a longer silence, of reunionQuiet: a round of the roll takes
	// no longer then.
	reunionTime  = 30 * time.Second
	reunionQuiet = 3 * time.Second
)

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
			c.askAnew(now)
			c.attention.CutOff(now, c.rules())
		}
		return
	}
	c.isolated, c.connected = false, now
	c.beginRoll(now)
	c.log.Info("this node hears others again: connected")
	c.publish(c.cfg.Name, Event{Kind: Connected, Member: c.selfMember(), At: now, Reason: ReasonHeard})
	for _, r := range c.inquiries {
		r.inquiry.asked, r.inquiry.times = 0, nil // what it left unanswered tells nothing of its path
		c.signOfLife(r, now)
	}
	for _, r := range c.lost { // what memberlist said meanwhile is weighed anew
		r.touch().lostAt = now
	}
}

// A node that stays isolated cannot know whether the others died or it was cut off. Its application has to know that they are
// gone all the same, one way or the other: after Config.IsolatedDownAfter this node shows them as down, apart from what it
// holds to be true and tells others. Whose host refuses connections is dead, and shown so at once.

// setApart shows r as down to this node's own subscribers.
func (c *core) setApart(now time.Time, r *record, reason string) {
	if c.cfg.IsolatedDownAfter < 0 || r.State != claim.Up || r.apart {
		return
	}
	r.apart = true
	c.show(now, r, reason)
}

// rejoin shows r as it is again, now that there is a sign that it lives. What it was taken for meanwhile it learns.
func (c *core) rejoin(now time.Time, r *record) {
	if !r.apart {
		return
	}
	r.apart = false
	c.absolve(now, r, r.Claim)
	c.show(now, r, ReasonHeard)
}

// tidyIsolation shows those as down that were silent for all of a long isolation, to packets and to streams.
func (c *core) tidyIsolation(now time.Time) {
	if !c.isolated || c.cfg.IsolatedDownAfter < 0 || now.Sub(c.isolatedAt) < c.cfg.IsolatedDownAfter {
		return
	}
	for _, r := range inOrder(c.members) {
		reached := r.streamAt.After(c.isolatedAt) && c.lost[r.Name] == nil
		if !reached {
			c.setApart(now, r, ReasonIsolated)
		}
	}
}
