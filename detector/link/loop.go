package link

import (
	"math/rand/v2"
	"sync"
	"time"
)

// jitter is any time up to d.
func jitter(d time.Duration) time.Duration { return rand.N(max(1, d)) }

// loop turns the wheel and lets time pass for sessions without a connection.
func (s *Server) loop() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var due []*served
	var next time.Time // when the loop means to look again
	for {
		now := time.Now()
		if late := now.Sub(next); !next.IsZero() && late > pauseFrom {
			s.expiry.pause(now, late) // nobody could come back while this process stood still
		}
		due, next = s.rounds.take(now, due[:0])
		for i, l := range due {
			s.round(l, now)
			due[i] = nil
		}
		if at := s.expire(now); !at.IsZero() {
			if soon := now.Add(pauseFrom); at.After(soon) { // or else a pause before then would not be noticed
				at = soon
			}
			if next.IsZero() || at.Before(next) {
				next = at
			}
		}
		wait := time.Hour
		if !next.IsZero() {
			wait = max(0, time.Until(next))
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-s.rounds.wake:
		case <-s.expiry.wake:
		case <-s.ctx.Done():
			return
		}
	}
}

// pauseFrom is how late the loop has to be for the process to have stood still.
const pauseFrom = time.Second

// maxSkipped is how many pings in a row data may stand for: they also carry acknowledgements and measure round trips.
const maxSkipped = 10

// round sends the ping that is due on a connection, unless what came says the same.
func (s *Server) round(l *served, now time.Time) {
	every := time.Duration(l.every.Load())
	if !s.rounds.add(l, now, jittered(every)) { // it says that it beats one way, or sleeps
		return
	}
	if l.busy(now, every/2) && l.skipped < maxSkipped {
		l.skipped++
		s.count.Skipped.Add(1)
		s.samples.add(l.key, l.skip(), now) // behind the answers that came before
		return
	}
	l.skipped = 0
	if l.turns++; l.turns%adaptEvery == 0 {
		every = s.adapt(l, every, now)
	}
	progress := l.progress(now, 0)
	var ack uint64
	if one := l.session.Load(); one != nil {
		ack = one.in.Load()
	}
	if l.send(Beat{Every: every, Ack: ack}) {
		s.count.Pings.Add(1)
	} else {
		s.count.Blocked.Add(1)
		l.blocked = true
		if progress {
			s.det.Alive(l.key, now)
		}
	}
}

// expiry is when sessions without a connection change. Those that are Away wait equally long, and so do those that are Gone: so each
// list is in order.
type expiry struct {
	mu         sync.Mutex
	away, gone []waiting
	wake       chan struct{}
}

type waiting struct {
	one   *session
	since time.Time // as the session has it, or else it is a later wait that counts
	at    time.Time
}

func (x *expiry) push(one *session, now time.Time, after time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	list := &x.away
	if one.state == Gone {
		list = &x.gone
	}
	*list = append(*list, waiting{one, one.since, now.Add(after)})
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// pause gives everybody the time back that passed up to now while nobody could come, at most what passed since they began
// to wait.
func (x *expiry) pause(now time.Time, d time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, list := range [][]waiting{x.away, x.gone} {
		for i := range list {
			w := &list[i]
			w.at = w.at.Add(min(d, max(0, now.Sub(w.since))))
		}
	}
}

// take returns whose time is over, and when the next one's is; the zero time: nobody waits.
func (x *expiry) take(now time.Time) (over []waiting, next time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, list := range []*[]waiting{&x.away, &x.gone} {
		n := 0
		for n < len(*list) && !(*list)[n].at.After(now) {
			n++
		}
		over = append(over, (*list)[:n]...)
		clear((*list)[:n])
		*list = (*list)[n:]
		if len(*list) == 0 {
			*list = nil
		} else if at := (*list)[0].at; next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return over, next
}

// expire ends what has waited long enough, and returns when to look again.
func (s *Server) expire(now time.Time) time.Time {
	over, next := s.expiry.take(now)
	for _, w := range over {
		w.one.mu.Lock()
		gone := w.one.state == Gone && w.one.since.Equal(w.since)
		if w.one.state == Away && w.one.since.Equal(w.since) {
			s.gone(w.one, w.one.cause, now)
			next = now // it waits again
		}
		w.one.mu.Unlock()
		if gone {
			s.mu.Lock()
			if s.sessions[w.one.id] == w.one {
				delete(s.sessions, w.one.id)
			}
			s.mu.Unlock()
		}
	}
	return next
}
