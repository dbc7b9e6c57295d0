package tcp

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pulsering/pulsering/detector/link"
)

// A Conn carries frames on a stream. Each of its methods does what [link.Transport] says.
type Conn struct {
	rw      io.ReadWriteCloser
	read    reader
	lines   *bufio.Reader // of a plain client; nil: frames
	started bool
	server  bool

	// One frame is written at a time. A channel, unlike a mutex, gives turns in the order that they are asked for: so a ping waits
	// for one piece of a message and no more.
	turn chan struct{}

	pingFrom time.Time     // of a server's end: see firstWord
	told     chan struct{} // likewise: closed when it is known how the other end speaks, or it is over
	tell     sync.Once     // closes told

	text    atomic.Bool
	written atomic.Uint64
	got     atomic.Uint64 // bytes that came
	closed  sync.Once
	closing error
}

// counted is the stream, whose bytes are counted.
type counted struct{ *Conn }

func (c counted) Read(b []byte) (int, error) {
	n, err := c.rw.Read(b)
	c.got.Add(uint64(max(0, n)))
	return n, err
}

// New returns a connection that speaks in frames on rw, which is the connection's from then on: a net.Conn, or what else is read,
// written and closed. Close must end a Read and a Write that wait. A message is at most maxMessage bytes (0: link.DefaultMaxMessage).
func New(rw io.ReadWriteCloser, maxMessage int) *Conn {
	if maxMessage == 0 {
		maxMessage = link.DefaultMaxMessage
	}
	c := &Conn{rw: rw, turn: make(chan struct{}, 1), read: reader{most: maxMessage + link.DataHeader}}
	c.read.r = counted{c}
	return c
}

// NewServer is New for the end that was connected to. There the other end may also be a plain client, which speaks in lines of text
// and begins with PING, within a second: until then it is not pinged.
//
//	PING anything     is answered with PONG anything
//	PONG anything     answers a PING of this end, and repeats what follows it
//	{"type": …}       the messages of the protocol, in JSON
func NewServer(rw io.ReadWriteCloser, maxMessage int) *Conn {
	c := New(rw, maxMessage)
	c.server, c.told = true, make(chan struct{})
	c.pingFrom = time.Now().Add(firstWord + rand.N(firstWord)) // not in step with others
	return c
}

// firstWord is for how long a ping waits for the other end's first byte. Before that nobody knows
// how it speaks, and a plain client would be sent a frame. Who has not begun after once to twice
// this time is pinged in frames.
const firstWord = time.Second

// await waits until it is known how the other end speaks, or pingFrom.
func (c *Conn) await() {
	select {
	case <-c.told:
		return
	default:
	}
	timer := time.NewTimer(time.Until(c.pingFrom))
	defer timer.Stop()
	select {
	case <-c.told:
	case <-timer.C:
	}
}

// know ends the waits of await.
func (c *Conn) know() {
	if c.told != nil {
		c.tell.Do(func() { close(c.told) })
	}
}

// Read returns the next frame.
func (c *Conn) Read() (link.Frame, error) {
	if !c.started {
		c.started = true
		if c.server {
			if err := c.detect(); err != nil {
				return link.Frame{}, err
			}
		}
	}
	if c.lines != nil {
		return c.readLine()
	}
	return c.read.next()
}

// detect looks at the first byte of the other end: frames begin with their version, and lines with a letter or brace.
func (c *Conn) detect() error {
	var first [1]byte
	if _, err := io.ReadFull(counted{c}, first[:]); err != nil {
		return err
	}
	defer c.know()
	rest := io.MultiReader(strings.NewReader(string(first[:])), counted{c})
	if first[0] == frameVersion {
		c.read.r = rest
		return nil
	}
	c.text.Store(true)
	c.lines = bufio.NewReaderSize(rest, link.MaxText+1)
	return nil
}

func (c *Conn) readLine() (link.Frame, error) {
	for {
		line, err := c.lines.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return link.Frame{}, fmt.Errorf("%w: a line of more than %d bytes", link.ErrTooBig, link.MaxText)
		case err == io.EOF && len(line) > 0:
			return link.Frame{}, fmt.Errorf("%w: it ends in a line: %w", link.ErrFrame, io.ErrUnexpectedEOF)
		case err != nil:
			return link.Frame{}, err
		}
		s := strings.TrimRight(string(line), "\r\n")
		if rest, ok := strings.CutPrefix(s, "PONG"); ok {
			payload, err := base64.RawURLEncoding.DecodeString(strings.TrimSpace(rest))
			if err != nil || len(payload) > link.MaxBeat {
				payload = nil // an answer to nothing that was asked
			}
			return link.Frame{Type: link.Pong, Payload: payload}, nil
		}
		if s != "" {
			return link.Frame{Type: link.Text, Payload: []byte(s)}, nil
		}
	}
}

// Write writes a frame, long messages in pieces.
func (c *Conn) Write(f link.Frame) error {
	if c.server && f.Type == link.Ping {
		c.await()
	}
	if c.text.Load() {
		return c.writeLine(f)
	}
	payload := f.Payload
	if f.Type == link.Close {
		payload = append(binary.BigEndian.AppendUint16(nil, f.Code), payload...)
		payload = payload[:min(len(payload), link.MaxBeat)]
	}
	for {
		n := min(len(payload), pieceSize)
		last := n == len(payload)
		if err := c.put(appendFrame(make([]byte, 0, headerSize+n), f.Type, last, payload[:n])); err != nil {
			return err
		}
		if payload = payload[n:]; last {
			return nil
		}
	}
}

func (c *Conn) writeLine(f link.Frame) error {
	var line string
	switch f.Type {
	case link.Ping:
		line = "PING " + base64.RawURLEncoding.EncodeToString(f.Payload)
	case link.Pong:
		return nil // a plain client's PING is Text, and so is the answer
	case link.Text:
		line = string(f.Payload)
	case link.Close:
		line = fmt.Sprintf("CLOSE %d %s", f.Code, f.Payload)
	case link.Data:
		return fmt.Errorf("%w: a plain client cannot be sent messages that are not text", link.ErrFrame)
	}
	return c.put([]byte(line + "\n"))
}

func (c *Conn) put(b []byte) error {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	n, err := c.rw.Write(b)
	c.written.Add(uint64(max(0, n)))
	return err
}

// Written counts the bytes that the connection has taken.
func (c *Conn) Written() uint64 { return c.written.Load() }

// Received counts the bytes that came.
func (c *Conn) Received() uint64 { return c.got.Load() }

// TextOnly tells whether the other end is a plain client.
func (c *Conn) TextOnly() bool { return c.text.Load() }

// NetConn is the socket; nil for a stream that is none.
func (c *Conn) NetConn() net.Conn {
	conn, _ := c.rw.(net.Conn)
	return conn
}

// Remote is the address of the other end; empty for a stream without one.
func (c *Conn) Remote() string {
	if conn := c.NetConn(); conn != nil {
		return conn.RemoteAddr().String()
	}
	return ""
}

// Kind is "tcp".
func (c *Conn) Kind() string { return "tcp" }

// Close ends the connection at once.
func (c *Conn) Close() error {
	c.know()
	c.closed.Do(func() { c.closing = c.rw.Close() })
	return c.closing
}
