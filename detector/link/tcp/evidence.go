package tcp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"time"
)

// ErrNoInfo is the error where nobody can say what the kernel knows: on systems other than Linux,
// and for a connection without a TCP socket of this process below it.
var ErrNoInfo = errors.New("tcp: not known on this system, or of this connection")

// Info is what the kernel knows of a connection (TCP_INFO of Linux). It speaks of the other end of
// this TCP connection: behind a proxy or load balancer that ends it, that is the proxy, however the
// peer itself fares.
//
// The four times since something happened are as exact as the kernel's tick (1 to 10 ms). They
// begin when the connection does.
type Info struct {
	// State is the state of RFC 9293 in small letters: established, close-wait, close and so on.
	State string
	// LastDataSent is the time since the latest segment with data went out, retransmissions
	// included.
	LastDataSent time.Duration
	// LastDataReceived is the time since data came.
	LastDataReceived time.Duration
	// LastAckReceived is the time since an acknowledgement came. One that came with data and
	// acknowledged nothing new does not count: on a connection that only receives it is as old as
	// the connection.
	LastAckReceived time.Duration
	// Unacked is how many segments are on their way, not acknowledged.
	Unacked int
	// Retransmits is how many retransmission time-outs have passed since something new was
	// acknowledged.
	Retransmits int
	// TotalRetransmits is how many segments were sent again since the connection began. Those that
	// could not leave this machine do not count.
	TotalRetransmits int
	// Probes is how many probes, of keep-alive or of a shut window, are unanswered.
	Probes int
	// Backoff is how often the time-out of a retransmission, or of a shut window's probe, was
	// doubled.
	Backoff int
	// RTO is the retransmission time-out, doublings included.
	RTO time.Duration
	// RTT and RTTVar are the smoothed round-trip time and its mean deviation.
	RTT, RTTVar time.Duration
	// BytesAcked and BytesReceived count since the connection began. The SYN and the FIN are a byte
	// each to BytesAcked.
	BytesAcked, BytesReceived uint64
	// NotSent is how many bytes were written and have not been sent at all.
	NotSent int
	// Window is how many bytes the peer's kernel takes, as it said last. Always 0 before Linux 5.4.
	Window int
}

// ReadInfo asks the kernel about a connection: one whose socket is this process's, or what unwraps
// to one (NetConn, as *tls.Conn has). Where nobody can say, the error is ErrNoInfo. It may be
// called beside a blocked Read or Write.
func ReadInfo(conn net.Conn) (Info, error) {
	socket, err := socketOf(conn)
	if err != nil {
		return Info{}, err
	}
	return readInfo(socket)
}

// Unread tells whether the kernel holds bytes of a connection that this process has not read: then
// it is this process that is late, not the peer. False where nobody can say.
func Unread(conn net.Conn) bool {
	socket, err := socketOf(conn)
	return err == nil && unread(socket)
}

// Acked is how many bytes of a connection the peer's kernel has acknowledged; 0 where nobody can
// say.
func Acked(conn net.Conn) uint64 {
	info, err := ReadInfo(conn)
	if err != nil {
		return 0
	}
	return info.BytesAcked
}

// Verdict is why a peer's application is silent, as far as the kernel can tell.
type Verdict uint8

const (
	// Unknown: the kernel has no evidence, or none yet. Where nothing is sent there is none but
	// that of keep-alive.
	Unknown Verdict = iota
	// Path: nothing comes back to what is sent. The network is broken, or the peer's machine is
	// down.
	Path
	// Stuck: the peer's kernel acknowledges what is sent, and its application says nothing. It is
	// stopped, or hangs.
	Stuck
	// Slow: the peer lives and takes what is sent more slowly than it is written; whatever it
	// should answer may not have reached it. A process that is stopped amid a large write looks the
	// same: BytesAcked stands still then.
	Slow
)

// String returns "unknown", "path", "stuck" or "slow".
func (v Verdict) String() string {
	switch v {
	case Unknown:
		return "unknown"
	case Path:
		return "path"
	case Stuck:
		return "stuck"
	case Slow:
		return "slow"
	}
	return fmt.Sprintf("Verdict(%d)", uint8(v))
}

// MarshalText returns what String does.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

const (
	// delayedAck is how late the peer's kernel may acknowledge data that its application does not
	// answer: "the delay MUST be less than 0.5 seconds" (RFC 1122, 4.2.3.2).
	delayedAck = 500 * time.Millisecond
	// grain is how far the kernel's times may be off: two ticks at 100 Hz.
	grain = 20 * time.Millisecond
	// ackLimit is for how long after such an acknowledgement Linux acknowledges no other segment
	// that is out of the window, as a probe is (tcp_invalid_ratelimit).
	ackLimit = 500 * time.Millisecond
	// maxRTO is the longest time between two probes of a shut window (TCP_RTO_MAX).
	maxRTO = 120 * time.Second
)

// Verdict tells why the peer's application has been silent. Silence is the time since its last byte
// was read, interval how much of that is ordinary: the time between two of its beats, or between
// two pings that it answers, and a round trip.
//
// The first row that holds decides. "Shut" is a window with NotSent > 0, Unacked 0 and Window 0.
// "Late" is silence - interval - 0.5 s - (RTT + 4 RTTVar): an acknowledgement that is younger
// proves that the peer's kernel was there when its application should have spoken. The allowance is
// for one that is delayed, and would else pass for younger than the application's last byte.
//
//	verdict  decided by                                 why
//	-------  -----------------------------------------  ----------------------------------------
//	Unknown  State is close, listen, syn-...            no connection: the errors tell (HowEnded)
//	Path     Probes ≥ 2, window not shut                keep-alive, or an interface that is down:
//	                                                    nothing came for an interval after a probe
//	Path     LastAck > LastDataSent, and Retransmits    what was sent last, and before, is not
//	         ≥ 2, or 1 with silence > interval and      acknowledged; one retransmission proves
//	         LastAck ≥ late                             little if acknowledgements came
//	Path     window shut, the latest probe sent more    live Linux peers leave a probe unanswered
//	         than 0.5 s after the last answer, and      that comes sooner (tcp_invalid_ratelimit);
//	         unanswered for 0.5 s + RTT + 4 RTTVar      later ones may be two minutes apart
//	Slow     NotSent > 0, LastAck < late                bytes drain, or probes are answered
//	Slow     window shut                                all that fits is there, no probe is overdue
//	Unknown  LastDataReceived < silence                 bytes came that the caller has not read: it
//	                                                    is late itself
//	Stuck    LastAck < late, NotSent 0, Retransmits 0   the kernel took all, and the application
//	                                                    says nothing
//	Unknown  else
//
// Measured between network namespaces (Linux 6.18, pings a second apart): a process stopped for 5.5
// s has LastAck 1.5 s, Unacked 0, Retransmits 0; a dead path LastAck 5.5 s, Unacked 1, Retransmits
// 4. The first retransmission is counted 0.2 s (RTO) after the first write that is lost if there
// was no tail-loss probe, 0.4 s if there was. With the interface at home down nothing leaves at
// all: Unacked 0, NotSent 1, Probes 1, 2, 3 after 0.2, 0.6, 1.5 s. A peer that stopped reading has
// Window 0, Unacked 0, NotSent > 0, and its LastAck grows up to the time between two probes.
//
// The verdict was right in all of 100 stopped processes and 300 paths cut in three ways, and no
// other but Unknown on the way to it: Stuck after 1.0 to 2.1 s, Path after 0.3 to 1.6 s.
func (i Info) Verdict(silence, interval time.Duration) Verdict {
	patience := delayedAck + i.RTT + 4*i.RTTVar
	late := silence - interval - patience
	acked := i.LastAckReceived < late
	shut := i.NotSent > 0 && i.Unacked == 0 && i.Window == 0
	unanswered := i.LastAckReceived > i.LastDataSent
	switch {
	case !i.synchronized():
		return Unknown
	case i.Probes >= 2 && !shut,
		unanswered && i.Retransmits >= 2,
		unanswered && i.Retransmits == 1 && silence > interval && !acked,
		shut && i.Probes >= 1 && i.probed() > ackLimit && i.LastAckReceived > i.probed()+patience:
		return Path
	case i.NotSent > 0 && acked, shut:
		return Slow
	case i.LastDataReceived+grain < silence:
		return Unknown
	case acked && i.NotSent == 0 && i.Retransmits == 0 && i.speaks():
		return Stuck
	}
	return Unknown
}

// probed is how long after the last answer the latest probe of a shut window was sent. Each is sent
// RTO·2^n after the one before, up to maxRTO (tcp_probe0_when); n is Backoff - 1 for the latest,
// and one less for each before it.
func (i Info) probed() time.Duration {
	var sum time.Duration
	for n := range min(i.Probes, i.Backoff) {
		wait := min(max(i.RTO, 0), maxRTO)
		for range i.Backoff - 1 - n {
			if wait *= 2; wait >= maxRTO {
				wait = maxRTO
				break
			}
		}
		sum += wait
	}
	return sum
}

// stateNames are the states as Linux counts them (include/net/tcp_states.h).
var stateNames = [...]string{1: "established", "syn-sent", "syn-received", "fin-wait-1", "fin-wait-2", "time-wait", "close",
	"close-wait", "last-ack", "listen", "closing", "new-syn-received"}

func stateName(n uint8) string {
	if int(n) < len(stateNames) && stateNames[n] != "" {
		return stateNames[n]
	}
	return fmt.Sprintf("state %d", n)
}

// synchronized tells whether both ends know of the connection, and it has not ended.
func (i Info) synchronized() bool {
	switch i.State {
	case "established", "fin-wait-1", "fin-wait-2", "close-wait", "closing", "last-ack":
		return true
	}
	return false
}

// speaks tells whether the peer may still send.
func (i Info) speaks() bool {
	return i.State == "established" || i.State == "fin-wait-1" || i.State == "fin-wait-2"
}

// End is how a connection ended.
type End uint8

const (
	// EndNone: it has not ended, as far as the errors tell. A deadline that passed ends no
	// connection.
	EndNone End = iota
	// EndClean: the peer closed it.
	EndClean
	// EndPath: the kernel gave up, for want of an answer or of a way there.
	EndPath
	// EndReset: the peer's kernel refused what came. The process is gone, or it closed with data
	// unread.
	EndReset
	// EndLocal: it was closed on this side.
	EndLocal
	// EndOther: an error that says none of these, such as an end amid a frame
	// (io.ErrUnexpectedEOF).
	EndOther
)

// String returns "none", "clean", "path", "reset", "local" or "other".
func (e End) String() string {
	switch e {
	case EndNone:
		return "none"
	case EndClean:
		return "clean"
	case EndPath:
		return "path"
	case EndReset:
		return "reset"
	case EndLocal:
		return "local"
	case EndOther:
		return "other"
	}
	return fmt.Sprintf("End(%d)", uint8(e))
}

// MarshalText returns what String does.
func (e End) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// HowEnded joins the errors of both directions, nil where there is none. One alone may mislead:
// when Linux gives up, one of two blocked goroutines gets ETIMEDOUT and the other a plain io.EOF,
// which looks like a clean close. So whoever reads io.EOF waits for its writer's error before it
// says how the connection ended.
//
// Path goes before reset, that before what is not known, clean and local, in this order: who gets
// an error often closes the connection, so that the other direction says net.ErrClosed.
func HowEnded(read, write error) End {
	ends := [2]End{endOf(read), endOf(write)}
	for _, end := range []End{EndPath, EndReset, EndOther, EndClean, EndLocal} {
		if ends[0] == end || ends[1] == end {
			return end
		}
	}
	return EndNone
}

// Windows has numbers of its own: there the names that syscall shares with other systems are
// invented.
var (
	pathErrors  = []error{syscall.ETIMEDOUT, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EHOSTDOWN}
	resetErrors = []error{syscall.ECONNRESET, syscall.EPIPE}

	// WSAETIMEDOUT, WSAEHOSTUNREACH, WSAENETUNREACH, WSAENETDOWN, WSAEHOSTDOWN, and WSAENETRESET,
	// which is keep-alive's.
	pathNumbers = []syscall.Errno{10060, 10065, 10051, 10050, 10064, 10052}
	// WSAECONNRESET, ERROR_BROKEN_PIPE.
	resetNumbers = []syscall.Errno{10054, 109}
)

func endOf(err error) End {
	switch {
	case err == nil, errors.Is(err, os.ErrDeadlineExceeded):
		return EndNone
	case isAny(err, pathErrors, pathNumbers):
		return EndPath
	case isAny(err, resetErrors, resetNumbers):
		return EndReset
	case errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return EndLocal
	case errors.Is(err, io.EOF):
		return EndClean
	}
	return EndOther
}

// isAny tells whether err is one of targets, or on Windows one of numbers.
func isAny(err error, targets []error, numbers []syscall.Errno) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	var errno syscall.Errno
	if runtime.GOOS != "windows" || !errors.As(err, &errno) {
		return false
	}
	for _, n := range numbers {
		if errno == n {
			return true
		}
	}
	return false
}
