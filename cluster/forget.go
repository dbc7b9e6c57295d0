package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
)

// Forget has every member that is up forget one that is down or has left, before Config.ForgetAfter: it is in nobody's Members any more.
// Should it come back after all, under a new boot, it is a new member. Under a name that is not known here the error wraps ErrNoMember;
// a member that is up or suspect is an error. It waits as Keys does, and the error names members that did not say that they did it.
func (n *Node) Forget(ctx context.Context, name string) error {
	n.mu.Lock()
	r := n.core.members[name]
	var boot uint64
	var err error
	switch {
	case n.gone:
		err = ErrClosed
	case name == n.cfg.Name:
		err = fmt.Errorf("cluster: Forget: %q is this node itself", name)
	case r == nil:
		err = fmt.Errorf("%w: %.130q", ErrNoMember, name)
	case !r.over():
		err = fmt.Errorf("cluster: Forget: %s is %v: only a member that is down or has left can be forgotten", name, r.shown)
	default:
		boot = r.Boot
	}
	n.mu.Unlock()
	if err != nil {
		return err
	}
	answers, err := n.order(ctx, order{Op: forgetMember, Name: name, Boot: boot})
	var errs []error
	for _, a := range answers {
		if a.Err != nil && len(errs) < maxTold {
			errs = append(errs, fmt.Errorf("cluster: Forget: %s: %w", a.Member, a.Err))
		}
	}
	return errors.Join(append(errs, err)...)
}

// over tells whether r is down or has left, and not only for an isolation of this node.
func (r *record) over() bool { return r.State == claim.Down || r.State == claim.Left }

// dismissed forgets a boot of a member, if it is over.
func (c *core) dismissed(now time.Time, name string, boot uint64) {
	if r := c.members[name]; r != nil && r.Boot == boot && r.over() {
		c.log.Debug("member forgotten by order", "member", name, "boot", boot)
		c.forget(now, name)
	}
}
