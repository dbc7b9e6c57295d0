package cluster

import (
	"cmp"
	"strings"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
)

// twins are two members that advertise one address, as hosts do that take that of a bridge which each of them has for their own.
type twins struct {
	one, other *record // one is nil where it is this node
	since      time.Time
}

const (
	// twinTime is how long two other members may have one address: who takes that of a dead member is there before it is called dead.
	twinTime = 10 * time.Second
	// twinsTime is how long a sign of life of both is waited for.
	twinsTime = time.Minute
)

// lastAt is which member but one came to an address last; nil: nobody did.
func (c *core) lastAt(addr string, but *record) (last *record) {
	for _, r := range c.members {
		if r != but && r.Addr == addr && (last == nil || cmp.Or(r.met.Compare(last.met), strings.Compare(r.Name, last.Name)) > 0) {
			last = r
		}
	}
	return last
}

// noteAddress notes that r is at its address, and whether somebody else is.
func (c *core) noteAddress(now time.Time, r *record) {
	one := c.lastAt(r.Addr, r)
	if r.Addr == c.addr || one != nil && one.State == claim.Up {
		if r.Addr == c.addr {
			one = nil
		}
		c.twins[r.Addr] = twins{one, r, now}
	}
}

func (c *core) tidyTwins(now time.Time) {
	for addr, t := range inOrder(c.twins) {
		held := now.Sub(t.since)
		there := func(r *record) bool { return c.members[r.Name] == r && r.Addr == addr && r.State == claim.Up }
		heard := func(r *record) bool {
			return r.Addr == addr && (r.edge.lastHeard.Sub(t.since) > time.Second || r.streamAt.Sub(t.since) > time.Second)
		}
		name, both := c.cfg.Name, false
		switch {
		case !c.speaks() || t.other.plain:
		case t.one == nil: // whoever began to have this node's address after this node did is no member of before
			both = t.other.Boot > c.boot || heard(t.other)
		default:
			name, both = t.one.Name, held >= twinTime && there(t.one) && there(t.other) || heard(t.one) && heard(t.other)
		}
		if both {
			c.log.Warn("two members advertise one address: set Advertise of each to an address that only it has",
				"addr", addr, "member", name, "other", t.other.Name)
		}
		if both || held >= twinsTime {
			delete(c.twins, addr)
		}
	}
}
