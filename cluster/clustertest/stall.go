package clustertest

// Stall makes the nodes at addrs stand still until [Network.Resume], as far as that goes in one process with one clock: all
// that goes in and out is held back as by [Network.Block], and whoever sends a packet waits. A goroutine that sends before it
// does the next thing so stops in its tracks, and nothing piles up that a process at rest would not have sent. Timers go
// on all the same: those that send nothing are late only if they wait for a goroutine that does. So nobody may send with a
// mutex held that others wait for; memberlist does not.
//
// To stall a stalled address does nothing. A blocked one may be stalled, and Unblock does nothing to it until Resume, which ends
// both. It is an error, and nobody is stalled, if one has no live transport.
func (n *Network) Stall(addrs ...string) error {
	es, err := n.live(addrs)
	if err != nil {
		return err
	}
	for _, e := range es {
		e.mu.Lock()
		if e.holder != nil && e.stalled == nil {
			e.stalled = make(chan struct{})
			if e.blocked == nil {
				e.blocked = make(chan struct{})
			}
		}
		e.mu.Unlock()
	}
	return nil
}

// Resume ends a stall: what arrived meanwhile is delivered now, in its order, and who waited goes on. It does nothing to an
// address that is not stalled. A killed or shut-down node is not stalled any more, and those who waited there go on.
func (n *Network) Resume(addrs ...string) error {
	for _, addr := range addrs {
		e, err := n.endpoint(addr)
		if err != nil {
			return err
		}
		e.mu.Lock()
		stalled := e.stalled
		e.stalled = nil
		e.mu.Unlock()
		if stalled != nil {
			e.unblock()
			close(stalled)
		}
	}
	return nil
}

// still waits while t stands still. What is left of an earlier holder of the address does not.
func (e *endpoint) still(t *Transport) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.holder == t && e.stalled != nil {
		stalled := e.stalled
		e.mu.Unlock()
		<-stalled
		e.mu.Lock()
	}
}
