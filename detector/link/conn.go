package link

import (
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf8"
)

// conn is one connection, as both ends use it: what is to be written, and which pings are out. Its mutex is held for no write that
// waits, so whoever has something to send never waits for the other end. Writing is done by goroutines that last while there is
// something to write: one for beats and the protocol, which is short, and one for messages, so that the former get between the
// pieces of the latter. A ping that the socket takes at once needs none.
type conn struct {
	t     Transport
	begun time.Time
	wg    sync.WaitGroup // of the goroutines that write

	heardAt atomic.Int64 // when anything came last, in nanoseconds since begun
	dataAt  atomic.Int64 // when something came that is no beat, likewise; 0: nothing did
	sentAt  atomic.Int64 // when a message was written, likewise

	// What tells the bytes that came, those of a frame that is not whole too; nil: the transport does not.
	received interface{ Received() uint64 }
	whole    atomic.Uint64 // of these, when the latest frame was whole

	mu      sync.Mutex
	control []Frame // answers and the protocol, in order
	beat    *Beat   // the beat that is to be written next
	closing *Frame  // written when all of control is
	writing bool    // a goroutine writes beats and the protocol
	ended   bool    // nothing is written any more
	failure error   // the first of a Write

	over  chan struct{} // made by close, and closed with ended
	timer *time.Timer   // made by close: ends what cannot be ended in order

	attaching *outbox // what becomes out when all of control is written
	out       *outbox // of the session; nil before there is one
	next      uint64  // the next message to be written
	text      bool    // messages are written as text
	sending   bool    // a goroutine writes messages

	looked      uint64        // Transport.Written at the last call of progress
	lookedAcked uint64        // Acked, likewise; 0: nothing was being written
	lookedIn    uint64        // received, likewise
	gotOn       time.Duration // when progress saw something get on, since begun

	quick quickPinger // t; nil: it always takes a goroutine to ping
	seq   uint64      // of the latest beat
	// askedAt is when the first ping since the other end was heard was to be written, since begun; earlier: there was none.
	askedAt time.Duration
	pings   [maxPings]pinged
	rtt     time.Duration
	drift   *drift // nil: the other end sends no times
}

// pinged is a ping that is not answered; seq 0: none.
type pinged struct {
	seq uint64
	at  time.Duration // when it was written, since begun: from then on its answer takes time
}

const (
	// maxPings is how many pings may be out at a time: answers to earlier ones count no more.
	maxPings = 8
	// maxControl bounds the answers that wait for an end that asks and does not read.
	maxControl = 64
	// closeWait is how long the last frame of a connection may take to be written, and its other end to close it then.
	closeWait = time.Second
	// maxReason is how long a reason is at most, in bytes: a code of two bytes goes before it.
	maxReason = MaxBeat - 2
	// minReceived is how many bytes of a message that is not whole yet count as life, from one beat to the next. Who sends
	// fewer holds a connection open and does not get on.
	minReceived = 1024
)

func newConn(t Transport, now time.Time) *conn {
	c := &conn{t: t, begun: now}
	c.received, _ = t.(interface{ Received() uint64 })
	c.quick, _ = t.(quickPinger)
	return c
}

// heard notes what came, and returns how long nothing had.
func (c *conn) heard(f Frame, now time.Time) time.Duration {
	at := int64(now.Sub(c.begun))
	if f.Type == Data || f.Type == Text {
		c.dataAt.Store(at)
	}
	if c.received != nil {
		c.whole.Store(c.received.Received())
	}
	return time.Duration(at - c.heardAt.Swap(at))
}

// lastHeard is when anything came last.
func (c *conn) lastHeard() time.Time { return c.begun.Add(time.Duration(c.heardAt.Load())) }

// busy tells whether messages went both ways within d.
func (c *conn) busy(now time.Time, d time.Duration) bool {
	lately := int64(now.Sub(c.begun) - d)
	in, out := c.dataAt.Load(), c.sentAt.Load()
	return in > 0 && out > 0 && min(in, out) > lately
}

// jittered is the time to the next beat.
func jittered(every time.Duration) time.Duration {
	return every*3/4 + rand.N(max(1, every/4))
}

// write puts a frame of the protocol behind those that wait. It reports false if too many do.
func (c *conn) write(f Frame) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.control) >= maxControl {
		return false
	}
	if c.closing == nil {
		c.control = append(c.control, f)
		c.kick()
	}
	return true
}

// close ends the connection with a last frame, or at once where that cannot be written.
func (c *conn) close(code uint16, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || c.closing != nil {
		return
	}
	c.closing = &Frame{Type: Close, Code: code, Payload: []byte(clip(reason))}
	c.over = make(chan struct{})
	c.timer = time.AfterFunc(closeWait, func() { c.t.Close() })
	c.kick()
}

// clip returns as much of a reason as fits, in whole characters.
func clip(reason string) string {
	if len(reason) <= maxReason {
		return reason
	}
	n := maxReason
	for n > 0 && !utf8.RuneStart(reason[n]) {
		n--
	}
	return reason[:n]
}

// closed tells whether this end closes, or has closed, the connection.
func (c *conn) closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended || c.closing != nil
}

// refuse ends a connection whose reader has stopped, for what came or because there is no room. It returns when the other
// end has closed it too, at most closeWait later: a socket that is closed while something is unread is reset, and the
// reason may be lost with it.
func (c *conn) refuse(code uint16, reason string) {
	c.close(code, reason)
	if !c.parted() {
		return
	}
	if socket := c.t.NetConn(); socket != nil {
		if half, ok := socket.(interface{ CloseWrite() error }); ok {
			half.CloseWrite() // a WebSocket client waits for the server to close first (RFC 6455, section 7.1.1)
		}
		io.Copy(io.Discard, socket)
	}
}

// parted returns when the last frame is written, or cannot be, at most closeWait after close. It reports false if the connection had
// failed before close.
func (c *conn) parted() bool {
	c.mu.Lock()
	over := c.over
	c.mu.Unlock()
	if over == nil {
		return false
	}
	<-over
	return true
}

// part ends this end's half of a plain socket after the other end's last frame. Without that, a socket that is closed while a
// late answer is unread is reset, and the other end may not see that all is in order.
func (c *conn) part() {
	if half, ok := c.t.NetConn().(interface {
		syscall.Conn // TLS has none, and may wait for its turn to write
		CloseWrite() error
	}); ok {
		half.CloseWrite()
	}
}

// refusal is what an end is told that sent what Read, or who acts on frames, answered with err. 0: nothing, as that
// end closed the connection, or it failed.
func refusal(err error) (code uint16, reason string) {
	var bad *protocolError
	reasonOf := func() string { return strings.TrimPrefix(err.Error(), "link: ") }
	switch {
	case errors.As(err, &bad):
		return bad.code, bad.reason
	case errors.Is(err, io.ErrUnexpectedEOF):
		return 0, ""
	case errors.Is(err, ErrTooBig):
		return CodeTooBig, reasonOf()
	case errors.Is(err, ErrFrame):
		return CodeProtocol, reasonOf()
	}
	return 0, ""
}

// end stops all writing, and returns when it has stopped: the connection is over.
func (c *conn) end() {
	c.mu.Lock()
	c.finish()
	c.control, c.beat = nil, nil
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	c.t.Close()
	c.wg.Wait()
}

// finish has nothing be written any more. It needs c.mu.
func (c *conn) finish() {
	if !c.ended && c.over != nil {
		close(c.over)
	}
	c.ended = true
}

// send sends the next beat, b with a number. It reports false if the one before is not written yet,
// as the other end does not read.
func (c *conn) send(b Beat) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.beat != nil {
		return false
	}
	c.seq++
	b.Seq, b.RTT = c.seq, c.rtt
	c.asking()
	if !c.sendQuickly(b) {
		c.beat = new(b)
		c.kick()
	}
	return true
}

// pingBuffers are what quick pings are encoded in.
var pingBuffers = sync.Pool{New: func() any { return new([MaxBeat]byte) }}

// sendQuickly reports whether b was written at once, which spares a goroutine, its stack and what it
// allocates. It needs c.mu.
func (c *conn) sendQuickly(b Beat) bool {
	if c.quick == nil || c.writing || c.ended || b.OneWay {
		return false
	}
	b.Sent = time.Since(c.begun)
	buf := pingBuffers.Get().(*[MaxBeat]byte)
	defer pingBuffers.Put(buf)
	payload, _ := AppendBeat(buf[:0], b)
	done, err := c.quick.TryPing(payload)
	if err != nil {
		c.fail(err)
		return true
	}
	if done {
		c.pings[b.Seq%maxPings] = pinged{b.Seq, b.Sent}
	}
	return done
}

// skip counts a beat that is not sent, as what came meanwhile says as much, and returns its number.
func (c *conn) skip() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seq++
	return c.seq
}

// answered takes the answer to a ping with this number. It reports false for one that is not out.
func (c *conn) answered(seq uint64, now time.Time) bool {
	c.mu.Lock()
	p := &c.pings[seq%maxPings]
	out := seq > 0 && p.seq == seq
	if out {
		c.rtt = max(0, now.Sub(c.begun)-p.at)
		p.seq = 0
	}
	c.mu.Unlock()
	return out
}

// progress looks whether a message got on since the last look, one that is being written or one that is coming, and tells
// whether one was seen to within d. An end that is slow to read is not dead; but what the kernel takes at once says
// nothing of the other end. The kernel takes more in large steps only: what the other host acknowledges says it sooner.
func (c *conn) progress(now time.Time, d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before, beforeIn, beforeAcked := c.looked, max(c.lookedIn, c.whole.Load()), c.lookedAcked
	writing := c.sending || c.beat != nil
	c.looked, c.lookedAcked = c.t.Written(), 0
	if a, ok := c.t.(acker); ok && writing {
		c.lookedAcked = a.Acked()
	}
	if c.received != nil {
		c.lookedIn = c.received.Received()
	}
	at := now.Sub(c.begun)
	acked := beforeAcked > 0 && c.lookedAcked > beforeAcked
	if writing && c.looked > before || acked || c.lookedIn >= beforeIn+minReceived {
		c.gotOn = at
	}
	return c.gotOn > 0 && at-c.gotOn <= d
}

// came takes when a beat that came was sent, by the other end's clock.
func (c *conn) came(sent time.Duration, now time.Time) {
	if sent == 0 { // it says none
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.drift == nil {
		c.drift = &drift{}
	}
	c.drift.see(sent, now.Sub(c.begun))
}

// way returns the latest round-trip time and drift; 0: none yet.
func (c *conn) way() (rtt, late time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.drift != nil {
		late = c.drift.latest
	}
	return c.rtt, late
}

// attach has c carry the messages of out after number last, which the other end has, once the frame that says so is written.
func (c *conn) attach(first Frame, out *outbox, last uint64, text bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.control = append(c.control, first)
	c.attaching, c.next, c.text = out, last+1, text
	c.kick()
}

// more tells c that its outbox has more.
func (c *conn) more() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.feed()
}

// kick has somebody write beats and the protocol. It needs c.mu.
func (c *conn) kick() {
	if !c.writing && !c.ended {
		c.writing = true
		c.wg.Go(c.writeControl)
	}
}

// feed has somebody write messages. It needs c.mu.
func (c *conn) feed() {
	if !c.sending && !c.ended && c.closing == nil && c.out != nil {
		c.sending = true
		c.wg.Go(c.writeMessages)
	}
}

func (c *conn) writeControl() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		f, b := c.nextControl()
		if f.Type == 0 {
			c.writing = false
			return
		}
		if f.Type == Ping { // before, as the answer may come before the write returns
			c.pings[b.Seq%maxPings] = pinged{b.Seq, time.Since(c.begun)}
		}
		c.mu.Unlock()
		err := c.t.Write(f)
		c.mu.Lock()
		if p := &c.pings[b.Seq%maxPings]; f.Type == Ping && p.seq == b.Seq {
			p.at = time.Since(c.begun)
		}
		if b.Seq > 0 {
			c.beat = nil
		}
		if err == nil && f.Type != Close {
			if c.attaching != nil && len(c.control) == 0 {
				c.out, c.attaching = c.attaching, nil
				c.feed()
			}
			continue
		}
		if c.writing = false; err == nil { // the other end closes now, or the timer does
			c.finish()
			return
		}
		c.fail(err)
		return
	}
}

// fail ends the connection, which ends its reader. It needs c.mu.
func (c *conn) fail(err error) {
	if c.failure == nil {
		c.failure = err
	}
	c.finish()
	c.t.Close()
}

// nextControl returns the next frame to write, and the beat in it if it is one. It needs c.mu.
func (c *conn) nextControl() (Frame, Beat) {
	switch {
	case c.ended:
	case c.beat != nil:
		b := *c.beat
		b.Sent = time.Since(c.begun)
		f := Frame{Type: Ping}
		if b.OneWay {
			f.Type = Pong
		}
		f.Payload, _ = AppendBeat(make([]byte, 0, MaxBeat), b)
		return f, b
	case len(c.control) > 0:
		f := c.control[0]
		if c.control = c.control[1:]; len(c.control) == 0 {
			c.control = nil
		}
		return f, Beat{}
	case c.closing != nil && !c.sending: // a message in pieces is written to its end
		return *c.closing, Beat{}
	}
	return Frame{}, Beat{}
}

func (c *conn) writeMessages() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		var seq uint64
		var data []byte
		if !c.ended && c.closing == nil {
			seq, data = c.out.get(c.next)
		}
		if seq == 0 {
			c.sending = false
			if c.closing != nil {
				c.kick()
			}
			return
		}
		c.next = seq + 1
		f := Frame{Type: Data}
		if c.text {
			f = control{Type: typeEvent, Seq: seq, Data: string(data)}.frame()
		} else {
			f.Payload = appendData(make([]byte, 0, len(data)+DataHeader), seq, data)
		}
		c.mu.Unlock()
		err := c.t.Write(f)
		c.sentAt.Store(int64(time.Since(c.begun)))
		c.mu.Lock()
		if err != nil {
			c.fail(err)
			c.sending = false
			return
		}
	}
}
