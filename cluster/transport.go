package cluster

import (
	"context"
	"errors"
	"net"
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
	keys     [][]byte

	ctx    context.Context // ends with Shutdown
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	open     map[*stream]struct{} // nil: shut down
	shutdown error
}

func wrapTransport(inner memberlist.Transport) *transport {
	t := &transport{streams: make(chan net.Conn), injected: make(chan *memberlist.Packet, maxInjected), open: map[*stream]struct{}{}}
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

func (t *transport) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	if t.ctx.Err() != nil {
		return nil, errShutdown
	}
	conn, err := t.dial(t.ctx, addr, timeout)
	if err != nil {
		return nil, err
	}
	return t.track(conn)
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
	buf, err := encodeDeparture(d, t.label, t.keys)
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
	t.shutdown = t.NodeAwareTransport.Shutdown()
	t.wg.Wait()
	return t.shutdown
}

func (t *transport) track(conn net.Conn) (net.Conn, error) {
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
}

func (s *stream) Close() error {
	s.owner.mu.Lock()
	delete(s.owner.open, s)
	s.owner.mu.Unlock()
	return s.Conn.Close()
}
