package cluster

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
)

// Events returns the changes of the other members from now on, as long as ctx lasts. It subscribes at the call: the
// sequence begins with every other member in its present state (ReasonPresent), and with Isolated where that holds, and
// misses nothing after that. It ends with
// ctx, with break, or, after what is pending, when the node ends (see Err). It can be ranged over once.
//
// Events about one member come in the order in which this node learnt of them; about different members there is no order.
// A subscriber that is slow costs nobody anything: for each member it finds the latest event, and before that the end of
// the last boot that it knew, with the number of those left out in Folded.
func (n *Node) Events(ctx context.Context) iter.Seq[Event] {
	n.mu.Lock()
	defer n.mu.Unlock()
	box := n.hub.Subscribe(ctx)
	now := time.Now()
	if n.core.isolated {
		self := n.core.selfMember()
		box.Put(self.Name, Event{Kind: Isolated, Member: self, At: now, Reason: ReasonPresent})
	}
	for _, m := range n.core.snapshot(time.Now()) {
		if m.Name != n.cfg.Name {
			box.Put(m.Name, Event{Kind: kindOf(m.State), Member: m, At: now, Phi: m.Phi, Reason: ReasonPresent})
		}
	}
	return box.All()
}

// Members returns every member as this node sees it now, sorted by name: itself, those that are up, suspect or down, and those
// that have left, until they are forgotten. After Close it is the last state.
func (n *Node) Members() []Member {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.core.snapshot(time.Now())
}

// Member returns the member of that name as this node sees it now, itself included; false where it knows none.
func (n *Node) Member(name string) (Member, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if name == n.cfg.Name {
		return n.core.selfMember(), true
	}
	r := n.core.members[name]
	if r == nil {
		return Member{}, false
	}
	return n.core.member(time.Now(), r), true
}

// Self returns this node as a member.
func (n *Node) Self() Member {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.core.selfMember()
}

// Isolated tells whether this node hears none of the others now.
func (n *Node) Isolated() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.core.isolated
}

// Stats returns what happened since Join, and what waits now.
func (n *Node) Stats() Stats {
	s := n.count.stats()
	s.Gossip = n.delegate.queue.NumQueued()
	n.mu.Lock()
	defer n.mu.Unlock()
	s.Inquiries = len(n.core.inquiries)
	for _, r := range n.core.members {
		if r.unheard && r.State == claim.Up {
			s.Unheard++
		}
		if r.suspicion.deaf && r.shown == StateSuspect {
			s.Deaf++
		}
	}
	return s
}

// SetTags replaces the node's tags and hands them to the gossip; it does not wait for the others, which see them as Updated
// within about a second. Tags that are too large are an error (ErrConfig) and change nothing; so are any
// after Leave, for nobody would see them. After Close: ErrClosed.
func (n *Node) SetTags(ctx context.Context, tags map[string]string) error {
	if _, err := encodeMeta(meta{Boot: claim.MaxBoot, Tags: tags}); err != nil {
		return refused{fmt.Errorf("cluster: Tags: %w", err)}
	}
	return n.announce(ctx, "SetTags", func(c *core) { c.tags = maps.Clone(tags) })
}
