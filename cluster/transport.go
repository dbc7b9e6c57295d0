package cluster

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// transport wraps the transport of memberlist so that Close and a failed Join end everything at once: dials in progress
// are cancelled and open streams closed, where memberlist alone would let them run into their time-outs (10 s).
type transport struct {
	memberlist.NodeAwareTransport
	dial    func(ctx context.Context, addr memberlist.Address, timeout time.Duration) (net.Conn, error)
	streams chan net.Conn

	advertised atomic.Pointer[advertised] // as memberlist, and Join before it, was told last

	// What this node itself has for its memberlist, see inject.
	injected chan *memberlist.Packet
	label    string
	key      func() []byte // to encrypt with; nil: there is none

	ctx    context.Context // ends with Shutdown
	cancel context.CancelFunc
	wg     sync.WaitGroup

	count *counters
	who   *processes // to whom nothing is sent any more
	seed  maphash.Seed

	mu       sync.Mutex
	open     map[*stream]struct{} // nil: shut down
	calls    map[string]*call     // those under way, by the name that memberlist is given with the address
	began    int                  // calls so far
	said     []uint64             // sums of the latest answers of this node while calls were under way
	shutdown error
}

func wrapTransport(inner memberlist.Transport, count *counters) *transport {
	t := &transport{
		streams: make(chan net.Conn), injected: make(chan *memberlist.Packet, maxInjected),
		open: map[*stream]struct{}{}, calls: map[string]*call{},
		key: func() []byte { return nil }, count: count, who: newProcesses(), seed: maphash.MakeSeed(),
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	if aware, ok := inner.(memberlist.NodeAwareTransport); ok {
		t.NodeAwareTransport = aware
	} else {
		t.NodeAwareTransport = nameless{inner}
	}
	if _, ok := inner.(*memberlist.NetTransport); ok {
		t.dial = func(ctx context.Context, addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
			d := net.Dialer{Timeout: timeout}
			return d.DialContext(ctx, "tcp", addr.Addr)
		}
	} else {
		t.dial = func(_ context.Context, addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
			return t.NodeAwareTransport.DialAddressTimeout(addr, timeout)
		}
	}
	t.wg.Add(1)
	go t.accept()
	return t
}

// advertised is an address that others reach this node at.
type advertised struct {
	ip   net.IP
	port uint16
}

func (t *transport) FinalAdvertiseAddr(host string, port int) (net.IP, int, error) {
	ip, port, err := t.NodeAwareTransport.FinalAdvertiseAddr(host, port)
	if err == nil {
		t.advertised.Store(&advertised{ip, uint16(port)})
	}
	return ip, port, err
}

// nameless serves a transport that knows addresses only.
type nameless struct{ memberlist.Transport }

func (n nameless) WriteToAddress(b []byte, addr memberlist.Address) (time.Time, error) {
	return n.WriteTo(b, addr.Addr)
}

func (n nameless) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return n.DialTimeout(addr.Addr, timeout)
}

var errShutdown = errors.New("cluster: transport is shut down")

func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// errOver is what memberlist gets where it would exchange tables with a process that is over.
var errOver = errors.New("cluster: the process is over, and its address may be another's by now")

// DialAddressTimeout dials for a call, or for memberlist. What memberlist begins by itself, with a member that is down, is
// refused if it is an exchange of tables: the address may have passed to a member of another cluster. Its probes by stream,
// which have a shorter time-out and carry no tables, are let through.
func (t *transport) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	if t.ctx.Err() != nil {
		return nil, errShutdown
	}
	t.mu.Lock()
	c := t.calls[addr.Name]
	t.mu.Unlock()
	if c == nil {
		if timeout >= exchangeTimeout && t.who.over(addr.Name) {
			return nil, errOver
		}
		conn, err := t.dial(t.ctx, addr, timeout)
		if err != nil {
			return nil, err
		}
		s, err := t.track(conn)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	addr.Name = ""
	conn, err := t.dial(c.ctx, addr, min(timeout, c.timeout))
	if err != nil {
		return nil, err
	}
	s, err := t.track(conn)
	if err != nil {
		return nil, err
	}
	s.call = c
	c.local = conn.LocalAddr()
	c.drop = context.AfterFunc(c.ctx, func() { s.Conn.Close() })
	return s, nil
}

// maxInjected is how many packets of this node's own may wait.
const maxInjected = 256

// PacketCh is called by memberlist for each packet, so that it takes its own where there are any, and none takes a detour. While
// nothing comes in from others, they wait.
func (t *transport) PacketCh() <-chan *memberlist.Packet {
	if len(t.injected) > 0 {
		return t.injected
	}
	return t.NodeAwareTransport.PacketCh()
}

// inject hands memberlist the news that a process is over, as a packet that it trusts. Its queues may drop it: the core looks
// whether it was taken in.
func (t *transport) inject(d departure) {
	buf, err := encodeDeparture(d, t.label, t.key())
	if err != nil {
		return // no random numbers: the machine has other troubles
	}
	at := t.advertised.Load()
	p := &memberlist.Packet{Buf: buf, From: &net.UDPAddr{IP: at.ip, Port: int(at.port)}, Timestamp: time.Now()}
	select {
	case t.injected <- p:
	default:
	}
}

// WriteToAddress sends nothing that memberlist has for a process that is over: its gossip goes to the dead for a
// moment, and with its probes of them. What this package sends names no process.
func (t *transport) WriteToAddress(b []byte, addr memberlist.Address) (time.Time, error) {
	if addr.Name != "" && t.who.over(addr.Name) {
		return time.Now(), nil
	}
	t.count.packets.Add(1)
	t.count.bytes.Add(uint64(len(b)))
	return t.NodeAwareTransport.WriteToAddress(b, addr)
}

// call is an exchange of tables that this package began. memberlist dials for it, and knows no context.
type call struct {
	ctx     context.Context
	timeout time.Duration // for the dial

	local net.Addr     // this end of the stream; nil: there was none
	heard maphash.Hash // of all that was read
	drop  func() bool
}

// begin makes a call; memberlist takes what it returns for an address with a name.
func (t *transport) begin(ctx context.Context, addr string, timeout time.Duration) (c *call, target string) {
	c = &call{ctx: ctx, timeout: timeout}
	c.heard.SetSeed(t.seed)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.began++
	name := fmt.Sprint("call-", t.began)
	t.calls[name] = c
	return c, name + "/" + addr
}

// finish ends a call whose exchange is over, and tells whether it was this node itself that answered.
//
// The answer says so, not the addresses: with a load balancer between, neither end sees the other's. No two processes answer the
// same, as an answer holds the name of its process in memberlist (see state), and encrypted ones differ anyhow.
func (t *transport) finish(c *call, target string) (self bool) {
	if c.drop != nil {
		c.drop()
	}
	name, _, _ := strings.Cut(target, "/")
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.calls, name)
	self = c.local != nil && slices.Contains(t.said, c.heard.Sum64())
	if len(t.calls) == 0 {
		t.said = nil
	}
	return self
}

// answered notes the sum of what this node has answered on a stream so far, before it goes out.
func (t *transport) answered(s *stream, p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.calls) == 0 {
		return
	}
	s.said.Write(p)
	if len(t.said) == maxSaid {
		t.said = slices.Delete(t.said, 0, 1)
	}
	t.said = append(t.said, s.said.Sum64())
}

// maxSaid is how many answers are remembered, of which one may be to a call of this node's own: a second's worth for a seed of many.
const maxSaid = 256

func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

func (t *transport) accept() {
	defer t.wg.Done()
	for {
		select {
		case conn := <-t.NodeAwareTransport.StreamCh():
			s, err := t.track(conn)
			if err != nil {
				return
			}
			s.accepted = true
			s.said.SetSeed(t.seed)
			select {
			case t.streams <- s:
			case <-t.ctx.Done():
				s.Close()
				return
			}
		case <-t.ctx.Done():
			return
		}
	}
}

// Shutdown is called by memberlist's Shutdown and by a Join that fails; it may be called again.
func (t *transport) Shutdown() error {
	t.mu.Lock()
	open := t.open
	t.open = nil
	t.mu.Unlock()
	if open == nil {
		t.wg.Wait()
		return t.shutdown
	}
	t.cancel()
	for s := range open {
		s.Conn.Close()
	}
	ended := make(chan struct{})
	t.wg.Go(func() { t.drain(ended) })
	t.shutdown = t.NodeAwareTransport.Shutdown()
	close(ended)
	t.wg.Wait()
	return t.shutdown
}

// drain takes what still comes in during Shutdown and lets it go: the goroutines of the transport below, for which Shutdown waits,
// wait for somebody to take it.
func (t *transport) drain(ended <-chan struct{}) {
	for {
		select {
		case conn, ok := <-t.NodeAwareTransport.StreamCh():
			if !ok {
				return
			}
			conn.Close()
		case _, ok := <-t.NodeAwareTransport.PacketCh():
			if !ok {
				return
			}
		case <-ended:
			return
		}
	}
}

func (t *transport) track(conn net.Conn) (*stream, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		conn.Close()
		return nil, errShutdown
	}
	s := &stream{Conn: conn, owner: t}
	t.open[s] = struct{}{}
	return s, nil
}

type stream struct {
	net.Conn
	owner *transport

	call     *call // which this node made on it; nil: none
	accepted bool
	said     maphash.Hash // of what was written to an accepted one
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if s.call != nil {
		s.call.heard.Write(p[:n])
	}
	return n, err
}

func (s *stream) Write(p []byte) (int, error) {
	if s.accepted {
		s.owner.answered(s, p)
	}
	n, err := s.Conn.Write(p)
	s.owner.count.bytes.Add(uint64(n))
	return n, err
}

func (s *stream) Close() error {
	s.owner.mu.Lock()
	delete(s.owner.open, s)
	s.owner.mu.Unlock()
	return s.Conn.Close()
}
