package cluster

import (
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/path"
)

// burial is all that is kept of a member that was forgotten.
type burial struct {
	boot uint64
	at   time.Time
}

// record is all that a node keeps about one other member.
type record struct {
	claim.Claim        // the latest claim: who it is, which boot, what evidence, up, down or left
	plain       bool   // runs memberlist alone: no boot, judged by memberlist
	gossipName  string // its name in memberlist; empty where memberlist does not know it
	listed      bool   // memberlist lists it under that name, in this boot and at this address
	tags        map[string]string
	health      Health

	shown State // as subscribers know it
	since time.Time

	met     time.Time  // when memberlist brought it, in this boot
	seen    time.Time  // when it last lived, by anybody's evidence
	upAt    time.Time  // since when it is up here, in this boot
	unheard bool       // only streams reach it: see knock.go
	apart   bool       // shown as down for an isolation of this node, and up as far as is known: see isolation.go
	path    *path.Path // of heartbeats between this node and r; nil: there were none
	edge    edge
	inquiry *inquiry
	*near
}

// edge is when a packet of a member itself was last heard, and how long the way is.
type edge struct {
	lastHeard time.Time // the last packet of the member itself
	rtt       time.Duration
}

func (c *core) forget(now time.Time, name string) {
	r := c.members[name]
	c.forgotten[name] = burial{r.Boot, now}
	c.unlink(now, r)
	c.unwatch(now, r)
	delete(c.members, name)
	c.who.forget(name, r.gossipName)
	delete(c.gone, name)
	delete(c.lost, name)
	delete(c.courtesy, name)
	delete(c.inquiries, name)
	delete(c.owed, name)
	for addr, holder := range c.atSeed {
		if holder == r {
			c.atSeed[addr] = nil
		}
	}
	c.rings.Unseat(name)
	c.stale = true
}

// byGossip is the member whose present process has that name in memberlist; nil: none.
func (c *core) byGossip(process string) *record {
	for _, name := range [...]string{memberName(process), process} { // plain members have no other name there
		if r := c.members[name]; r != nil && r.gossipName == process {
			return r
		}
	}
	return nil
}

// records are those of the members of these names.
func (c *core) records(names []string) []*record {
	all := make([]*record, len(names))
	for i, name := range names {
		all[i] = c.members[name]
	}
	return all
}

// aged is what this node knows of r, with its age: since the change where r is down or has left,
// since the latest sign of life where r is up.
func (r *record) aged(now time.Time) claim.Claim {
	known := r.Claim
	if known.Exit() == "" {
		known.Basis = nil // the news carry it, once
	}
	switch {
	case known.State != claim.Up:
		known.Age = micros(now.Sub(r.since))
	case !r.seen.IsZero():
		known.Age = micros(now.Sub(r.seen))
	}
	return known
}
