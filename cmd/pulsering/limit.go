package main

import (
	"errors"
	"net"
	"sync"
	"syscall"
)

// limitListener has a bounded number of connections open at a time: each takes a file descriptor, of which the ring needs some.
// Whoever comes when all are taken waits in the kernel.
type limitListener struct {
	net.Listener
	slots  chan struct{}
	crowd  func(bool) // told true when half of them are taken, and false when that is over
	closed chan struct{}
	once   sync.Once
}

func limit(l net.Listener, most int, crowd func(bool)) *limitListener {
	return &limitListener{Listener: l, slots: make(chan struct{}, most), crowd: crowd, closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *limitListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	if len(l.slots) > cap(l.slots)/2 {
		l.crowd(true)
	}
	return &slotConn{Conn: conn, leave: l.leave}, nil
}

func (l *limitListener) leave() {
	<-l.slots
	if len(l.slots) <= cap(l.slots)/2 {
		l.crowd(false)
	}
}

// Close implements net.Listener.
func (l *limitListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// slotConn gives its slot back when it is closed.
type slotConn struct {
	net.Conn
	leave func()
	once  sync.Once
}

// NetConn is the connection below, of which the kernel is asked why it is silent.
func (c *slotConn) NetConn() net.Conn { return c.Conn }

// BareConn tells ws.Handler that reading and writing are left to the connection below.
func (c *slotConn) BareConn() net.Conn { return c.Conn }

// SyscallConn implements syscall.Conn: nothing of a slotConn is above the socket.
func (c *slotConn) SyscallConn() (syscall.RawConn, error) {
	socket, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return socket.SyscallConn()
}

// CloseWrite ends this end's half, so that what is unread at the other one is not lost in a reset.
func (c *slotConn) CloseWrite() error {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return half.CloseWrite()
}

// Close implements net.Conn.
func (c *slotConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.leave)
	return err
}
