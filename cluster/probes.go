package cluster

import (
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
)

// pursueAlone judges by φ alone, which has reached half of DownPhi, as long as memberlist's probes reach anybody else. φ does not
// know that there is an end to the gaps: see mostUnprobed.
func (c *core) pursueAlone(now time.Time, r *record) time.Time {
	since := r.edge.lastHeard
	if since.Before(c.connected) { // this node was cut off itself: its turn has to come anew
		since = c.connected
	}
	due := since.Add(c.mostUnprobed())
	if ready := c.attention.Ready(); due.Before(ready) {
		due = ready
	}
	if now.Before(due) {
		return due
	}
	if r.path.Phi(now) >= c.quorum.Down && c.probesArrive(now, r) {
		c.condemn(now, r, ReasonSilent)
		return time.Time{}
	}
	c.suspect(now, r, ReasonSilent)
	return now.Add(probeInterval)
}

// probesArrive tells whether anybody but r acknowledged a probe lately, or nobody else is there.
func (c *core) probesArrive(now time.Time, r *record) bool {
	for _, other := range c.members {
		if other != r && other.State == claim.Up && now.Sub(other.edge.lastHeard) < recentProbe {
			return true
		}
	}
	return c.aloneWith(r)
}

// recentProbe is how long an acknowledged probe tells that probes arrive. It is no longer than memberlist takes to call anybody
// dead: a probe interval, and a suspicion of four and more.
const recentProbe = 5 * probeInterval
