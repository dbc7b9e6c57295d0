package cluster

import (
	"slices"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
)

// takeOver looks after members whose observers are down themselves, or who died before their first heartbeat: nobody dies
// unseen. They are those that this node listens to where the dead have no place, and from whom no heartbeat comes here.
// Those who are to beat to this node are asked once when the gossip has had its time, and again when their first heartbeat is
// late. The others are left to their own observers while one of these is up.
func (c *core) takeOver(now time.Time) {
	if c.cfg.Heartbeats == Probes || !c.speaks() || c.left {
		return
	}
	for _, r := range c.duty {
		if r.plain || r.State != claim.Up || r.path.Watched() || r.inquiry != nil || r.unheard {
			continue
		}
		patience := c.patience()
		if r.unproven() && r.askedAt.IsZero() {
			patience = newcomerTime
		}
		late := now.Sub(r.seen) >= patience && slices.Contains(c.observers, r) // the relation is symmetric
		if late || now.After(c.allowed(now, r)) && c.unobserved(now, r) {
			c.inquire(now, r, false)
		}
	}
}

// patience is how long a newcomer's first heartbeat may take: a round, and the gossip before it.
func (c *core) patience() time.Duration { return time.Duration(len(c.duty))*c.cfg.Beat + newcomerTime }

// unobserved tells whether all who listened to r are down, or newcomers of whom nobody has told a heartbeat yet: they may have died
// before their first.
func (c *core) unobserved(now time.Time, r *record) bool {
	return !slices.ContainsFunc(c.rings.Observers(r.Name), func(name string) bool {
		o := c.members[name] // nil: this node
		return o == nil || o.State == claim.Up && !c.newcomer(now, o)
	})
}

// newcomer tells whether r came lately and nobody has told a heartbeat of it yet: it may have died before its first.
func (c *core) newcomer(now time.Time, r *record) bool {
	return r.unproven() && now.Sub(r.met) < 4*c.patience()
}

// unproven tells whether nobody has told a heartbeat of r yet, in its present boot.
func (r *record) unproven() bool { return r.Seq == 0 && r.Epoch == 0 }

// newcomerTime is how long the gossip may take to bring two members together: two of its rounds, and some to spare.
const newcomerTime = 500 * time.Millisecond
