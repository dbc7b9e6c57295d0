package clustertest

// Traffic is a number of packets and the bytes in them, as the transport was
// given them: without the headers of IP and UDP.
type Traffic struct {
	Packets, Bytes uint64
}

func (t *Traffic) count(bytes int) { t.Packets++; t.Bytes += uint64(bytes) }

func (t *Traffic) add(u Traffic) { t.Packets += u.Packets; t.Bytes += u.Bytes }

// Counters is what one address, or all of them together, sent and received
// since the network was made or its counters were last reset. An address keeps
// its counters when the transport there is replaced by another.
//
// Once nothing is in flight or held back, over all addresses
//
//	Sent + Duplicated = Received + Lost + Cut + Tail + Full + Dead
//
// in packets and in bytes, unless a reset came between a packet's two ends.
type Counters struct {
	Sent       Traffic // given to the network by the node here
	Duplicated Traffic // second copies of what was sent from here
	Received   Traffic // put in the receive queue here

	// Dropped on the way, counted where it was sent from.
	Lost Traffic // by the path's Loss
	Cut  Traffic // by a cut

	// Dropped at this end, by what it was sent to, or by what it was sent from
	// when it never left.
	Tail Traffic // no room in the queue of a line, see [Network.SetRate]
	Full Traffic // no room in any other queue
	Dead Traffic // nobody there, or killed while it was held back

	// Streams. Bytes written here that are yet to be read elsewhere count as
	// sent only.
	Dials                      uint64 // attempts from here, whatever came of them
	StreamSent, StreamReceived uint64 // bytes
}

// Dropped is Lost, Cut, Tail, Full and Dead together.
func (c Counters) Dropped() Traffic {
	sum := c.Lost
	sum.add(c.Cut)
	sum.add(c.Tail)
	sum.add(c.Full)
	sum.add(c.Dead)
	return sum
}

func (c *Counters) add(d Counters) {
	c.Sent.add(d.Sent)
	c.Duplicated.add(d.Duplicated)
	c.Received.add(d.Received)
	c.Lost.add(d.Lost)
	c.Cut.add(d.Cut)
	c.Tail.add(d.Tail)
	c.Full.add(d.Full)
	c.Dead.add(d.Dead)
	c.Dials += d.Dials
	c.StreamSent += d.StreamSent
	c.StreamReceived += d.StreamReceived
}

// Counters returns the counters of one address, all zero for one that nobody
// has used.
func (n *Network) Counters(addr string) (Counters, error) {
	e, err := n.endpoint(addr)
	if err != nil {
		return Counters{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.counters, nil
}

// Totals returns the sum over all addresses.
func (n *Network) Totals() Counters {
	var sum Counters
	n.each(func(e *endpoint) { sum.add(e.counters) })
	return sum
}

// ResetCounters sets the counters of all addresses to zero.
func (n *Network) ResetCounters() {
	n.each(func(e *endpoint) { e.counters = Counters{} })
}

// each visits all endpoints, one at a time, with its lock held.
func (n *Network) each(visit func(*endpoint)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.endpoints {
		e.mu.Lock()
		visit(e)
		e.mu.Unlock()
	}
}
