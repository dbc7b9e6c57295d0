package cluster

import (
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// heal brings together again what a partition took apart: memberlist stops talking to members that it holds for dead, so
// somebody has to knock. It tries one member that is down, or one seed that is no member, at a time: soon after it went
// down, then less and less often, up to once a minute, with jitter, for as long as the member is remembered, and seeds for
// ever. A member that left is not tried.
func (n *Node) heal() {
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval = time.Second, time.Minute
	before := 0
	for pause(n.ctx, retry.NextBackOff()) {
		targets := n.lost()
		if len(targets) == 0 || len(targets) > before {
			retry.Reset()
		}
		before = len(targets)
		if len(targets) == 0 {
			continue
		}
		seed := targets[rand.IntN(len(targets))]
		if _, err := n.trySeed(n.ctx, seed); err != nil {
			n.cfg.Logger.Debug("lost member does not answer", "addr", seed.String(), "error", err)
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
	up := map[string]bool{n.core.addr: true}
	for _, r := range n.core.members {
		switch r.State {
		case StateUp:
			up[r.Addr] = true
		case StateDown:
			if hp, err := parseHostPort(r.Addr); err == nil {
				addrs = append(addrs, hp)
			}
		}
	}
	for _, s := range n.cfg.seeds {
		if !up[s.String()] { // a seed under a DNS name is tried now and then, which does no harm
			addrs = append(addrs, s)
		}
	}
	return addrs
}
