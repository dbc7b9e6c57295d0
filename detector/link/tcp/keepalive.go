// Package tcp reads and sets what the kernel knows of a TCP connection: keep-alive, and TCP_INFO as
// evidence of why a peer is silent.
package tcp

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// The defaults of KeepAlive. They find a dead idle path in 30 s. Linux by itself probes after two
// hours of silence and gives up 11 minutes later; Go's defaults (15 s, 15 s, 9) take 150 s.
const (
	DefaultIdle     = 15 * time.Second
	DefaultInterval = 5 * time.Second
	DefaultProbes   = 3
)

// The limits of KeepAlive. Linux refuses more than maxWait and maxProbes (MAX_TCP_KEEPIDLE,
// MAX_TCP_KEEPINTVL and MAX_TCP_KEEPCNT in include/net/tcp.h).
const (
	minWait       = time.Second
	maxWait       = 32767 * time.Second
	maxProbes     = 127
	minSlowReader = time.Second
	maxSlowReader = 24 * time.Hour
)

// KeepAlive is how the kernel asks a silent peer whether it is still there. A probe is an empty
// segment that the peer's kernel acknowledges, whatever its application does: keep-alive finds dead
// paths and dead hosts, never a stuck process.
//
// Keep-alive is blind while data is outstanding: with one unacknowledged write, 5 s/2 s/3 had found
// nothing after 210 s. There only retransmission finds the dead path, after some 15 minutes by
// default (tcp_retries2). Info.Verdict sees it within a second.
type KeepAlive struct {
	// Idle is how long nothing has to come before the first probe. 0 means DefaultIdle. Whole
	// seconds.
	Idle time.Duration
	// Interval is the time between two probes. 0 means DefaultInterval. Whole seconds.
	Interval time.Duration
	// Probes is how many unanswered probes end the connection. 0 means DefaultProbes.
	Probes int
	// SlowReader is for how long a live peer may leave data unread or unacknowledged before the
	// kernel ends the connection (TCP_USER_TIMEOUT). 0 means: for ever. It kills peers that are
	// alive: one that only stopped reading was reset after 10.5 s at 10 s, with the same ETIMEDOUT
	// as a dead path. In return a dead path is found after about this time while data is
	// outstanding, too. Where it is set, it replaces the number of Probes. Whole milliseconds;
	// Linux only.
	SlowReader time.Duration
	// Off turns keep-alive off. ReadKeepAlive then returns in the other fields what would hold if
	// it were on.
	Off bool
}

// withDefaults fills the fields that are zero.
func (k KeepAlive) withDefaults() KeepAlive {
	if k.Idle == 0 {
		k.Idle = DefaultIdle
	}
	if k.Interval == 0 {
		k.Interval = DefaultInterval
	}
	if k.Probes == 0 {
		k.Probes = DefaultProbes
	}
	return k
}

// Validate returns all that Set would refuse, joined.
func (k KeepAlive) Validate() error {
	k = k.withDefaults()
	var errs []error
	for _, wait := range []struct {
		field string
		value time.Duration
	}{{"Idle", k.Idle}, {"Interval", k.Interval}} {
		if wait.value < minWait || wait.value > maxWait || wait.value%time.Second != 0 {
			errs = append(errs, fmt.Errorf("tcp: KeepAlive.%s: %v: want whole seconds from %v to %v",
				wait.field, wait.value, minWait, maxWait))
		}
	}
	if k.Probes < 1 || k.Probes > maxProbes {
		errs = append(errs, fmt.Errorf("tcp: KeepAlive.Probes: %d: want 1 to %d", k.Probes, maxProbes))
	}
	if s := k.SlowReader; s != 0 && (s < minSlowReader || s > maxSlowReader || s%time.Millisecond != 0) {
		errs = append(errs, fmt.Errorf("tcp: KeepAlive.SlowReader: %v: want 0 (for ever), or whole milliseconds from %v to %v",
			s, minSlowReader, maxSlowReader))
	}
	return errors.Join(errs...)
}

// FoundAfter is how long after the last segment from the peer a dead path is found on which nothing
// is sent; -1 if never. A peer that is alive answers the probes, and is never found.
func (k KeepAlive) FoundAfter() time.Duration {
	if k.Off {
		return -1
	}
	k = k.withDefaults()
	waits := time.Duration(k.Probes)
	if k.SlowReader != 0 {
		// tcp_keepalive_timer looks at the user time-out after each interval, in place of the
		// number of probes.
		waits = max(1, (k.SlowReader-k.Idle+k.Interval-1)/k.Interval)
	}
	return k.Idle + waits*k.Interval
}

// Set makes it hold for one connection: a *net.TCPConn, or what unwraps to one (NetConn, as
// *tls.Conn has). Settings that are refused change nothing.
func (k KeepAlive) Set(conn net.Conn) error {
	if err := k.Validate(); err != nil {
		return err
	}
	k = k.withDefaults()
	for _, layer := range layers(conn) {
		socket, ok := layer.(interface {
			syscall.Conn
			SetKeepAliveConfig(net.KeepAliveConfig) error
		})
		if !ok {
			continue
		}
		if err := setSlowReader(socket, k.SlowReader); err != nil {
			return err
		}
		config := net.KeepAliveConfig{Enable: !k.Off, Idle: k.Idle, Interval: k.Interval, Count: k.Probes}
		if err := socket.SetKeepAliveConfig(config); err != nil {
			return fmt.Errorf("tcp: cannot set keep-alive: %w", err)
		}
		return nil
	}
	return fmt.Errorf("tcp: cannot set keep-alive: %T is no TCP connection: %w", conn, errors.ErrUnsupported)
}

// ReadKeepAlive returns what the socket really has, which says what the kernel made of Set. Where
// the system does not tell, the error is ErrNoInfo.
func ReadKeepAlive(conn net.Conn) (KeepAlive, error) {
	socket, err := socketOf(conn)
	if err != nil {
		return KeepAlive{}, err
	}
	return readKeepAlive(socket)
}

// maxLayers keeps a connection that unwraps to itself from going on for ever.
const maxLayers = 16

// layers are a connection and those below it, the outermost first.
func layers(conn net.Conn) []net.Conn {
	var all []net.Conn
	for conn != nil && len(all) < maxLayers {
		all = append(all, conn)
		outer, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = outer.NetConn()
	}
	return all
}

// socketOf finds the raw socket below a connection.
func socketOf(conn net.Conn) (syscall.RawConn, error) {
	for _, layer := range layers(conn) {
		if socket, ok := layer.(syscall.Conn); ok {
			raw, err := socket.SyscallConn()
			if err != nil {
				return nil, fmt.Errorf("tcp: no raw socket: %w", err)
			}
			return raw, nil
		}
	}
	return nil, fmt.Errorf("%w: %T has no raw socket", ErrNoInfo, conn)
}
