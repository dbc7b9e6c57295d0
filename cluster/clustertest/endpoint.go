package clustertest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sort"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

// endpoint is one address for as long as the network lives; transports come
// and go on it. It owns its inbox, its randomness and its counters. Locks are
// taken in the order Network.mu, stream.mu, endpoint.mu, and never two endpoints'
// at a time.
type endpoint struct {
	net  *Network
	id   int
	addr *net.UDPAddr // shared with all who got a packet from here: never written
	name string       // addr as a string

	mu       sync.Mutex
	closed   bool       // the network is
	holder   *Transport // who listens here; nil: nobody
	rng      *rand.Rand
	bursts   map[*endpoint]burst
	up, down line // of the address, to and from everybody else
	counters Counters

	// inbox is what is in flight to here, the earliest arrival first. timer is
	// set to the first.
	inbox []*packet
	timer *time.Timer

	// blocked is closed by Unblock; nil while not blocked. Meanwhile what
	// arrived waits in heldIn, what was sent in heldOut.
	blocked chan struct{}
	heldIn  []*packet
	heldOut []outgoing

	stalled chan struct{} // closed by Resume; nil while not stalled

	// streams are the streams of this end, each by the pipe that leads out, in
	// the order they were made. A closed one stays until all that was written
	// to it has left, so that a block holds it and a kill ends it.
	streams []*pipe

	ports uint16 // of outgoing streams so far
}

// packet is one allocation from sending to receiving: the receiver keeps a
// pointer into it.
type packet struct {
	memberlist.Packet
	at      time.Time // when it arrives
	carried bool      // by the line of its receiver: at is when it has left that
}

type outgoing struct {
	to  *endpoint
	buf []byte
}

func (e *endpoint) bind() (*Transport, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, fmt.Errorf("clustertest: transport at %s: network: %w", e.name, net.ErrClosed)
	}
	if e.holder != nil {
		return nil, fmt.Errorf("clustertest: transport at %s: %w", e.name, syscall.EADDRINUSE)
	}
	e.holder = &Transport{
		at:      e,
		packets: make(chan *memberlist.Packet, e.net.queue),
		streams: make(chan net.Conn, backlog),
		done:    make(chan struct{}),
	}
	return e.holder, nil
}

// current returns the live transport here, or nil.
func (e *endpoint) current() *Transport {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.holder
}

// silent says whether nothing answers here, not even a reset.
func (e *endpoint) silent() bool { return e.net.silent && e.current() == nil }

// send takes a packet from t. It never blocks: what cannot go on is counted.
// The error is about t being shut down.
func (e *endpoint) send(t *Transport, to *endpoint, buf []byte, now time.Time) error {
	e.mu.Lock()
	if t.shut {
		e.mu.Unlock()
		return net.ErrClosed
	}
	e.counters.Sent.count(len(buf))
	switch {
	case e.holder != t: // killed
		e.counters.Dead.count(len(buf))
		e.mu.Unlock()
	case e.blocked != nil:
		if len(e.heldOut) < e.net.queue {
			e.heldOut = append(e.heldOut, outgoing{to, slices.Clone(buf)})
		} else {
			e.counters.Full.count(len(buf))
		}
		e.mu.Unlock()
	default:
		e.mu.Unlock()
		e.transmit(to, slices.Clone(buf), now)
	}
	return nil
}

// transmit puts a packet on the wire. It keeps buf.
func (e *endpoint) transmit(to *endpoint, buf []byte, now time.Time) {
	c := e.net.conditions.Load()
	up, _ := c.rate(e.id)
	e.mu.Lock()
	left, ok := e.leave(up, to, len(buf)+udpHeader, now)
	if !ok {
		e.counters.Tail.count(len(buf))
		e.mu.Unlock()
		return
	}
	if c.cut(e.id, to.id) {
		e.counters.Cut.count(len(buf))
		e.mu.Unlock()
		return
	}
	l := c.link(e.id, to.id)
	delay, lost := e.draw(l, to, e.rng, now)
	if lost {
		e.counters.Lost.count(len(buf))
		e.mu.Unlock()
		return
	}
	twice := chance(e.rng, l.Duplicate)
	var again time.Duration
	if twice {
		again = l.Delay.sample(e.rng)
		e.counters.Duplicated.count(len(buf))
	}
	e.mu.Unlock()

	to.fly(&packet{Packet: memberlist.Packet{Buf: buf, From: e.addr}, at: left.Add(delay)}, now)
	if twice {
		// The receiver owns what it gets, so the copy may not share buf.
		to.fly(&packet{Packet: memberlist.Packet{Buf: slices.Clone(buf), From: e.addr}, at: left.Add(again)}, now)
	}
}

// leave is when what e sends to to at now has left e's line, or false where it
// does not fit. e.mu is held.
func (e *endpoint) leave(up Rate, to *endpoint, bytes int, now time.Time) (time.Time, bool) {
	if e == to {
		return now, true
	}
	return e.up.carry(up, bytes, now)
}

// fly adds p to what is on its way here.
func (e *endpoint) fly(p *packet, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	if e.insert(p) == 0 {
		e.arm(now)
	}
}

// insert puts p into the inbox and returns where. e.mu is held.
func (e *endpoint) insert(p *packet) int {
	// Most packets arrive after all others. Those of one instant keep their
	// order.
	i := len(e.inbox)
	if i > 0 && e.inbox[i-1].at.After(p.at) {
		i = sort.Search(i, func(j int) bool { return e.inbox[j].at.After(p.at) })
	}
	e.inbox = slices.Insert(e.inbox, i, p)
	return i
}

// arm sets the timer to the first arrival. e.mu is held.
func (e *endpoint) arm(now time.Time) {
	wait := until(e.inbox[0].at, now)
	if e.timer == nil {
		e.timer = time.AfterFunc(wait, e.due)
	} else {
		e.timer.Reset(wait)
	}
}

// due hands over what has arrived by now.
func (e *endpoint) due() {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	_, down := e.net.conditions.Load().rate(e.id)
	n := 0
	for ; n < len(e.inbox) && !e.inbox[n].at.After(now); n++ {
		p := e.inbox[n]
		if !p.carried && p.From != net.Addr(e.addr) {
			p.carried = true
			left, ok := e.down.carry(down, len(p.Buf)+udpHeader, p.at)
			if !ok {
				e.counters.Tail.count(len(p.Buf))
				continue
			}
			if left.After(p.at) {
				p.at = left
				e.insert(p) // behind n, whose time was earlier
				continue
			}
		}
		e.arrive(p, now)
	}
	e.inbox = slices.Delete(e.inbox, 0, n)
	if len(e.inbox) > 0 {
		e.arm(now)
	}
}

// arrive hands p to whoever is here, or holds it back. e.mu is held.
func (e *endpoint) arrive(p *packet, now time.Time) {
	switch {
	case e.holder == nil:
		e.counters.Dead.count(len(p.Buf))
	case e.blocked == nil:
		e.deliver(p, now)
	case len(e.heldIn)+len(e.holder.packets) < e.net.queue:
		e.heldIn = append(e.heldIn, p)
	default:
		e.counters.Full.count(len(p.Buf))
	}
}

// deliver puts p where the node reads it. e.mu is held, and e.holder not nil.
func (e *endpoint) deliver(p *packet, now time.Time) {
	p.Timestamp = now
	// The node may change what it gets before we are done with it.
	size := len(p.Buf)
	select {
	case e.holder.packets <- &p.Packet:
		e.counters.Received.count(size)
	default:
		e.counters.Full.count(size)
	}
}

// release ends a block and returns what may now go out. e.mu is held.
func (e *endpoint) release() []outgoing {
	if e.blocked == nil {
		return nil
	}
	close(e.blocked)
	e.blocked = nil
	out := e.heldOut
	e.heldOut = nil
	return out
}

// vacate ends t's hold on the address, if it has it, and returns the streams
// of the address. Packets held back either way are lost.
func (e *endpoint) vacate(t *Transport, shut bool) []*pipe {
	e.mu.Lock()
	defer e.mu.Unlock()
	t.shut = t.shut || shut
	if e.holder != t {
		return nil
	}
	e.holder = nil
	for _, o := range e.release() {
		e.counters.Dead.count(len(o.buf))
	}
	for _, p := range e.heldIn {
		e.counters.Dead.count(len(p.Buf))
	}
	e.heldIn = nil
	if e.stalled != nil {
		close(e.stalled)
		e.stalled = nil
	}
	close(t.done)
	return slices.Clone(e.streams)
}

func (e *endpoint) close() {
	e.mu.Lock()
	e.closed = true
	e.inbox = nil
	if e.timer != nil {
		e.timer.Stop()
	}
	t := e.holder
	e.mu.Unlock()
	if t != nil {
		t.Shutdown()
	}
}
