//go:build unix

package ws

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/gobwas/ws"

	"github.com/pulsering/pulsering/detector/link"
)

// rawConn is the socket of a connection that is nothing but a socket: what wraps one may do more
// when it is read or written, unless it says that it does not (see Handler).
func rawConn(conn net.Conn) syscall.RawConn {
	var raw syscall.RawConn
	switch c := conn.(type) {
	case *net.TCPConn:
		raw, _ = c.SyscallConn()
	case *net.UnixConn:
		raw, _ = c.SyscallConn()
	case interface{ BareConn() net.Conn }:
		return rawConn(c.BareConn())
	}
	return raw
}

// pinger writes a ping that does not wait. There are few, as one is used for no longer than that.
type pinger struct {
	frame [2 + link.MaxBeat]byte
	size  int
	n     int
	err   error
	do    func(fd uintptr) bool
}

var pingers = sync.Pool{New: func() any {
	p := new(pinger)
	p.do = func(fd uintptr) bool {
		for {
			p.n, p.err = syscall.Write(int(fd), p.frame[:p.size])
			if p.err != syscall.EINTR {
				return true // also when the socket is full
			}
		}
	}
	return p
}}

// TryPing writes a ping if the socket takes it at once and nobody else is writing.
func (c *Conn) TryPing(payload []byte) (bool, error) {
	if c.raw == nil || c.client || len(payload) > link.MaxBeat {
		return false, nil
	}
	select {
	case c.turn <- struct{}{}: // which is free only while nobody waits for it
		defer func() { <-c.turn }()
	default:
		return false, nil
	}
	if c.closing {
		return true, nil // nothing follows a close frame
	}
	if c.rest != nil {
		return false, nil
	}
	p := pingers.Get().(*pinger)
	defer pingers.Put(p)
	p.frame[0], p.frame[1] = 0x80|byte(ws.OpPing), byte(len(payload))
	p.size = 2 + copy(p.frame[2:], payload)
	if err := c.raw.Write(p.do); err != nil {
		return false, err
	}
	switch {
	case p.err == syscall.EAGAIN:
		return false, nil
	case p.err != nil:
		return false, os.NewSyscallError("write", p.err)
	}
	if p.n < p.size {
		c.rest, c.part = append([]byte(nil), p.frame[p.n:p.size]...), p.n
		return false, nil // a ping with the same payload follows the rest
	}
	c.written.Add(uint64(p.n))
	return true, nil
}

// buffers are what a readable socket is read into. A sync.Pool would do, but that its first use of
// a processor takes more stack than a reader has, which then keeps twice as much.
var buffers struct {
	mu   sync.Mutex
	free []*buffer
}

type buffer [512]byte

func takeBuffer() (b *buffer) {
	buffers.mu.Lock()
	if n := len(buffers.free); n > 0 {
		b, buffers.free = buffers.free[n-1], buffers.free[:n-1]
	}
	buffers.mu.Unlock()
	if b == nil {
		b = new(buffer)
	}
	return b
}

func giveBuffer(b *buffer) {
	buffers.mu.Lock()
	if len(buffers.free) < 256 {
		buffers.free = append(buffers.free, b)
	}
	buffers.mu.Unlock()
}

// ReadEach reads until an error. While nothing comes, it holds no buffer, and a stack of 2 KB is
// enough, also for the answers to pings.
func (c *Conn) ReadEach(do func(link.Frame) error) error {
	if c.raw == nil {
		return c.readSlowly(do, func() bool { return false })
	}
	a := &answers{c: c, do: do}
	a.readable = a.read
	for {
		for c.idle() {
			if err := a.next(); err != nil {
				return err
			}
		}
		if err := c.readSlowly(do, c.idle); err != nil {
			return err
		}
	}
}

// answers reads answers to pings.
type answers struct {
	c        *Conn
	do       func(link.Frame) error
	readable func(fd uintptr) bool // read
	buf      *buffer               // of what was read; nil: nothing is
	n        int
	err      error
}

// next waits for answers and takes them. If something else follows, it is early then.
func (a *answers) next() error {
	if err := a.c.raw.Read(a.readable); err != nil {
		return err
	}
	if a.n <= 0 {
		return a.failure()
	}
	buf := a.buf
	a.buf = nil
	for p := buf[:a.n]; len(p) > 0; {
		payload, size := answer(p)
		if size == 0 {
			a.c.early = append([]byte(nil), p...)
			break
		}
		if err := a.do(link.Frame{Type: link.Pong, Payload: payload}); err != nil {
			return err
		}
		p = p[size:]
	}
	giveBuffer(buf)
	return nil
}

// read reads what has come, and reports false if that is nothing, to be called again when there is
// something.
func (a *answers) read(fd uintptr) bool {
	buf := takeBuffer()
	for {
		a.n, a.err = syscall.Read(int(fd), buf[:])
		switch {
		case a.n > 0:
			a.c.got.Add(uint64(a.n))
			a.buf = buf
			return true
		case a.err != syscall.EINTR:
			giveBuffer(buf)
			return a.err != syscall.EAGAIN
		}
	}
}

// failure is why a read returned nothing.
func (a *answers) failure() error {
	if a.err == nil {
		return io.EOF
	}
	return os.NewSyscallError("read", a.err)
}

// readSlowly reads frames of any kind until enough says so.
func (c *Conn) readSlowly(do func(link.Frame) error, enough func() bool) error {
	for {
		f, err := c.Read()
		if err != nil {
			return err
		}
		if err := do(f); err != nil {
			return err
		}
		if enough() {
			return nil
		}
	}
}

// answer is the payload of the pong that p begins with, and the size of its frame; 0: it begins
// with something else, or a part of one.
func answer(p []byte) (payload []byte, size int) {
	const header = 2 + 4 // and the mask
	if len(p) < header || p[0] != 0x80|byte(ws.OpPong) || p[1]&0x80 == 0 {
		return nil, 0
	}
	size = header + int(p[1]&0x7f)
	if size > header+link.MaxBeat || len(p) < size {
		return nil, 0
	}
	payload = p[header:size]
	ws.Cipher(payload, [4]byte(p[2:header]), 0)
	return payload, size
}
