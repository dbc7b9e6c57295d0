package clustertest

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// defaultQueue is memberlist's own HandoffQueueDepth, so that the network
	// is not the first to drop. A real socket holds fewer: Linux's default
	// 208 KiB of receive buffer is about 270 small datagrams.
	defaultQueue = 1024
	maxQueue     = 1 << 20

	// defaultPort is memberlist's.
	defaultPort = 7946
)

// Options says what a [Network] is like. The zero value is a quiet LAN.
type Options struct {
	// Seed is where all randomness of the network comes from: each address
	// draws from a source of its own made from Seed and the address, for what
	// it sends and for the answers to its dials, so that what one node sends
	// does not change the luck of another. Only the state of a path with
	// bursts ([GilbertElliott], [Outages]) is shared by all that goes over it.
	Seed uint64

	// Link is every path that no [Network.SetLink] has named. Zero: 150 to
	// 250 µs each way, nothing lost.
	Link Link

	// Queue is how many packets an address holds that nobody has read yet,
	// and how many it may hold back in each direction while it is blocked;
	// more are dropped and counted as Full. 0 means 1024, at most 1048576.
	Queue int

	// SilentDead makes a dead address answer nothing, like a host that lost
	// its power: dials to it hang until they time out, and [Network.Kill] does
	// not reset its streams: what is written to them is sent again until they
	// end, as [Transport.DialTimeout] says, or until the address is taken again
	// and answers with a reset. Otherwise it is like a host whose process died:
	// dials are refused and streams reset.
	SilentDead bool
}

func (o Options) validate() error {
	if o.Queue < 0 || o.Queue > maxQueue {
		return fmt.Errorf("clustertest: Queue = %d: must be 0 (for %d) to %d", o.Queue, defaultQueue, maxQueue)
	}
	return o.Link.validate()
}

// A Network connects the transports that it hands out. All its methods may be
// called at any time from any goroutine, and none of them blocks.
//
// Inside a testing/synctest bubble, make the network in the bubble: its timers
// and channels belong to the bubble that made them.
type Network struct {
	seed   uint64
	queue  int
	silent bool

	// conditions is what SetLink, SetRate, Cut and Heal write: replaced as a whole, so
	// that a send reads it without a lock.
	conditions atomic.Pointer[conditions]

	// spelled finds an endpoint by any spelling of its address that was used
	// once, so that a send parses nothing.
	spelled sync.Map // string -> *endpoint

	mu        sync.Mutex // guards what follows, and writes to conditions
	endpoints map[netip.AddrPort]*endpoint
	next      uint32 // the last address given out by Transport("")
	closed    bool
}

// New makes a network. The error, if any, names the option at fault.
func New(o Options) (*Network, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.Queue == 0 {
		o.Queue = defaultQueue
	}
	n := &Network{
		seed:      o.Seed,
		queue:     o.Queue,
		silent:    o.SilentDead,
		endpoints: make(map[netip.AddrPort]*endpoint),
		next:      10 << 24,
	}
	n.conditions.Store(&conditions{base: &o.Link})
	return n, nil
}

// Transport gives a node its transport at addr, an IP address and port such as
// "10.0.0.7:7946". An empty addr picks the next address from 10.0.0.1:7946 on
// that was never mentioned to this network.
//
// The address of a transport that was shut down or killed can be taken again,
// as by a process that restarts; a live one gives an error. Packets in flight
// go to whoever holds the address when they arrive, as with real sockets: what
// was sent to the old holder may reach the new one, but the old holder gets
// nothing more, and what waited unread in its queue is lost with it.
func (n *Network) Transport(addr string) (*Transport, error) {
	if addr == "" {
		addr = n.nextAddr()
	}
	e, err := n.endpoint(addr)
	if err != nil {
		return nil, err
	}
	return e.bind()
}

// Close shuts down all transports and stops all timers. What is in flight is
// lost. A closed network gives out no transports. Close again does nothing.
func (n *Network) Close() error {
	n.mu.Lock()
	n.closed = true
	all := make([]*endpoint, 0, len(n.endpoints))
	for _, e := range n.endpoints {
		all = append(all, e)
	}
	n.mu.Unlock()
	for _, e := range all {
		e.close()
	}
	return nil
}

// endpoint finds or makes the record of addr.
func (n *Network) endpoint(addr string) (*endpoint, error) {
	if e, ok := n.spelled.Load(addr); ok {
		return e.(*endpoint), nil
	}
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, fmt.Errorf("clustertest: address %q: must be an IP address and port such as 10.0.0.7:7946: %w", addr, err)
	}
	if ap.Port() == 0 || ap.Addr().IsUnspecified() || ap.Addr().Zone() != "" {
		return nil, fmt.Errorf("clustertest: address %q: must name one host, without a zone, and a port from 1 to 65535", addr)
	}
	ap = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	n.mu.Lock()
	defer n.mu.Unlock()
	e, ok := n.endpoints[ap]
	if !ok {
		e = n.newEndpoint(ap)
		n.endpoints[ap] = e
	}
	n.spelled.Store(addr, e)
	return e, nil
}

// newEndpoint requires that n.mu is held.
func (n *Network) newEndpoint(ap netip.AddrPort) *endpoint {
	h := fnv.New64a()
	h.Write([]byte(ap.String())) // never fails
	return &endpoint{
		net:    n,
		id:     len(n.endpoints),
		addr:   net.UDPAddrFromAddrPort(ap),
		name:   ap.String(),
		rng:    rand.New(rand.NewPCG(n.seed, h.Sum64())),
		closed: n.closed,
	}
}

// nextAddr counts through 10.0.0.0/8, leaving out the hosts 0 and 255 of each
// /24, which people take for network and broadcast addresses.
func (n *Network) nextAddr() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		n.next++
		if low := n.next & 0xff; low == 0 || low == 0xff {
			continue
		}
		ip := netip.AddrFrom4([4]byte{byte(n.next >> 24), byte(n.next >> 16), byte(n.next >> 8), byte(n.next)})
		ap := netip.AddrPortFrom(ip, defaultPort)
		if _, taken := n.endpoints[ap]; !taken {
			return ap.String()
		}
	}
}

// live finds the endpoints of addrs, each of which must have a live transport.
func (n *Network) live(addrs []string) ([]*endpoint, error) {
	es := make([]*endpoint, len(addrs))
	for i, addr := range addrs {
		e, err := n.endpoint(addr)
		if err != nil {
			return nil, err
		}
		if e.current() == nil {
			return nil, fmt.Errorf("clustertest: address %q: no live transport there", addr)
		}
		es[i] = e
	}
	return es, nil
}

// until is how long a timer must run from now to be due at t.
func until(t, now time.Time) time.Duration { return max(0, t.Sub(now)) }
