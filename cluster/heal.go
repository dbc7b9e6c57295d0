package cluster

import (
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// heal brings together again what a partition took apart: memberlist stops talking to members that it holds for dead, so
// somebody has to knock. It tries one member that is down, or that memberlist held for dead while this node was cut off, or one
// seed that is no member, at a time: within a second of its going down, then less and less often, up to once a minute, with
// jitter, for as long as the member is remembered, and seeds for ever. A member that left is not tried. It begins anew for those
// who go down after a quiet minute, but not each time for one that comes and goes because only streams reach it.
func (n *Node) heal() {
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval = time.Second, time.Minute
	const quiet = time.Minute
	var before int
	var busy, anew time.Time // the last target, the last time that the back-off began
	wait := time.Second
	for pause(n.ctx, wait) {
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
		seed := targets[rand.IntN(len(targets))]
		if _, err := n.trySeed(n.ctx, seed); err != nil {
			n.cfg.log.Debug("lost member does not answer", "addr", seed.String(), "error", err)
		}
	}
}

// lost returns the addresses of members that are down, and the seeds that are not the address of any member that is up.
func (n *Node) lost() []hostPort {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.core.left {
		return nil
	}
	var addrs []hostPort
	for _, r := range n.core.gone {
		if r.State != StateDown {
			continue
		}
		if hp, err := parseHostPort(r.Addr); err == nil {
			addrs = append(addrs, hp)
		}
	}
	for _, r := range n.core.reported {
		if r.reported.IsZero() {
			continue
		}
		if hp, err := parseHostPort(r.Addr); err == nil {
			addrs = append(addrs, hp)
		}
	}
	for _, s := range n.cfg.seeds {
		if !n.isUp(s.String()) { // a seed under a DNS name is tried now and then, which does no harm
			addrs = append(addrs, s)
		}
	}
	return addrs
}

// isUp tells whether a member that is up, or this node, has the address of a seed. It needs n.mu.
func (n *Node) isUp(seed string) bool {
	r := n.core.atSeed[seed]
	return seed == n.core.addr || r != nil && r.Addr == seed && r.State == StateUp
}
