package cluster

import (
	"errors"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// Stats are counts since Join. Their keys are for people and dashboards; new ones may appear in any release.
type Stats struct {
	// Sent counts parts of packets by what they are: "beat", "ask", "claim" (answers and verdicts).
	Sent map[string]uint64
	// Received counts what was acted upon, under the same keys.
	Received map[string]uint64
	// Dropped counts what was not acted upon, by cause. Those under "memberlist: …" never got past memberlist: wrong
	// key, wrong label, noise. An attack or a misconfigured member shows here.
	Dropped map[string]uint64

	// Packets and Bytes are what went out on the transport, memberlist's own traffic included: packets, and the bytes of packets and
	// streams, without the headers of UDP, TCP and IP.
	Packets, Bytes uint64
	// Lost counts heartbeats that were sent to this node and did not arrive.
	Lost uint64
	// Verdicts counts the members that this node called down, Retracted those that it held for down, by whose verdict ever, and that
	// turned out to live.
	Verdicts, Retracted uint64
	// Pauses counts how often this node stood still for a quarter of its StallAllowance (100 ms at most) or more.
	Pauses uint64

	// Gossip is how many messages wait in memberlist's queue now, Inquiries how many members are being asked about, Unheard how
	// many are reached by streams only, and Deaf how many are suspect because they hear nobody.
	Gossip, Inquiries, Unheard, Deaf int
}

// Why something received was dropped.
const (
	dropVersion    = "unknown version"
	dropChecksum   = "wrong checksum"
	dropMalformed  = "malformed"
	dropStranger   = "from no member"
	dropOwnName    = "from this node's own name"
	dropBoot       = "from another boot"
	dropLeft       = "from a member that left"
	dropAbout      = "about no member"
	dropEpoch      = "epoch jump"
	dropSeq        = "sequence jump"
	dropEdge       = "heartbeat for another member"
	dropReplay     = "replayed heartbeat"
	dropInbox      = "inbox full"
	dropImpossible = "announcement of an impossible member"
	dropName       = "name held by a member of the ring"
)

// counters may be used from any goroutine, memberlist's callbacks among them.
type counters struct {
	mu                      sync.Mutex
	sent, received, dropped map[string]uint64

	packets, bytes, lost, verdicts, retracted, pauses atomic.Uint64
}

func newCounters() *counters {
	return &counters{sent: map[string]uint64{}, received: map[string]uint64{}, dropped: map[string]uint64{}}
}

func (c *counters) send(what string)    { c.add(c.sent, what) }
func (c *counters) receive(what string) { c.add(c.received, what) }
func (c *counters) drop(cause string)   { c.add(c.dropped, cause) }

func (c *counters) add(m map[string]uint64, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m[key]++
}

func (c *counters) stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{
		Sent: maps.Clone(c.sent), Received: maps.Clone(c.received), Dropped: maps.Clone(c.dropped),
		Packets: c.packets.Load(), Bytes: c.bytes.Load(), Lost: c.lost.Load(),
		Verdicts: c.verdicts.Load(), Retracted: c.retracted.Load(), Pauses: c.pauses.Load(),
	}
}

// dropCause is what the counters call an error of package wire.
func dropCause(err error) string {
	switch {
	case errors.Is(err, wire.ErrVersion):
		return dropVersion
	case errors.Is(err, wire.ErrChecksum):
		return dropChecksum
	}
	return dropMalformed
}
