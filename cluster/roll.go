package cluster

import (
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
)

// roll calls everybody's name. When a node hears nobody, or few of those it listens to, others may be left that it does not
// listen to: some of a large cluster of which most died, or that a cut took along. They are found by asking all, a few at a
// time, then again those who did not answer, in rounds that become rarer, until all have or are down. Who answers lives, and is
// a witness about the rest. Whoever does not answer twice while others do is looked into, as if it had missed a heartbeat.
type roll struct {
	on    bool
	since time.Time // when it began
	at    time.Time // the next batch
	round int
	names []string // who is left to be called in this round
	vain  bool     // somebody was called in it, or is asked already
}

const (
	rollEvery = 100 * time.Millisecond
	// rollBatch is how many are called at a time, and a 32nd of all of them at least: a thousand in three seconds.
	rollBatch = 8
	rollShare = 32
	// rollFirst is the pause after the first round; each later one is twice as long, up to rollLast.
	rollFirst = time.Second
	rollLast  = 30 * time.Second
	// presentFor is how long whoever said something is taken to be there.
	presentFor = 3 * time.Second
)

// beginRoll calls the roll from now on, if it is not called already.
func (c *core) beginRoll(now time.Time) {
	if c.roll.on {
		return
	}
	c.roll = roll{on: true, since: now, at: now}
	for _, m := range c.members {
		if m.called > 0 {
			m.called = 0
		}
	}
}

// callRoll calls the next names, and returns when it wants to go on; the zero time: not.
func (c *core) callRoll(now time.Time) time.Time {
	r := &c.roll
	if !r.on || c.left {
		return time.Time{}
	}
	if now.Before(r.at) {
		return r.at
	}
	if len(r.names) == 0 {
		for name := range inOrder(c.members) {
			r.names = append(r.names, name)
		}
		c.dice.Shuffle(len(r.names), func(i, j int) { r.names[i], r.names[j] = r.names[j], r.names[i] })
	}
	batch := max(rollBatch, len(c.members)/rollShare)
	for n := 0; n < batch && len(r.names) > 0; {
		m := c.members[r.names[len(r.names)-1]]
		r.names = r.names[:len(r.names)-1]
		switch {
		case m == nil || m.plain || m.State != claim.Up || m.unheard || now.Sub(m.edge.lastHeard) < time.Second:
			continue
		case r.round > 0 && m.called == 0 && m.inquiry == nil && m.edge.lastHeard.After(r.since): // it answered
			continue
		}
		r.vain = true
		if c.isolated {
			c.knock(now, m)
		}
		if m.inquiry != nil && !m.apart { // it is asked already
			continue
		}
		n++
		if m.called >= 2 && !c.isolated && m.inquiry == nil && now.After(c.allowed(now, m)) {
			if len(c.inquiries) < 4*batch { // the others when these are done
				c.inquire(now, m, true)
			}
			continue
		}
		if now.Sub(m.askedAt) >= c.askEvery() {
			c.question(now, m)
		}
		m.touch().called++
	}
	r.at = now.Add(rollEvery)
	if len(r.names) == 0 { // another round, unless this one called nobody while others are heard
		r.at = now.Add(min(rollFirst<<min(r.round, 10), rollLast))
		r.round++
		r.on, r.vain = r.vain || c.isolated, false
	}
	return r.at
}

// present are members that said something lately, whether this node listens to them or not.
func (c *core) present(now time.Time) []*record {
	if !c.roll.on {
		return nil
	}
	var here []*record
	for _, r := range c.members {
		if r.State == claim.Up && !r.plain && now.Sub(r.edge.lastHeard) < presentFor {
			here = append(here, r)
		}
	}
	return byName(here)
}
