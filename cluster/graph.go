package cluster

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/ring"
)

const (
	// tidyEvery is the time between two rounds of slow work: forgetting, orphans, the graph.
	tidyEvery = time.Second
	// keepPlace is how long a member that is down keeps its place in the graph at most: see keeps.
	keepPlace = 30 * time.Second
	// graphEvery is the time between two changes of the graph, so that many deaths at once are one.
	graphEvery = 50 * time.Millisecond
	// leastDownPhi bounds the threshold that follows from a FalseAlarmEvery of a minute.
	leastDownPhi = 4
)

// displace has the next regraph look at a member's place.
func (c *core) displace(r *record) {
	c.displaced = append(c.displaced, r)
	c.stale = true
}

// regraph brings the graph of observers up to date, and the thresholds that depend on the number of members.
func (c *core) regraph(now time.Time) {
	c.stale, c.graphAt = false, now
	for _, r := range c.displaced {
		// Who is known from claims alone, without a name in memberlist, is nobody to beat to.
		known := c.members[r.Name] == r && !r.plain && r.State != claim.Left && r.gossipName != ""
		lives := known && r.State == claim.Up
		if lives || known && now.Sub(r.since) < r.keeps() {
			c.rings.Seat(r.Name, lives)
		} else if c.members[r.Name] == r {
			c.rings.Unseat(r.Name)
		}
	}
	c.displaced = nil
	c.duty = c.records(c.rings.Successors(c.cfg.Name))
	c.observers = c.records(c.rings.Observers(c.cfg.Name))

	receivers := c.rings.Observers(c.cfg.Name)
	for name, r := range c.courtesy {
		switch {
		case !now.Before(r.courtesyUntil):
			delete(c.courtesy, name)
		case c.rings.Seated(name) && !slices.Contains(receivers, name):
			receivers = append(receivers, name)
		}
	}
	slices.SortFunc(receivers, func(a, b string) int {
		return cmp.Compare(ring.Hash(ring.Own, c.cfg.Name+a), ring.Hash(ring.Own, c.cfg.Name+b))
	})
	c.rotation.Set(receivers)

	// The threshold that keeps the promise of FalseAlarmEvery: φ promises one mistake in 10^φ heartbeats, and the cluster
	// judges members × heartbeats a second.
	perSecond := float64(c.rings.Living()) / c.cfg.Beat.Seconds()
	c.quorum.Down = max(leastDownPhi, math.Log10(perSecond*c.cfg.FalseAlarmEvery.Seconds()))
	// Losses that come together with a stall of nearly the allowance, members × stalls a second.
	stalls := float64(c.rings.Living()) * c.cfg.FalseAlarmEvery.Seconds() / stallEvery.Seconds()
	c.quorum.Stall = max(leastStallPhi, math.Log10(stalls))
	if c.cfg.Heartbeats == Probes { // nobody is asked: φ alone decides
		c.plain = 0
		for _, r := range c.members {
			if r.plain && r.State == claim.Up {
				c.plain++
			}
		}
		c.rewatch()
	}
}

// keeps is how long a member that is down keeps its place in the graph: as long as it had it. A wrong verdict then changes nothing
// about who listens to whom, and the member finds its observers where it left them. But of members that live for a moment, under ever
// new names, there are never more places than of those that are up.
func (r *record) keeps() time.Duration { return min(keepPlace, r.since.Sub(r.met)) }
