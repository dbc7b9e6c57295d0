package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
)

// leaveWait is how long Leave waits for the gossip where ctx has more time: the goodbye is sent retransmitMult times for each decade
// of members, every 200 ms.
const leaveWait = 2 * time.Second

// Leave says goodbye, so that the others see this node as Left and not as Down, and waits until the goodbye has been
// gossiped: about half a second. The node stays and answers until Close. If ctx ends first its error is
// returned; the goodbye has been sent to this node's observers all the same. Leave again: nil. After Close: ErrClosed.
func (n *Node) Leave(ctx context.Context) error { return n.part(ctx, "Leave", "") }

// part is Leave, and where there is a cause of death Fail.
func (n *Node) part(ctx context.Context, what, death string) error {
	select {
	case n.leaving <- struct{}{}: // also where ctx has ended: the goodbye itself takes no time
	default:
		select {
		case n.leaving <- struct{}{}:
		case <-ctx.Done():
			return fmt.Errorf("cluster: %s: %w", what, ctx.Err())
		}
	}
	defer func() { <-n.leaving }()
	n.mu.Lock()
	if n.gone {
		n.mu.Unlock()
		return ErrClosed
	}
	if n.core.left {
		n.mu.Unlock()
		return nil
	}
	n.core.death = death
	n.core.leave(time.Now())
	goodbye := n.core.selfClaim()
	n.perform()

	told := make(chan struct{})
	n.mu.Lock()
	n.broadcast(goodbye, told)
	n.mu.Unlock()
	n.goodbye <- struct{}{}
	if n.ctx.Err() == nil {
		_ = n.ml.Leave(time.Millisecond) // memberlist's own goodbye travels with ours; nobody waits for it here
	}
	<-n.goodbye
	limit := time.NewTimer(leaveWait)
	defer limit.Stop()
	look := time.NewTicker(leaveWait / 20)
	defer look.Stop()
	for !n.alone() {
		select {
		case <-look.C: // for others that leave at the same time, and will not take part in the gossip any more
		case <-told:
			return nil
		case <-limit.C:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("cluster: %s: %w", what, ctx.Err())
		case <-n.ctx.Done():
			return ErrClosed
		}
	}
	return nil
}

// alone tells whether there is nobody left to tell anything.
func (n *Node) alone() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.core.members {
		if r.State == claim.Up {
			return false
		}
	}
	return true
}

// Close ends the node at once, which without Leave looks like a crash to the others, and waits until its sockets and its
// goroutines are gone. Events end after what is pending. One goroutine of memberlist's may outlive Close by up to a second:
// a probe of a member that does not answer, which cannot be called off and does nothing more. Close again: nil.
func (n *Node) Close() error {
	n.close(ErrClosed)
	return nil
}

// Err tells why the node has ended: nil while it runs, ErrClosed after Close, an error that wraps ErrNameTaken where another
// process turned out to hold the name with a later boot, as two halves of a network may find when they meet again, and one that
// wraps ErrAddressLost where the host has another address now.
func (n *Node) Err() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err
}

// Done returns a channel that is closed once the node has ended, by Close or by itself: Err says why.
func (n *Node) Done() <-chan struct{} { return n.done }

func (n *Node) close(why error) {
	n.end.Do(func() {
		n.mu.Lock()
		n.gone, n.err = true, why
		n.mu.Unlock()
		n.cancel()
		n.inbox.close()
		n.goodbye <- struct{}{}
		err := n.ml.Shutdown()
		<-n.goodbye
		if err != nil {
			n.cfg.log.Warn("memberlist's shutdown", "error", err)
		}
		n.wg.Wait()
		n.hub.Close()
		n.cfg.log.flush()
		close(n.done)
	})
	<-n.done
}
