package cluster

import (
	"context"

	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// Fail tells the others that what this node stands for is dead, so that they see it as Down (ReasonExited) at once, where they
// would take it for alive as long as this process beats. why goes with it (Event.Detail): what is not printable is replaced, and
// what is beyond 64 bytes cut off. Like Leave it waits until the word has been gossiped, about half a second, and is final for this
// boot: what is left is Close. After Leave it is nil and changes nothing; after Close: ErrClosed.
func (n *Node) Fail(ctx context.Context, why string) error {
	if why = wire.PrintableCut(why, wire.MaxDetail); why == "" {
		why = "failed"
	}
	return n.part(ctx, "Fail", why)
}
