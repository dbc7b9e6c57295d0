package cluster

import (
	"math/rand/v2"
	"time"
)

// roll calls everybody's name. When a node hears nobody, or few of those it listens to, others may be left that it does not
// listen to: some of a large cluster of which most died, or that a cut took along. They are found by asking all, a few at a
// time, in rounds that become rarer. Who answers lives, and is a witness about the rest. Whoever does not answer twice while
// others do is looked into, as if it had missed a heartbeat.
type roll struct {
	until time.Time // rounds go on until then at least
	at    time.Time // the next batch
	round int
	names []string // who is left to be called in this round
}

const (
	rollEvery = 100 * time.Millisecond
	// rollBatch is how many are called at a time, and a 32nd of all of them at least: a thousand in three seconds.
	rollBatch = 8
	rollShare = 32
	// rollTime is how long the roll is called after what began it.
	rollTime = 3 * time.Second
	// rollFirst is the pause after the first round; each later one is twice as long, up to rollLast.
	rollFirst = time.Second
	rollLast  = 30 * time.Second
	// presentFor is how long whoever said something is taken to be there.
	presentFor = 3 * time.Second
)

// begin calls the roll from now on, from the start if it was not called already.
func (r *roll) begin(now time.Time) {
	if now.After(r.until) {
		r.at, r.round, r.names = now, 0, nil
	}
	r.until = now.Add(rollTime)
}

// callRoll calls the next names, and returns when it wants to go on; the zero time: not.
func (c *core) callRoll(now time.Time) time.Time {
	r := &c.roll
	if c.cfg.Heartbeats == Probes || !c.speaks() || c.left || now.After(r.until) && !c.isolated && c.apart() == 0 {
		return time.Time{}
	}
	if now.Before(r.at) {
		return r.at
	}
	if len(r.names) == 0 {
		for name := range c.members {
			r.names = append(r.names, name)
		}
		rand.Shuffle(len(r.names), func(i, j int) { r.names[i], r.names[j] = r.names[j], r.names[i] })
	}
	batch := max(rollBatch, len(c.members)/rollShare)
	for called := 0; called < batch && len(r.names) > 0; {
		m := c.members[r.names[len(r.names)-1]]
		r.names = r.names[:len(r.names)-1]
		if m == nil || m.plain || m.State != StateUp || m.unheard || now.Sub(m.edge.lastHeard) < time.Second {
			continue
		}
		if c.isolated {
			c.knock(now, m)
		}
		if m.inquiry != nil && !m.apart { // it is asked already
			continue
		}
		called++
		if m.missed >= 2 && !c.isolated && m.inquiry == nil && now.After(c.allowed(now, m)) {
			if len(c.inquiries) < 4*batch { // the others when these are done
				c.inquire(now, m, true)
			}
			continue
		}
		if now.Sub(m.askedAt) >= c.askEvery() {
			c.question(now, m)
		}
		m.missed++
	}
	r.at = now.Add(rollEvery)
	if len(r.names) == 0 {
		r.at = now.Add(min(rollFirst<<min(r.round, 10), rollLast))
		r.round++
	}
	return r.at
}

// apart is how many members are shown as down for an isolation.
func (c *core) apart() int {
	n := 0
	for _, r := range c.gone {
		if r.apart {
			n++
		}
	}
	return n
}

// present are members that said something lately, whether this node listens to them or not.
func (c *core) present(now time.Time) []*record {
	if now.After(c.roll.until) {
		return nil
	}
	var here []*record
	for _, r := range c.members {
		if r.State == StateUp && !r.plain && now.Sub(r.edge.lastHeard) < presentFor {
			here = append(here, r)
		}
	}
	return here
}
