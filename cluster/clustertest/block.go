package clustertest

import (
	"slices"
	"time"
)

// Block holds back all that goes in and out of addrs until [Network.Unblock],
// as in the anomalies of the Lifeguard paper (Dadgar, Phillips, Currey, DSN
// 2018, section V), which blocks each message just before sending and just after
// receiving it: packets and stream data that arrive wait, up to Options.Queue
// packets each way, and so does what the node sends, while the node itself goes
// on. For one that stands still see [Network.Stall]. To block a blocked address
// does nothing. It is an error, and nobody is blocked, if one has no live
// transport.
func (n *Network) Block(addrs ...string) error {
	es, err := n.live(addrs)
	if err != nil {
		return err
	}
	for _, e := range es {
		e.mu.Lock()
		if e.holder != nil && e.blocked == nil {
			e.blocked = make(chan struct{})
		}
		e.mu.Unlock()
	}
	return nil
}

// Unblock ends a block: what arrived meanwhile is delivered now, in its order,
// and what the node sent is sent now. It does nothing to an address that is
// not blocked. A killed or shut-down node is not blocked any more, and what was
// held back for it is lost.
func (n *Network) Unblock(addrs ...string) error {
	for _, addr := range addrs {
		e, err := n.endpoint(addr)
		if err != nil {
			return err
		}
		e.unblock()
	}
	return nil
}

func (e *endpoint) unblock() {
	e.mu.Lock()
	if e.blocked == nil || e.stalled != nil {
		e.mu.Unlock()
		return
	}
	now := time.Now()
	out := e.release()
	for _, p := range e.heldIn {
		e.deliver(p, now)
	}
	e.heldIn = nil
	streams := slices.Clone(e.streams)
	e.mu.Unlock()

	for _, o := range out {
		e.transmit(o.to, o.buf, now)
	}
	for _, p := range streams {
		p.poke()
	}
}

// gate returns a channel that is closed once e is not blocked, or nil if it is
// not blocked now.
func (e *endpoint) gate() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.blocked
}
