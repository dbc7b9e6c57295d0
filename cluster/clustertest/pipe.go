package clustertest

import (
	"io"
	"net"
	"os"
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

// pipe is one direction of a stream. Reader and writer wait on one condition,
// and one timer wakes them all for the next thing that time may bring: an
// arrival, a retry, a reset, a deadline. So a waiting end looks at everything
// again, and nothing can be missed by looking at it in the wrong order.
type pipe struct {
	from, to *endpoint

	mu     sync.Mutex
	change sync.Cond
	timer  *time.Timer
	wake   time.Time // when timer is due; zero: not set

	segments []segment // written and not yet read, oldest first
	flying   int       // how many of them are on the wire or beyond
	size     int       // bytes in segments

	retry time.Time // not before then is the next attempt
	tries int       // attempts lost in a row

	failure   error // what both ends get from failureAt on; nil: nothing
	failureAt time.Time

	writerDone, readerDone      bool // closed on its own side
	readerGone                  bool // killed: nobody tells the writer
	readDeadline, writeDeadline time.Time
}

// segment is what one Write wrote, or the end of the stream.
type segment struct {
	data []byte
	end  bool
	at   time.Time // arrival; not known before it is on the wire
}

func newPipe(from, to *endpoint) *pipe {
	p := &pipe{from: from, to: to}
	p.change.L = &p.mu
	return p
}

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		now := time.Now()
		switch {
		case p.readerDone || p.readerGone:
			return 0, net.ErrClosed
		case p.failed(p.to, now):
			return 0, p.failure
		case expired(p.readDeadline, now):
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		}
		var next time.Time
		if p.flying > 0 {
			// While blocked, Unblock wakes us.
			if s := &p.segments[0]; s.at.After(now) {
				next = s.at
			} else if p.to.gate() == nil {
				return p.take(s, b)
			}
		}
		p.wait(now, next, p.readDeadline)
	}
}

// take reads from s, the first segment, which has arrived. p.mu is held.
func (p *pipe) take(s *segment, b []byte) (int, error) {
	if s.end {
		return 0, io.EOF
	}
	n := copy(b, s.data)
	s.data = s.data[n:]
	p.size -= n
	if len(s.data) == 0 {
		p.segments[0] = segment{}
		p.segments = p.segments[1:]
		p.flying--
	}
	p.change.Broadcast() // there is room again
	p.to.countStream(0, n)
	return n, nil
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
		p.change.Broadcast()
	}
}

// pump puts what was written on the wire, if the path lets it. p.mu is held.
func (p *pipe) pump(now time.Time) {
	if p.flying == len(p.segments) || p.readerDone || p.readerGone || p.failure != nil || p.from.gate() != nil {
		return
	}
	if p.retry.After(now) {
		p.set(p.retry, now)
		return
	}
	delay, ok := p.from.cross(p.to, now)
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
	}
}

// wait gives up p.mu until something changes or one of the times comes. p.mu
// is held.
func (p *pipe) wait(now time.Time, times ...time.Time) {
	for _, t := range append(times, p.failureAt) {
		if t.After(now) {
			p.set(t, now)
		}
	}
	p.change.Wait()
}

// set makes the timer due at t at the latest. p.mu is held.
func (p *pipe) set(t, now time.Time) {
	if !p.wake.IsZero() && !t.Before(p.wake) {
		return
	}
	p.wake = t
	if p.timer == nil {
		p.timer = time.AfterFunc(until(t, now), p.due)
	} else {
		p.timer.Reset(until(t, now))
	}
}

func (p *pipe) due() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wake = time.Time{}
	p.pump(time.Now())
	p.change.Broadcast()
}

// poke lets both ends look again, after a block.
func (p *pipe) poke() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pump(time.Now())
	p.change.Broadcast()
}

// fail gives err to both ends from at on. p.mu is held.
func (p *pipe) fail(err error, at time.Time) {
	if p.failure == nil {
		p.failure, p.failureAt = err, at
	}
	p.change.Broadcast()
}

// failed says whether the end at e knows of a failure. p.mu is held.
func (p *pipe) failed(e *endpoint, now time.Time) bool {
	return p.failure != nil && !p.failureAt.After(now) && e.gate() == nil
}

// closeWrite ends the stream after what was written.
func (p *pipe) closeWrite() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.writerDone {
		return
	}
	p.writerDone = true
	p.segments = append(p.segments, segment{end: true})
	p.pump(time.Now())
	p.change.Broadcast()
}

// closeRead drops what is unread. A writer that is told gets an error; one that
// is not goes on until the window is full.
func (p *pipe) closeRead(tell bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.readerGone {
		return
	}
	if tell {
		p.readerDone = true
		p.segments, p.flying, p.size = nil, 0, 0
	} else {
		p.readerGone = true
	}
	if p.timer != nil {
		p.timer.Stop()
		p.wake = time.Time{}
	}
	p.change.Broadcast()
}

// kill ends the writer's side, or the reader's, without a word to the other;
// if a reset gets through, the other has it at resetAt.
func (p *pipe) kill(writer bool, resetAt time.Time) {
	if !writer {
		p.closeRead(false)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if writer {
		p.writerDone = true
		p.segments = p.segments[:p.flying] // what never left
	}
	if !resetAt.IsZero() {
		p.fail(syscall.ECONNRESET, resetAt)
	}
	p.change.Broadcast()
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

// cross draws whether one attempt on a stream gets from e to to, and how long
// that takes.
func (e *endpoint) cross(to *endpoint, now time.Time) (time.Duration, bool) {
	c := e.net.conditions.Load()
	if c.cut(e.id, to.id) {
		return 0, false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	delay, lost := e.draw(c.link(e.id, to.id), to, now)
	return delay, !lost
}

func (e *endpoint) countStream(sent, received int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.counters.StreamSent += uint64(sent)
	e.counters.StreamReceived += uint64(received)
}
