package clustertest

import (
	"cmp"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	// backlog is how many streams wait for the node to take them; a dial
	// beyond that is tried again, as Linux does it (memberlist takes at most
	// 128 push/pulls at once).
	backlog = 128

	// firstDialRetry is the first time-out of a lost SYN; it doubles (RFC 6298,
	// section 2, and Linux's TCP_TIMEOUT_INIT).
	firstDialRetry = time.Second
)

// DialTimeout opens a stream to addr, which takes a delay there and one back.
// It fails after timeout; 0 means no limit. Errors are *net.OpError about
// "tcp", as from the net package: syscall.ECONNREFUSED if nobody listens at
// addr (unless Options.SilentDead), os.ErrDeadlineExceeded after the time-out.
//
// Streams behave as TCP does where it matters here. What is written arrives
// whole and in order, or the stream ends. Loss and cuts cost time: an attempt
// to connect is repeated after 1, 2, 4 s and so on, a write after 200, 400 ms
// and so on up to 2 minutes, 15 times; a write counts as one, whatever its
// size. A stream whose write did not get through by then, 924.6 s after the
// first attempt, ends with syscall.ETIMEDOUT at both ends.
// Bandwidth has the limits of [Network.SetRate] alone; a write waits while
// 256 KiB are unread. An accepted stream's remote port is not the address of the other node.
func (t *Transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	to, err := t.at.net.endpoint(addr)
	if err != nil {
		return nil, err
	}
	c, err := t.dial(to, timeout)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: tcpAddr(to, 0), Err: err}
	}
	return c, nil
}

// DialAddressTimeout is DialTimeout; the node's name is not used.
func (t *Transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return t.DialTimeout(a.Addr, timeout)
}

func (t *Transport) dial(to *endpoint, timeout time.Duration) (net.Conn, error) {
	from := t.at
	w := waiter{done: t.done}
	if timeout != 0 {
		limit := time.NewTimer(timeout)
		defer limit.Stop()
		w.limit = limit.C
	}
	from.mu.Lock()
	from.counters.Dials++
	from.mu.Unlock()
	for pause := firstDialRetry; ; pause *= 2 {
		if err := w.open(from); err != nil {
			return nil, err
		}
		_, there, ok := from.cross(to, 0, time.Now())
		if ok {
			if err := w.sleep(there); err != nil {
				return nil, err
			}
			if err := w.open(to); err != nil {
				return nil, err
			}
			var back time.Duration
			if back, ok = to.answer(from, time.Now()); ok {
				near, err := t.connect(to)
				if err == nil || err == syscall.ECONNREFUSED && !to.silent() {
					stop := w.sleep(back)
					if stop == nil {
						stop = w.open(from)
					}
					if err != nil {
						return nil, cmp.Or(stop, err)
					}
					if stop != nil {
						near.Close()
						return nil, stop
					}
					return near, nil
				}
			}
		}
		// Lost, no room, or a host that says nothing.
		if err := w.sleep(pause); err != nil {
			return nil, err
		}
	}
}

// connect makes a stream to whoever listens at to, and puts its far end there.
func (t *Transport) connect(to *endpoint) (*conn, error) {
	from := t.at
	from.mu.Lock()
	if from.holder != t {
		from.mu.Unlock()
		return nil, net.ErrClosed
	}
	// Ephemeral ports as IANA gives them: 49152 to 65535 (RFC 6335).
	port := 49152 + int(from.ports%16384)
	from.ports++
	out := newStream(from, to)
	near := &conn{in: out.back, out: out, local: tcpAddr(from, port), remote: tcpAddr(to, 0)}
	from.streams = append(from.streams, out)
	from.mu.Unlock()

	err := to.accept(&conn{in: out, out: out.back, local: near.remote, remote: near.local})
	if err != nil {
		from.forget(out)
		return nil, err
	}
	return near, nil
}

func (e *endpoint) accept(c *conn) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.holder == nil {
		return syscall.ECONNREFUSED
	}
	select {
	case e.holder.streams <- c:
		e.streams = append(e.streams, c.out)
		return nil
	default:
		return syscall.EAGAIN
	}
}

// forget is about a stream that this end closed and that has sent all it could.
func (e *endpoint) forget(out *pipe) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i := slices.Index(e.streams, out); i >= 0 {
		e.streams = slices.Delete(e.streams, i, i+1)
	}
}

func tcpAddr(e *endpoint, port int) *net.TCPAddr {
	if port == 0 {
		port = e.addr.Port
	}
	return &net.TCPAddr{IP: e.addr.IP, Port: port}
}

// waiter is what a dial waits with: until its time-out, or the end of its node.
type waiter struct {
	limit <-chan time.Time
	done  <-chan struct{}
}

func (w waiter) sleep(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	return wait(w, t.C)
}

// open waits until e is not blocked.
func (w waiter) open(e *endpoint) error {
	for gate := e.gate(); gate != nil; gate = e.gate() {
		if err := wait(w, gate); err != nil {
			return err
		}
	}
	return nil
}

func wait[T any](w waiter, c <-chan T) error {
	select {
	case <-w.done:
		return net.ErrClosed
	case <-w.limit:
		return os.ErrDeadlineExceeded
	case <-c:
		return nil
	}
}

// conn is one end of a stream.
type conn struct {
	in, out       *pipe
	local, remote *net.TCPAddr
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.in.read(b)
	return n, c.wrap("read", err)
}

func (c *conn) Write(b []byte) (int, error) {
	n, err := c.out.write(b)
	return n, c.wrap("write", err)
}

func (c *conn) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// Close never blocks. What was written before still arrives.
func (c *conn) Close() error {
	c.out.close()
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error {
	c.in.setReadDeadline(t)
	c.out.setWriteDeadline(t)
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.setReadDeadline(t)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.out.setWriteDeadline(t)
	return nil
}
