package link

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// conn is one connection, as both ends use it: what is to be written, and which pings are out. Its
// mutex is held for no write that waits, so whoever has something to send never waits for the other
// end. Writing is done by goroutines that last while there is something to write: one for beats and the protocol, which is short, and one for messages, so that the former get between the pieces of
// the latter.
type conn struct {
	t     Transport
	begun time.Time
	wg    sync.WaitGroup // of the goroutines that write

	heardAt atomic.Int64 // when anything came last, in nanoseconds since begun
	dataAt  atomic.Int64 // when something came that is no beat, likewise; 0: nothing did
	sentAt  atomic.Int64 // when a message was written, likewise

	mu      sync.Mutex
	control []Frame // answers and the protocol, in order
	beat    *Beat   // the beat that is to be written next
	closing *Frame  // written when all of control is
	writing bool    // a goroutine writes beats and the protocol
	ended   bool
	failure error // the first of a Write

	attaching *outbox // what becomes out when all of control is written
	out       *outbox // of the session; nil before there is one
	next      uint64  // the next message to be written
	text      bool    // messages are written as text
	sending   bool    // a goroutine writes messages
	looked    uint64  // Transport.Written at the last call of progress

	quick quickPinger // t; nil: it always takes a goroutine to ping
	seq   uint64      // of the latest beat
	pings [maxPings]pinged
	rtt   time.Duration
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
	// closeWait is how long the last frame of a connection may take to be written.
	closeWait = time.Second
)

func newConn(t Transport, now time.Time) *conn {
	quick, _ := t.(quickPinger)
	return &conn{t: t, begun: now, quick: quick}
}

// heard notes what came, and returns how long nothing had.
func (c *conn) heard(f Frame, now time.Time) time.Duration {
	at := int64(now.Sub(c.begun))
	if f.Type == Data || f.Type == Text {
		c.dataAt.Store(at)
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
	c.closing = &Frame{Type: Close, Code: code, Payload: []byte(reason)}
	c.kick()
	time.AfterFunc(closeWait, func() { c.t.Close() })
}

// end stops all writing, and returns when it has stopped: the connection is over.
func (c *conn) end() {
	c.mu.Lock()
	c.ended = true
	c.control, c.beat = nil, nil
	c.mu.Unlock()
	c.t.Close()
	c.wg.Wait()
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

// progress tells whether something is being written, and got on since the last call. An end that is slow to read is not dead; but what
// the kernel takes at once says nothing of the other end.
func (c *conn) progress() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.looked
	c.looked = c.t.Written()
	return (c.sending || c.beat != nil) && c.looked > before
}

// roundTrip is the latest round-trip time; 0: none yet.
func (c *conn) roundTrip() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rtt
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
		c.fail(err)
		c.writing = false
		return
	}
}

// fail ends the connection, which ends its reader. It needs c.mu.
func (c *conn) fail(err error) {
	if c.failure == nil {
		c.failure = err
	}
	c.ended = true
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
