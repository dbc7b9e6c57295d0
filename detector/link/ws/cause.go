package ws

import (
	"time"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/tcp"
)

// Evidence is what the kernel knows of the socket: see tcp.SilenceCause.
func (c *Conn) Evidence(silence, interval time.Duration) link.Cause {
	return tcp.SilenceCause(c.conn, silence, interval)
}

// Quiet keeps the kernel from sending anything of its own: see tcp.Quiet.
func (c *Conn) Quiet() error { return tcp.Quiet(c.conn) }

// Ended is tcp.EndCause.
func (c *Conn) Ended(read, write error) link.Cause { return tcp.EndCause(read, write) }

// Unread is tcp.Unread of the socket.
func (c *Conn) Unread() bool { return tcp.Unread(c.conn) }

// Acked is tcp.Acked of the socket.
func (c *Conn) Acked() uint64 { return tcp.Acked(c.conn) }
