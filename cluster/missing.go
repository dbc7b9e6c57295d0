package cluster

import (
	"cmp"
	"slices"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/ring"
)

// A packet under a boot that memberlist has not brought is not acted upon, as nobody knows who sent it. But it is a reason to ask:
// gossip reaches nearly everybody, and the rest with the next push/pull, half a minute later. Who misses an announcement exchanges
// tables with somebody who knows it. That somebody is a member, never who sent the packet, and the pauses between exchanges
// double while they bring nothing: packets under made-up boots cost an exchange a minute.

// missed is a boot that this node has heard from, and does not know.
type missed struct {
	boot  uint64
	since time.Time
	last  time.Time // its latest packet
	asked int       // exchanges since
}

const (
	// gossipTime is how long gossip is given to bring an announcement.
	gossipTime = 300 * time.Millisecond
	// missedTime is how long a boot is missed after its latest packet.
	missedTime = 5 * time.Second
	// fetchEvery is the time between two exchanges, which doubles up to mostFetchEvery after vainFetches that brought nothing: of a
	// newcomer only some know.
	fetchEvery     = 500 * time.Millisecond
	vainFetches    = 8
	mostFetchEvery = time.Minute
	// mostMissed bounds the boots that are missed at a time.
	mostMissed = 64
)

// miss notes that something came from a boot, or about one, that this node does not know.
func (c *core) miss(now time.Time, name string, boot uint64) {
	if boot > claim.MaxForeignBoot || !c.speaks() || c.left {
		return
	}
	m := c.missed[name]
	switch {
	case m == nil && len(c.missed) >= mostMissed:
		return
	case m == nil:
		m = &missed{since: now}
		c.missed[name] = m
	}
	m.boot, m.last = max(m.boot, boot), now
}

// fetch asks for exchanges as long as boots are missed.
func (c *core) fetch(now time.Time) {
	if len(c.missed) == 0 {
		if now.Sub(c.fetchAt) > mostFetchEvery {
			c.fetchVain = 0
		}
		return
	}
	var wanted *record
	var longest *missed
	for name, m := range inOrder(c.missed) {
		r := c.members[name]
		switch {
		case r != nil && r.Boot >= m.boot:
			if m.asked > 0 {
				c.fetchVain = 0
			}
			delete(c.missed, name)
		case now.Sub(m.last) >= missedTime:
			delete(c.missed, name)
		case now.Sub(m.since) >= gossipTime && (longest == nil || m.asked < longest.asked):
			wanted, longest = r, m
		}
	}
	if longest == nil || now.Before(c.fetchAt) {
		return
	}
	// A new boot is probably where the old one was, and knows itself best. Where it is not, others are asked.
	addr := ""
	if wanted != nil && longest.asked%2 == 0 {
		addr = wanted.Addr
	}
	if addr == "" {
		addr = c.whoMayKnow(wanted, longest.asked)
	}
	if addr == "" {
		return
	}
	longest.asked++
	c.fetchAt = now.Add(min(fetchEvery<<min(max(0, c.fetchVain-vainFetches), 10), mostFetchEvery))
	c.fetchVain++
	c.out.fetch = addr
}

// whoMayKnow is the address of a member to ask for a boot: another one each time, and not the same for all who ask.
func (c *core) whoMayKnow(except *record, tries int) string {
	var up []*record
	for _, r := range c.members {
		if r != except && r.State == claim.Up && r.gossipName != "" && r.inquiry == nil {
			up = append(up, r)
		}
	}
	if len(up) == 0 {
		return ""
	}
	slices.SortFunc(up, func(a, b *record) int {
		return cmp.Compare(ring.Hash(ring.Own, c.cfg.Name+a.Name), ring.Hash(ring.Own, c.cfg.Name+b.Name))
	})
	return up[tries%len(up)].Addr
}
