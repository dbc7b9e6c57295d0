package tcp

import (
	"net"
	"strings"
	"time"

	"github.com/pulsering/pulsering/detector/link"
)

// SilenceCause is why nothing was heard on conn for so long, by what the kernel knows, where beats are interval apart; zero where it
// knows nothing. Behind a proxy it knows of the proxy.
func SilenceCause(conn net.Conn, silence, interval time.Duration) link.Cause {
	info, err := ReadInfo(conn)
	if err != nil {
		return 0
	}
	switch info.Verdict(silence, interval) {
	case Path:
		return link.Path
	case Stuck:
		return link.Stuck
	case Slow:
		return link.Slow
	}
	return 0
}

// EndCause is why a connection ended, by the errors of both directions as HowEnded joins them; zero where these do not tell. A reset
// counts as closed by the other end, as that is what most are: a process that ended with data unread.
func EndCause(read, write error) link.Cause {
	switch HowEnded(read, write) {
	case EndClean, EndReset:
		return link.Clean
	case EndPath:
		return link.Path
	case EndLocal:
		return link.Local
	}
	return 0
}

// Quiet keeps the kernel from sending anything of its own on conn: keep-alive is off. A connection that is neither TCP nor above it
// has none. It is an error if there is a socket that cannot be reached.
func Quiet(conn net.Conn) error {
	if conn == nil || conn.RemoteAddr() == nil || !strings.HasPrefix(conn.RemoteAddr().Network(), "tcp") {
		return nil
	}
	return KeepAlive{Off: true}.Set(conn)
}

// Quiet is Quiet of the socket.
func (c *Conn) Quiet() error { return Quiet(c.NetConn()) }

// Evidence is SilenceCause of the socket.
func (c *Conn) Evidence(silence, interval time.Duration) link.Cause {
	return SilenceCause(c.NetConn(), silence, interval)
}

// Ended is EndCause.
func (c *Conn) Ended(read, write error) link.Cause { return EndCause(read, write) }

// Unread is Unread of the socket.
func (c *Conn) Unread() bool { return Unread(c.NetConn()) }

// Acked is how many bytes of the socket the other host has acknowledged so far; 0 where nobody can say.
func (c *Conn) Acked() uint64 { return Acked(c.NetConn()) }
