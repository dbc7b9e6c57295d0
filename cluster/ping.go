package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// ErrNoMember is wrapped by the errors of methods that are given a name which this node does not know.
var ErrNoMember = errors.New("cluster: no such member")

// Ping asks a member whether it is there, with memberlist's probe (UDP), and returns the round-trip time. It waits for half a second at
// most, and not beyond ctx; an answer that does not come is an error, and says nothing to the detector. Under a name that is not known here
// the error wraps ErrNoMember; after Close it is ErrClosed.
func (n *Node) Ping(ctx context.Context, name string) (rtt time.Duration, err error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("cluster: Ping: %w", err)
	}
	type answer struct {
		rtt time.Duration
		err error
	}
	answers := make(chan answer, 1)
	n.mu.Lock()
	if name == n.cfg.Name && !n.gone {
		n.mu.Unlock()
		return 0, nil
	}
	r := n.core.members[name]
	if r == nil && !n.gone {
		n.mu.Unlock()
		return 0, fmt.Errorf("%w: %.130q", ErrNoMember, name)
	}
	var addr, process string
	if r != nil {
		addr, process = r.Addr, r.gossipName
	}
	started := n.background(func() {
		to, err := net.ResolveUDPAddr("udp", addr) // an IP address: nothing is looked up
		if err != nil {
			answers <- answer{0, err}
			return
		}
		rtt, err := n.ml.Ping(process, to)
		answers <- answer{rtt, err}
	})
	n.mu.Unlock()
	if !started {
		return 0, ErrClosed
	}
	select {
	case a := <-answers:
		if a.err != nil {
			return 0, fmt.Errorf("cluster: Ping: %s does not answer: %w", name, a.err)
		}
		return a.rtt, nil
	case <-ctx.Done():
		return 0, fmt.Errorf("cluster: Ping: %w", ctx.Err())
	}
}
