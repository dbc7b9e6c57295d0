package cluster

import (
	"context"
	"errors"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/pulsering/pulsering/cluster/internal/claim"
)

// heal brings together again what a partition took apart: memberlist stops talking to members that it holds for dead, so
// somebody has to knock. It tries members that are down, or that this node listens to and memberlist holds for dead, and seeds that are
// no members, healSide of them at a time: within a second of their going down, then less and less often, up to once a minute, with
// jitter, for as long as a member is remembered, and seeds for ever. A member that left is not tried. It begins anew for those
// who go down after a quiet minute, but not each time for one that comes and goes because only streams reach it.
func (n *Node) heal() {
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval = time.Second, time.Minute
	const quiet = time.Minute
	var before int
	var busy, anew time.Time // the last target, the last time that the back-off began
	wait := time.Second
	asked := time.Now() // Config.Discover
	for pause(n.ctx, wait) {
		asked = n.rediscover(asked)
		now := time.Now()
		targets := n.lost()
		if now.Sub(busy) > quiet || len(targets) > before && now.Sub(anew) > quiet {
			retry.Reset()
			anew, wait = now, time.Second
		}
		before = len(targets)
		if len(targets) == 0 {
			continue
		}
		busy, wait = now, retry.NextBackOff()
		if n.island() { // seeds may name nobody else for the first moments of a cluster
			wait = min(wait, aloneEvery)
		}
		var tries sync.WaitGroup
		for range min(healSide, len(targets)) {
			i := choose(len(targets), rand.Float64())
			target := targets[i]
			targets = slices.Delete(targets, i, i+1)
			tries.Go(func() { n.revisit(target) })
		}
		tries.Wait()
	}
}

// island tells whether this node never met anybody, as far as it remembers.
func (n *Node) island() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.core.members) == 0
}

// healSide is how many are tried side by side: two who are left of a few then find each other with the first try after a cut has
// healed, whoever died beside them.
const healSide = 8

// revisit exchanges tables with who is at a member's last address, or at a seed's, if that is no stranger.
func (n *Node) revisit(target hostPort) {
	n.mu.Lock()
	seed, name := n.seeds.has(target), n.seeds.last[target]
	n.mu.Unlock()
	met := n.ml.NumMembers()
	o := n.trySeed(n.ctx, target, func(ctx context.Context, addr string) error {
		tenants := n.tenants(addr)
		if len(tenants) == 0 && !seed && name != "" {
			return n.expectName(ctx, addr, name)
		}
		if len(tenants) == 0 {
			return nil // a seed, or a member that has come back meanwhile
		}
		return n.expect(ctx, addr, tenants)
	})
	switch {
	case o.member != "":
		if come := n.ml.NumMembers() - met; seed && come > 0 {
			n.cfg.log.Info("a seed led to members that were not known here", "seed", target.String(), "addr", o.member, "members", come)
		}
	case seed && errors.Is(o.err, errStranger) && n.warnsFirst(target):
		n.cfg.log.Warn("a seed does not lead to this cluster any more: nothing is exchanged with who is there; to merge with them, restart this node",
			"seed", target.String(), "error", o.err)
	default:
		n.cfg.log.Debug("lost member does not answer", "addr", target.String(), "error", o.err)
	}
}

// warnsFirst tells whether nothing was said yet of the strangers at a seed.
func (n *Node) warnsFirst(seed hostPort) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	first := !n.warned[seed]
	n.warned[seed] = true
	return first
}

// choose picks one of n by a draw from [0, 1), log-uniformly: the first of a hundred one time in seven, the first ten every second time.
// Most of those that have been down for hours died, and would hide those that a partition took away just now.
func choose(n int, draw float64) int {
	return min(n, int(math.Pow(float64(n+1), draw))) - 1
}

// lost returns the addresses of the members that only memberlist holds for dead, of the seeds that are not the address of any member that
// is up, and of the members that are down, the latest first.
func (n *Node) lost() []hostPort {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.core.left {
		return nil
	}
	var addrs []hostPort
	add := func(r *record) {
		if hp, err := parseHostPort(r.Addr); err == nil {
			addrs = append(addrs, hp)
		}
	}
	for _, r := range n.core.lost {
		// Those who listen to it know that it lives, and are enough to say so. To members that memberlist judges nobody listens.
		if r.State == claim.Up && (r.path.Watched() || r.plain || n.cfg.Heartbeats == Probes) {
			add(r)
		}
	}
	for _, s := range n.seeds.all() {
		if !n.isUp(s.String()) && !n.selves[s] { // a seed under a DNS name is tried now and then, which does no harm
			addrs = append(addrs, s)
		}
	}
	for s, name := range n.seeds.last {
		if r := n.core.members[name]; r != nil {
			delete(n.seeds.last, s) // who has been met is remembered as a member
		} else if s.String() != n.core.addr {
			addrs = append(addrs, s)
		}
	}
	gone := slices.SortedFunc(maps.Values(n.core.gone), func(a, b *record) int { return b.since.Compare(a.since) })
	for _, r := range gone {
		if r.shown == StateDown {
			add(r)
		}
	}
	return addrs
}

// isUp tells whether a member that is up, or this node, has the address of a seed. It needs n.mu.
func (n *Node) isUp(seed string) bool {
	r := n.core.atSeed[seed]
	return seed == n.core.addr || r != nil && r.Addr == seed && r.State == claim.Up
}
