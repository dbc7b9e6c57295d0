// Package ws carries sessions of package link over WebSocket (RFC 6455), on the server for browsers and others, and for clients in Go. It
// frames with github.com/gobwas/ws, which alone among the libraries read gives pings a payload of one's own and leaves the
// connection a net.Conn.
package ws

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/pulsering/pulsering/detector/link"
)

const (
	// pieceSize is how long the fragments of a message are, between which pings go.
	pieceSize = 16 << 10
	// readBuffer is what a connection holds for reading: a ping's answer fits.
	readBuffer = 256
	// serviceRestart is a code of Close that this package does not send and others do.
	serviceRestart = 1012
)

// Conn is a WebSocket connection. Each of its methods does what [link.Transport] says.
type Conn struct {
	conn   net.Conn
	remote string
	client bool // the client's end, which masks
	most   int  // bytes of a message

	raw     syscall.RawConn // of a plain socket; nil: there is none
	early   []byte          // what was read before, and comes first
	r       *bufio.Reader   // of readers; nil: nothing is read
	buf     []byte          // of the control frame or message that was read last
	message []byte          // fragments of one that is not whole
	begun   ws.OpCode       // its type; 0: there is none

	// One frame is written at a time. A channel, unlike a mutex, gives turns in the order that they are asked for: so a ping waits
	// for one piece of a message and no more.
	turn chan struct{}

	// Whose turn it is alone uses these.
	closing bool   // a close frame was written
	rest    []byte // of a ping of which the socket took a part: it goes first
	part    int    // how much of it that was: not in written yet, as it is no sign of life

	written atomic.Uint64
	got     atomic.Uint64 // bytes that came
}

// newConn takes over an upgraded connection, of which rest was read already.
func newConn(conn net.Conn, rest *bufio.Reader, client bool, maxMessage int) *Conn {
	if maxMessage == 0 {
		maxMessage = link.DefaultMaxMessage
	}
	c := &Conn{conn: conn, turn: make(chan struct{}, 1), remote: conn.RemoteAddr().String(), client: client, most: maxMessage + link.DataHeader}
	if rest != nil && rest.Buffered() > 0 {
		early, _ := rest.Peek(rest.Buffered())
		c.early = bytes.Clone(early)
		c.got.Add(uint64(len(early)))
	}
	c.raw = rawConn(conn)
	return c
}

// source is a Conn as its bufio.Reader sees it. What is early was counted when it came.
type source Conn

func (s *source) Read(p []byte) (int, error) {
	if n := copy(p, s.early); n > 0 {
		if s.early = s.early[n:]; len(s.early) == 0 {
			s.early = nil
		}
		return n, nil
	}
	n, err := s.conn.Read(p)
	s.got.Add(uint64(max(0, n)))
	return n, err
}

// readers are what is read with: by a connection without a raw socket always, by others while more
// comes than answers.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readBuffer) }}

// idle gives back the reader, and reports true, if nothing is read in part.
func (c *Conn) idle() bool {
	if c.r == nil {
		return len(c.early) == 0
	}
	if c.r.Buffered() > 0 || len(c.early) > 0 || c.begun != 0 {
		return false
	}
	c.r.Reset(nil)
	readers.Put(c.r)
	c.r, c.buf = nil, nil
	return true
}

// Read returns the next control frame or whole message.
func (c *Conn) Read() (link.Frame, error) {
	if c.r == nil {
		c.r = readers.Get().(*bufio.Reader)
		c.r.Reset((*source)(c))
	}
	for {
		h, err := ws.ReadHeader(c.r)
		if err != nil {
			if errors.Is(err, ws.ErrHeaderLengthMSB) || errors.Is(err, ws.ErrHeaderLengthUnexpected) {
				err = fmt.Errorf("%w: %w", link.ErrFrame, err)
			} else if errors.Is(err, io.ErrUnexpectedEOF) {
				err = fmt.Errorf("%w: it ends in a header: %w", link.ErrFrame, err)
			}
			return link.Frame{}, err
		}
		if err := c.check(h); err != nil {
			return link.Frame{}, err
		}
		if h.OpCode.IsControl() {
			c.buf, err = c.body(c.buf[:0], h)
			if err != nil {
				return link.Frame{}, err
			}
			return c.control(h.OpCode)
		}
		if h.OpCode != ws.OpContinuation {
			c.begun = h.OpCode
		}
		if c.message, err = c.body(c.message, h); err != nil {
			return link.Frame{}, err
		}
		if !h.Fin {
			continue
		}
		f := link.Frame{Type: link.Data, Payload: c.message}
		if c.begun == ws.OpText {
			f.Type = link.Text
			if !utf8.Valid(c.message) {
				return link.Frame{}, fmt.Errorf("%w: text that is no UTF-8", link.ErrFrame)
			}
		}
		c.begun = 0
		if c.message = c.message[:0]; cap(c.message) > readBuffer { // one long message is no reason to keep as much
			c.message = nil
		}
		return f, nil
	}
}

// check tells what is wrong with a header.
func (c *Conn) check(h ws.Header) error {
	state := ws.StateServerSide
	if c.client {
		state = ws.StateClientSide
	}
	if c.begun != 0 {
		state |= ws.StateFragmented
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return fmt.Errorf("%w: %w", link.ErrFrame, err)
	}
	if !h.OpCode.IsControl() && h.Length > int64(c.most-len(c.message)) {
		return fmt.Errorf("%w: %d bytes, want at most %d", link.ErrTooBig, int64(len(c.message))+h.Length, c.most)
	}
	return nil
}

// body appends the payload after header h to dst. Its length is not believed: memory grows as it comes.
func (c *Conn) body(dst []byte, h ws.Header) ([]byte, error) {
	for begin, n := len(dst), int(h.Length); n > 0; {
		step := min(n, pieceSize)
		at := len(dst)
		dst = append(dst, make([]byte, step)...)
		if _, err := io.ReadFull(c.r, dst[at:]); err != nil {
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				err = fmt.Errorf("%w: it ends in a payload: %w", link.ErrFrame, io.ErrUnexpectedEOF)
			}
			return dst, err
		}
		if h.Masked {
			ws.Cipher(dst[at:], h.Mask, at-begin)
		}
		n -= step
	}
	return dst, nil
}

// control is a control frame as others see it. A close frame is answered, as section 5.5.1 wants.
func (c *Conn) control(op ws.OpCode) (link.Frame, error) {
	switch op {
	case ws.OpPing:
		return link.Frame{Type: link.Ping, Payload: c.buf}, nil
	case ws.OpPong:
		return link.Frame{Type: link.Pong, Payload: c.buf}, nil
	}
	if len(c.buf) == 0 {
		c.Write(link.Frame{Type: link.Close, Code: uint16(ws.StatusNoStatusRcvd)})
		return link.Frame{Type: link.Close, Code: uint16(ws.StatusNoStatusRcvd)}, nil
	}
	code, reason := ws.ParseCloseFrameData(c.buf)
	err := ws.CheckCloseFrameData(code, reason)
	if code > 4999 { // which the library lets pass (RFC 6455, section 7.4.2)
		err = ws.ErrProtocolStatusCodeUnknown
	} else if (code == link.CodeTryAgain || code == serviceRestart) && utf8.ValidString(reason) { // registered after the RFC
		err = nil
	}
	if err != nil {
		return link.Frame{}, fmt.Errorf("%w: a close frame: %w", link.ErrFrame, err)
	}
	c.Write(link.Frame{Type: link.Close, Code: uint16(code)})
	return link.Frame{Type: link.Close, Code: uint16(code), Payload: []byte(reason)}, nil
}

// Write writes a frame, long messages in fragments.
func (c *Conn) Write(f link.Frame) error {
	switch f.Type {
	case link.Ping:
		return c.put(ws.OpPing, true, f.Payload)
	case link.Pong:
		return c.put(ws.OpPong, true, f.Payload)
	case link.Close:
		var payload []byte
		if f.Code != uint16(ws.StatusNoStatusRcvd) {
			payload = append(binary.BigEndian.AppendUint16(nil, f.Code), f.Payload...)
		}
		return c.put(ws.OpClose, true, payload[:min(len(payload), link.MaxBeat)])
	}
	op, payload := ws.OpBinary, f.Payload
	if f.Type == link.Text {
		op = ws.OpText
	}
	for {
		n := min(len(payload), pieceSize)
		last := n == len(payload)
		if err := c.put(op, last, payload[:n]); err != nil {
			return err
		}
		if op, payload = ws.OpContinuation, payload[n:]; last {
			return nil
		}
	}
}

// put writes one frame with a single write.
func (c *Conn) put(op ws.OpCode, fin bool, payload []byte) error {
	h := ws.Header{Fin: fin, OpCode: op, Length: int64(len(payload))}
	buf := make([]byte, 0, ws.MaxHeaderSize+len(payload))
	if c.client {
		h.Masked, h.Mask = true, ws.NewMask()
	}
	w := (*appender)(&buf)
	if err := ws.WriteHeader(w, h); err != nil {
		return err
	}
	at := len(buf)
	buf = append(buf, payload...)
	if c.client {
		ws.Cipher(buf[at:], h.Mask, 0)
	}
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	if c.closing {
		return nil // nothing follows a close frame
	}
	c.closing = op == ws.OpClose
	if c.rest != nil {
		buf, c.rest = append(c.rest, buf...), nil
	}
	n, err := c.conn.Write(buf)
	c.written.Add(uint64(max(0, n) + c.part))
	c.part = 0
	return err
}

// Written counts the bytes that the connection has taken.
func (c *Conn) Written() uint64 { return c.written.Load() }

// Received counts the bytes that came.
func (c *Conn) Received() uint64 { return c.got.Load() }

// NetConn is the socket.
func (c *Conn) NetConn() net.Conn { return c.conn }

// Remote is the address of the other end.
func (c *Conn) Remote() string { return c.remote }

// Kind is "websocket".
func (c *Conn) Kind() string { return "websocket" }

// Close ends the connection at once.
func (c *Conn) Close() error { return c.conn.Close() }

// appender is a slice that is written to.
type appender []byte

func (a *appender) Write(p []byte) (int, error) {
	*a = append(*a, p...)
	return len(p), nil
}
