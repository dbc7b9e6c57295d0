package detector

import (
	"sync"
	"time"

	"github.com/pulsering/pulsering/internal/mailbox"
	"github.com/pulsering/pulsering/phiaccrual"
)

// shard holds a part of the peers, and when to look at them, under one lock; a heartbeat of a peer that is Up does without
// (see peer). Nobody waits for anything else while holding it; peers' locks and the hub's are the only ones taken under
// it. Methods but see, judge and close require that mu is held, and those that are given a peer that its lock is, too.
type shard[K comparable] struct {
	peers roster[K]
	rules rules
	hub   *mailbox.Hub[K, Event[K]]

	_        [64]byte // keeps what heartbeats read off the cache line of what changes
	mu       sync.Mutex
	schedule schedule // of looks at peers
	judged   instant  // when they were last judged
	closed   bool
	_        [64]byte
}

func (s *shard[K]) init(r rules, hub *mailbox.Hub[K, Event[K]]) {
	s.rules, s.hub, s.schedule = r, hub, newSchedule()
}

// add begins to watch a peer, whose estimator is to begin as est, and returns the look that it scheduled.
func (s *shard[K]) add(hash uint64, id K, interval time.Duration, est phiaccrual.Estimator, now instant) (look instant, err error) {
	if s.closed {
		return never, ErrClosed
	}
	if s.peers.find(hash, id) != nil {
		return never, ErrWatched
	}
	if err := s.rules.check(interval); err != nil {
		return never, err
	}
	if err := est.SetInterval(interval); err != nil {
		return never, err
	}
	est.Reset() // what is expected of a new peer depends on its interval
	p := s.peers.add(hash)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.id, p.short = id, shorten(id)
	p.interval, p.est, p.since = interval, est, now
	p.changed, p.skipped = now, 0
	return s.plan(p, now), nil
}

// forget stops watching a peer and returns the interval that it had, if it was watched.
func (s *shard[K]) forget(hash uint64, id K) (interval time.Duration, watched bool) {
	p := s.peers.find(hash, id)
	if p == nil {
		return 0, false
	}
	interval = p.interval
	s.peers.remove(hash, id)
	return interval, true
}

// find returns the peer with this id and the hash of it, with its lock held, or nil.
func (s *shard[K]) find(hash uint64, id K) *peer[K] {
	p := s.peers.find(hash, id)
	if p != nil {
		p.mu.Lock()
	}
	return p
}

// see calls f for a watched peer, under its lock. guess is what the roster guesses for hash.
func (s *shard[K]) see(hash uint64, id K, guess *peer[K], f func(s *shard[K], p *peer[K])) bool {
	if p := guess; p != nil {
		p.mu.Lock()
		right := p.watched() && p.is(id)
		if right {
			f(s, p)
		}
		p.mu.Unlock()
		if right {
			return true
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.find(hash, id)
	if p == nil {
		return false
	}
	defer p.mu.Unlock()
	f(s, p)
	return true
}

// beat takes a heartbeat and returns the look that it scheduled: never for a peer that is Up, whose old deadline will
// find out. That is what makes heartbeats cheap.
func (s *shard[K]) beat(p *peer[K], now, at, ready instant, seq *uint64) (look instant) {
	p.beat(&s.rules, now, at, ready, seq)
	if p.state == Up {
		return never
	}
	return s.improve(p, now)
}

// improve brings p to the better state that new evidence may have earned it, and returns the look that it scheduled.
// It never makes a state worse: that is for judge, nor better for the reason that now was read before judge's was.
func (s *shard[K]) improve(p *peer[K], now instant) (look instant) {
	now = max(now, s.judged)
	level := p.level(&s.rules, now)
	if p.state == Unknown && p.heard {
		level = Up
	} else if level >= p.state {
		return never
	}
	s.change(p, level, now)
	return s.plan(p, now)
}

// judge looks at some of the peers whose look is due. It returns when the next one's is, and whether that is now.
// Unless we have been listening, nobody's state becomes worse.
func (s *shard[K]) judge(now instant, e *ear) (next instant, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.judged = now
	ready := instant(e.ready.Load())
	const some = 64 // bounds how long others wait for the lock, at a fraction of a millisecond
	for range some {
		p := s.due(now)
		if p == nil {
			break
		}
		p.mu.Lock()
		s.judgePeer(p, now, ready)
		p.mu.Unlock()
	}
	next = s.schedule.next()
	return next, next <= now
}

// judgePeer makes p's state worse if its silence has earned that, and schedules the next look at it.
func (s *shard[K]) judgePeer(p *peer[K], now, ready instant) {
	deadline := p.deadline(&s.rules)
	if deadline <= now {
		if now < ready {
			s.look(p, ready)
			return
		}
		s.change(p, max(p.state, p.level(&s.rules, now)), now)
		deadline = p.deadline(&s.rules)
	}
	s.await(p, deadline, now)
}

// due returns a peer whose look is due, which it is then no more, or nil.
func (s *shard[K]) due(now instant) *peer[K] {
	for {
		e, ok := s.schedule.take(now)
		if !ok {
			return nil
		}
		p := s.peers.at(e.number)
		if p.look != e.at {
			continue // the look was brought forward, and has been
		}
		p.look = never
		if p.watched() {
			return p
		}
	}
}

// look sees to it that p is looked at no later than at.
func (s *shard[K]) look(p *peer[K], at instant) {
	if at < p.look {
		p.look = at
		s.schedule.add(entry{at, p.number})
	}
}

// plan schedules the next look at p and returns it.
func (s *shard[K]) plan(p *peer[K], now instant) (look instant) {
	return s.await(p, p.deadline(&s.rules), now)
}

// await schedules a look at p for its deadline and returns it. There are two for each deadline: the first a moment ahead,
// at which most peers turn out to have been heard, and get a new one; the second at the deadline itself, by when we
// have demonstrably been listening for that moment (see ear).
func (s *shard[K]) await(p *peer[K], deadline, now instant) (look instant) {
	look = deadline
	if deadline != never {
		if ahead := deadline.add(-moment); ahead > now {
			look = ahead
		}
		look = max(look, now+1)
	}
	s.look(p, look)
	return look
}

// change moves p to another state and tells the readers, if it is another.
func (s *shard[K]) change(p *peer[K], to State, now instant) {
	if to == p.state {
		return
	}
	from := p.state
	p.state, p.changed = to, now
	s.hub.Publish(p.id, Event[K]{
		ID: p.id, From: from, To: to,
		Phi: p.phi(&s.rules, now),
		At:  time.Now(), // not epoch plus now, which differs once the wall clock was set or the machine was suspended
	})
}

func (s *shard[K]) setThresholds(suspect, down float64, now instant) {
	old := s.rules.phi
	s.rules.phi = thresholds{suspect: suspect, down: down}
	if old.promise == 0 && suspect >= old.suspect && down >= old.down {
		return // old deadlines are early, and will find out
	}
	s.peers.all(func(p *peer[K]) {
		p.mu.Lock()
		defer p.mu.Unlock()
		// Not all now: what was planned before would be planned once more.
		if deadline := p.deadline(&s.rules); deadline != never {
			s.look(p, max(now, deadline.add(-moment)))
		}
	})
}

func (s *shard[K]) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.peers.clear()
	s.schedule = newSchedule()
}
