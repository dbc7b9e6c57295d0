package link

import (
	"errors"
	"fmt"
	"net"
)

// FrameType says what a [Frame] is.
type FrameType uint8

const (
	// Ping asks for a Pong with the same payload, at most MaxBeat bytes.
	Ping FrameType = iota + 1
	// Pong answers a Ping; or is a heartbeat that nobody asked for.
	Pong
	// Text is a message of the protocol or a plain client, at most MaxText bytes of UTF-8.
	Text
	// Data is a message of the application.
	Data
	// Close is the last frame of an end: a code and a reason.
	Close
)

// MaxText is how long the payload of a Text frame is at most, in bytes.
const MaxText = 4096

// A Frame is what connections carry. Whole messages only: an adapter takes long ones apart and puts them together.
type Frame struct {
	Type    FrameType
	Payload []byte // of Close: the reason
	Code    uint16 // of Close: as in WebSocket (RFC 6455, section 7.4)
}

// A Transport is one connection, as an adapter gives it to a [Server] or [Client]: packages ws and tcp have adapters. One that
// carries no Data has a method TextOnly() bool, which is true: then messages are Text. One that knows more about its end has these,
// each of which returns zero for what it does not know:
//
//	Evidence(silence, interval time.Duration) Cause // why nothing was heard for so long, where beats are interval apart
//	Ended(read, write error) Cause                  // what the errors of both directions mean: see tcp.EndCause
//	Unread() bool                                   // bytes came that Read has not taken
//	Acked() uint64                                  // bytes that the other host has acknowledged so far
//
// One on which nothing has to be said for long, so that a spare connection may sleep on it (see package nat), has a method
// Quiet() error: from then on nothing is sent but what Write is given, and TCP keep-alive is off.
type Transport interface {
	// Read waits for the next frame. Its payload is valid until the next Read. A frame that is too long, or makes no
	// sense, is an error with ErrTooBig or ErrFrame in it, and the end of the connection: the other end is told. One that
	// ends in the middle is an error with io.ErrUnexpectedEOF in it. One goroutine reads.
	Read() (Frame, error)
	// Write writes a frame. It waits while the other end does not take it. Several goroutines may write at the same time:
	// a Ping or Pong then goes between the pieces of a long Data.
	Write(Frame) error
	// Written counts the bytes that the connection has taken, those of a Write that is not over too. That it grows is a sign of
	// life. A Transport may also have a method Received() uint64, which counts the bytes that came, those of a Read that
	// is not over too: it is another such sign.
	Written() uint64
	// NetConn is the socket below, for what the kernel knows of it; nil where there is none.
	NetConn() net.Conn
	// Remote is the other end's address, for people to read.
	Remote() string
	// Kind is "websocket", "tcp" or what else the connection is, for people to read.
	Kind() string
	// Close ends the connection at once, also while others read and write. Read and Write return. A second Close is harmless.
	Close() error
}

// acker is a Transport that tells how many bytes the other host has acknowledged.
type acker interface{ Acked() uint64 }

// quickPinger is a Transport on a socket that most often takes a ping at once, so that pinging needs no
// goroutine that may have to wait.
type quickPinger interface {
	// TryPing writes a Ping with this payload if nobody has to wait for that, and reports whether it
	// did. If not, Write has to. The payload is valid until it returns.
	TryPing(payload []byte) (bool, error)
}

// quickReader is a Transport that holds no buffer while nothing comes.
type quickReader interface {
	// ReadEach calls do for each frame that comes, as Read returns them, until either is an error,
	// which it returns.
	ReadEach(do func(Frame) error) error
}

// Codes of Close frames, as WebSocket has them (RFC 6455, section 7.4.1), and in its range for applications.
const (
	CodeNormal      = 1000 // goodbye: the session is over
	CodeGoingAway   = 1001 // this end goes; the session may be resumed
	CodeProtocol    = 1002
	CodeTooBig      = 1009
	CodeTryAgain    = 1013 // too many sessions
	CodeSilent      = 4000 // nothing was heard
	CodeWrongSecret = 4001 // the session is somebody else's
	CodeReplaced    = 4002 // its owner has connected again
	CodeTooFast     = 4003 // pings came more often than was told
	CodeBehind      = 4004 // too much waits that the other end did not acknowledge
	CodeRestless    = 4005 // a spare connection cannot sleep undisturbed
)

// CloseError is why the other end closed the connection, as it said.
type CloseError struct {
	Code   uint16
	Reason string
}

func (e *CloseError) Error() string {
	return fmt.Sprintf("link: closed by the other end: %d %s", e.Code, e.Reason)
}

// ErrTooBig is in the error of a Transport whose other end sent a frame beyond the limit.
var ErrTooBig = errors.New("link: frame too big")

// ErrFrame is in the error of a Transport whose other end sent what is no frame.
var ErrFrame = errors.New("link: malformed frame")
