package main

import (
	"net"
	"sync"

	"github.com/pulsering/pulsering/detector/link"
)

// line is a device's end of a connection, with the faults that may befall it.
type line struct {
	link.Transport
	conn net.Conn
	over chan struct{} // closed with the connection

	mu    sync.Mutex
	stuck bool
	cut   bool
	well  chan struct{} // closed when it is neither stuck nor cut
	once  sync.Once
}

// newLine is t, over conn.
func newLine(t link.Transport, conn net.Conn) *line {
	l := &line{Transport: t, conn: conn, over: make(chan struct{}), well: make(chan struct{})}
	close(l.well)
	return l
}

// set has the device hang, or its path be cut, or neither. A device that hangs calls neither Read
// nor Write, and its kernel goes on acknowledging. What goes into a path that is cut is lost,
// either way.
func (l *line) set(stuck, cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if cut != l.cut {
		deafen(l.conn, cut)
	}
	was, is := l.stuck || l.cut, stuck || cut
	l.stuck, l.cut = stuck, cut
	switch {
	case is && !was:
		l.well = make(chan struct{})
	case was && !is:
		close(l.well)
	}
}

func (l *line) faults() (stuck, cut bool, well chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stuck, l.cut, l.well
}

// Write hangs with the device, and succeeds into a path that is cut: a kernel takes what it may
// send later.
func (l *line) Write(f link.Frame) error {
	for {
		stuck, cut, well := l.faults()
		if !stuck && !cut {
			return l.Transport.Write(f)
		}
		if !stuck {
			return nil
		}
		select {
		case <-well:
		case <-l.over:
			return net.ErrClosed
		}
	}
}

// Read hangs with the device. Of a path that is cut it hears nothing, its end neither.
func (l *line) Read() (link.Frame, error) {
	for {
		f, err := l.Transport.Read()
		stuck, cut, well := l.faults()
		if stuck || cut && err != nil {
			select {
			case <-well:
			case <-l.over:
				return link.Frame{}, net.ErrClosed
			}
		}
		if !cut || err != nil {
			return f, err
		}
	}
}

// Close ends the connection at once.
func (l *line) Close() error {
	l.once.Do(func() { close(l.over) })
	return l.Transport.Close()
}
