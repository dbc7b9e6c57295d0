package clustertest

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	// window is how many bytes a stream takes, each way, that nobody has read
	// yet. Linux lets its send and receive buffers grow to some megabytes; the
	// least that both begin with is about 64 KiB.
	window = 256 << 10

	// A write that a path lost is sent again after 200 ms, then 400, and so on
	// up to 2 minutes, 15 times: Linux's TCP_RTO_MIN, TCP_RTO_MAX and
	// tcp_retries2, whose documentation gives the sum, 924.6 s (RFC 6298 asks
	// for a first second, but few do that).
	firstRetry = 200 * time.Millisecond
	lastRetry  = 2 * time.Minute
	maxRetries = 15
)

// stream is what the two directions of a stream share. Readers and writers wait
// on one condition, and one timer wakes them all for the next thing that time
// may bring: an arrival, a retry, a reset, a deadline. So a waiting end looks at
// everything again, and nothing can be missed by looking at it in the wrong
// order.
type stream struct {
	pipes [2]*pipe

	mu     sync.Mutex // guards what follows, and the pipes
	change sync.Cond
	timer  *time.Timer
	wake   time.Time // when timer is due; zero: not set

	failure   error // what both ends get from failureAt on; nil: nothing
	failureAt time.Time
}

// pipe is one direction of a stream.
type pipe struct {
	*stream
	from, to *endpoint
	back     *pipe // the other direction

	segments []segment // written and not yet read, oldest first
	flying   int       // how many of them are on the wire or beyond
	size     int       // bytes in segments

	retry time.Time // not before then is the next attempt
	tries int       // attempts lost in a row

	writerDone, readerDone      bool // closed on its own side
	readerGone                  bool // killed: what arrives is answered by a reset, or by nothing
	readDeadline, writeDeadline time.Time
}

// segment is what one Write wrote, or the end of the stream.
type segment struct {
	data []byte
	end  bool
	at   time.Time // arrival; not known before it is on the wire
}

// newStream returns the direction from one endpoint to the other.
func newStream(from, to *endpoint) *pipe {
	s := &stream{}
	s.change.L = &s.mu
	out, in := &pipe{stream: s, from: from, to: to}, &pipe{stream: s, from: to, to: from}
	out.back, in.back = in, out
	s.pipes = [2]*pipe{out, in}
	return out
}

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		now := time.Now()
		switch {
		case p.readerDone || p.readerGone:
			return 0, net.ErrClosed
		case expired(p.readDeadline, now):
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		case p.arrived(now) && p.to.gate() == nil: // while blocked, Unblock wakes us
			return p.take(b)
		case p.failed(p.to, now):
			return 0, p.failure
		}
		var next time.Time
		if p.flying > 0 {
			next = p.segments[0].at
		}
		p.wait(now, next, p.readDeadline)
	}
}

// arrived says whether the first segment is there, which it must be before the
// stream fails. p.mu is held.
func (p *pipe) arrived(now time.Time) bool {
	return p.flying > 0 && !p.segments[0].at.After(now) &&
		(p.failure == nil || !p.segments[0].at.After(p.failureAt))
}

// take reads from the first segment, which has arrived. p.mu is held.
func (p *pipe) take(b []byte) (int, error) {
	s := &p.segments[0]
	if s.end {
		return 0, io.EOF
	}
	n := copy(b, s.data)
	s.data = s.data[n:]
	p.size -= n
	if len(s.data) == 0 {
		p.drop()
	}
	p.changed() // there is room again
	p.to.countStream(0, n)
	return n, nil
}

// drop removes the first segment, which has arrived. p.mu is held.
func (p *pipe) drop() {
	p.size -= len(p.segments[0].data)
	p.segments[0] = segment{}
	p.segments = p.segments[1:]
	p.flying--
}

func (p *pipe) write(b []byte) (written int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		now := time.Now()
		switch {
		case p.writerDone:
			return written, net.ErrClosed
		case p.failed(p.from, now):
			return written, p.failure
		case p.readerDone:
			return written, syscall.EPIPE
		case expired(p.writeDeadline, now):
			return written, os.ErrDeadlineExceeded
		case written == len(b):
			return written, nil
		}
		n := min(len(b)-written, window-p.size)
		if n == 0 {
			p.wait(now, time.Time{}, p.writeDeadline)
			continue
		}
		data := make([]byte, n)
		written += copy(data, b[written:])
		p.segments = append(p.segments, segment{data: data})
		p.size += n
		p.from.countStream(n, 0)
		p.pump(now)
		p.changed()
	}
}

// unsent says whether something written is to be sent, perhaps again. p.mu is
// held.
func (p *pipe) unsent() bool {
	return p.flying < len(p.segments) && !p.readerDone && p.failure == nil && !p.over()
}

// pump puts what was written on the wire, if the path lets it. p.mu is held.
func (p *pipe) pump(now time.Time) {
	if !p.unsent() || p.from.gate() != nil {
		return
	}
	if p.retry.After(now) {
		p.set(p.retry, now)
		return
	}
	limited := p.from.limited(p.to)
	size := 0
	if limited {
		p.cutSegment()
		size = len(p.segments[p.flying].data)
	}
	next, delay, ok := p.from.cross(p.to, size, now)
	if ok && p.readerGone {
		// No word from the other side is as good as a loss, and so is a reset
		// that does not get here: the next attempt provokes another.
		ok = false
		if !p.to.silent() {
			if back, heard := p.to.answer(p.from, now); heard {
				p.back.reset(now.Add(delay + back))
				return
			}
		}
	}
	if !ok {
		again := now.Add(min(firstRetry<<p.tries, lastRetry))
		if p.tries == maxRetries {
			p.fail(syscall.ETIMEDOUT, again)
			return
		}
		p.tries++
		p.retry = again
		p.set(again, now)
		return
	}
	p.tries = 0
	// If the one before takes longer, these wait behind it.
	for ; p.flying < len(p.segments); p.flying++ {
		p.segments[p.flying].at = now.Add(delay)
		if limited && p.flying+1 < len(p.segments) {
			p.flying++
			p.retry = next
			p.set(next, now)
			return
		}
	}
}

// cutSegment makes what is sent next small enough for one packet. p.mu is held.
func (p *pipe) cutSegment() {
	s := &p.segments[p.flying]
	if len(s.data) <= segmentSize {
		return
	}
	rest := segment{data: s.data[segmentSize:]}
	s.data = s.data[:segmentSize:segmentSize]
	p.segments = slices.Insert(p.segments, p.flying+1, rest)
}

// wait gives up s.mu until something changes or one of the times comes. s.mu
// is held.
func (s *stream) wait(now time.Time, times ...time.Time) {
	for _, t := range append(times, s.failureAt) {
		if t.After(now) {
			s.set(t, now)
		}
	}
	s.change.Wait()
}

// set makes the timer due at t at the latest. s.mu is held.
func (s *stream) set(t, now time.Time) {
	if !s.wake.IsZero() && !t.Before(s.wake) {
		return
	}
	s.wake = t
	if s.timer == nil {
		s.timer = time.AfterFunc(until(t, now), s.due)
	} else {
		s.timer.Reset(until(t, now))
	}
}

func (s *stream) due() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake = time.Time{}
	s.resume(time.Now())
}

// poke lets both ends look again, after a block.
func (s *stream) poke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resume(time.Now())
}

// resume sends what may be sent by now. s.mu is held.
func (s *stream) resume(now time.Time) {
	for _, p := range s.pipes {
		p.pump(now)
	}
	s.changed()
}

// over says whether both ends are closed or killed, so that nobody is left to
// see what becomes of the stream. s.mu is held.
func (s *stream) over() bool { return s.pipes[0].writerDone && s.pipes[1].writerDone }

// changed wakes all who wait, and ends what is over. s.mu is held.
func (s *stream) changed() {
	if s.over() && s.timer != nil {
		s.timer.Stop()
	}
	for _, p := range s.pipes {
		if p.writerDone && !p.unsent() {
			p.from.forget(p)
		}
	}
	s.change.Broadcast()
}

// fail gives err to both ends from at on, unless another failure comes first.
// s.mu is held.
func (s *stream) fail(err error, at time.Time) {
	if s.failure == nil || at.Before(s.failureAt) {
		s.failure, s.failureAt = err, at
	}
}

// failed says whether the end at e knows of a failure. s.mu is held.
func (s *stream) failed(e *endpoint, now time.Time) bool {
	return s.failure != nil && !s.failureAt.After(now) && e.gate() == nil
}

// reset ends the stream by a word from p's writer that arrives at the given
// time, or once all that was sent before has arrived. p.mu is held.
func (p *pipe) reset(at time.Time) {
	for _, s := range p.segments[:p.flying] {
		if s.at.After(at) {
			at = s.at
		}
	}
	p.fail(syscall.ECONNRESET, at)
}

// close closes the end that writes p: what was written still arrives, what is
// unread is lost.
func (p *pipe) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.writerDone {
		p.writerDone = true
		p.segments = append(p.segments, segment{end: true})
	}
	if in := p.back; !in.readerDone && !in.readerGone {
		in.readerDone = true
		in.segments, in.flying, in.size = nil, 0, 0
	}
	p.resume(time.Now())
}

// kill ends what is left of the end that writes p, whose node was killed,
// without a word to the other but a reset, if the network lets one through.
func (p *pipe) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.writerDone = true
	p.segments = p.segments[:p.flying] // what never left
	if !p.from.silent() {
		if _, delay, ok := p.from.cross(p.to, 0, now); ok {
			p.reset(now.Add(delay))
		}
	}
	in := p.back
	in.readerGone = true
	for in.arrived(now) {
		in.drop()
	}
	in.flying = 0 // nobody will say that the rest arrived, so it is sent again
	p.resume(now)
}

func (p *pipe) setReadDeadline(t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readDeadline = t
	p.change.Broadcast()
}

func (p *pipe) setWriteDeadline(t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writeDeadline = t
	p.change.Broadcast()
}

func expired(deadline, now time.Time) bool { return !deadline.IsZero() && !deadline.After(now) }

// cross draws whether one attempt on a stream, with so many bytes of data, gets
// from e to to, and how long that takes. What is sent next, at the earliest,
// meets both lines as they are without this one.
func (e *endpoint) cross(to *endpoint, bytes int, now time.Time) (next time.Time, delay time.Duration, ok bool) {
	return e.attempt(to, e.rng, bytes, now)
}

// answer is cross for what to provoked. Its luck is to's, so that what one node
// sends leaves that of others alone.
func (e *endpoint) answer(to *endpoint, now time.Time) (time.Duration, bool) {
	to.mu.Lock()
	luck := rand.New(rand.NewPCG(to.rng.Uint64(), to.rng.Uint64()))
	to.mu.Unlock()
	_, delay, ok := e.attempt(to, luck, 0, now)
	return delay, ok
}

// attempt draws from r, which is guarded by e.mu or the caller's own.
func (e *endpoint) attempt(to *endpoint, r *rand.Rand, bytes int, now time.Time) (time.Time, time.Duration, bool) {
	c := e.net.conditions.Load()
	up, _ := c.rate(e.id)
	_, down := c.rate(to.id)
	e.mu.Lock()
	left, ok := e.leave(up, to, bytes+tcpHeader, now)
	if !ok || c.cut(e.id, to.id) {
		e.mu.Unlock()
		return left, 0, false
	}
	delay, lost := e.draw(c.link(e.id, to.id), to, r, now)
	e.mu.Unlock()
	if lost {
		return left, 0, false
	}
	there := left.Add(delay)
	if e != to {
		to.mu.Lock()
		there, ok = to.down.carry(down, bytes+tcpHeader, there)
		to.mu.Unlock()
		left = later(left, there.Add(-delay))
	}
	return left, there.Sub(now), ok
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// limited says whether a line between e and to has a rate.
func (e *endpoint) limited(to *endpoint) bool {
	c := e.net.conditions.Load()
	if len(c.rates) == 0 || e == to {
		return false
	}
	up, _ := c.rate(e.id)
	_, down := c.rate(to.id)
	return up.BytesPerSecond > 0 || down.BytesPerSecond > 0
}

func (e *endpoint) countStream(sent, received int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.counters.StreamSent += uint64(sent)
	e.counters.StreamReceived += uint64(received)
}
