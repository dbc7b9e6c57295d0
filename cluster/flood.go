package cluster

import (
	"slices"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// spread tells everybody at once: the receivers of this node's heartbeats, who do the same, and all by gossip as the safety
// net. The receivers are a few random rings, so a claim reaches everybody in O(log N) steps.
func (c *core) spread(now time.Time, cl claim.Claim) {
	c.gossip(cl)
	if c.cfg.Heartbeats == Probes || !c.speaks() { // nothing but memberlist's own packets
		return
	}
	if len(c.flood) == 0 {
		c.floodAt = now.Add(floodDelay)
	}
	cl.Addr = ""
	c.flood = append(c.flood, cl)
}

// floodDelay is how long claims wait for others to share a packet with. A third of a thousand members that die at once
// would otherwise cost each survivor thousands of packets.
const floodDelay = 4 * time.Millisecond

// sendFlood passes on what has gathered.
func (c *core) sendFlood() {
	for _, name := range c.rotation.Receivers() {
		r := c.members[name]
		if r == nil || r.State != claim.Up {
			continue
		}
		for claims := range slices.Chunk(c.flood, wire.MaxParts) {
			c.send(r, &wire.Packet{Claims: claims})
			c.count.send("flood")
		}
	}
	c.flood = nil
}

// gossip hands a claim to memberlist's gossip.
func (c *core) gossip(cl claim.Claim) {
	if c.speaks() {
		c.out.broadcasts = append(c.out.broadcasts, cl)
	}
}
