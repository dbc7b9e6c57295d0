package detector

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"sync"
	"time"

	"github.com/pulsering/pulsering/internal/mailbox"
	"github.com/pulsering/pulsering/phiaccrual"
)

// Errors that callers may have to tell apart. They come wrapped with the operation and the id.
var (
	ErrClosed     = errors.New("detector is closed")
	ErrWatched    = errors.New("already watched")
	ErrNotWatched = errors.New("not watched")
)

// A Detector watches peers of which anyone may report heartbeats, and says when their state
// changes. Make it with New and end it with Close; the zero value has no goroutine, and each
// method panics and says so. All methods may be called from any goroutine at any time, and none
// but Close waits for anything.
type Detector[K comparable] struct {
	epoch    time.Time            // instant 0
	now      func() instant       // the clock
	interval time.Duration        // Config.Interval
	proto    phiaccrual.Estimator // what each peer's begins as
	seed     maphash.Seed
	shards   [shards]shard[K]
	hub      *mailbox.Hub[K, Event[K]]
	ear      ear

	wake chan struct{} // one slot: something is scheduled before ear.due
	quit chan struct{} // closed by Close
	done chan struct{} // closed when the loop has gone

	thresholds sync.Mutex // held while SetThresholds tells the shards, so that all hear the same last
	closing    sync.Once
}

// New returns a running detector that watches nobody. The error names a field of cfg that is out of range or at odds
// with another, its value and the limit.
func New[K comparable](cfg Config) (*Detector[K], error) {
	epoch := time.Now()
	return newDetector[K](cfg, epoch, func() instant { return instant(time.Since(epoch)) })
}

func newDetector[K comparable](cfg Config, epoch time.Time, now func() instant) (*Detector[K], error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("detector: %w", err)
	}
	proto, err := phiaccrual.New(phiaccrual.Config{
		Interval: cfg.Interval, Model: cfg.Model, MinStdDev: cfg.MinStdDev, Pause: cfg.Pause, Window: cfg.Window,
	})
	if err != nil {
		return nil, fmt.Errorf("detector: %w", err)
	}
	d := &Detector[K]{
		epoch:    epoch,
		now:      now,
		interval: cfg.Interval,
		proto:    *proto,
		seed:     maphash.MakeSeed(),
		hub:      mailbox.NewHub[K](fold[K]),
		wake:     make(chan struct{}, 1),
		quit:     make(chan struct{}),
		done:     make(chan struct{}),
	}
	d.ear.tick, d.ear.fitting = maxTick, make(map[time.Duration]int)
	d.ear.due.Store(int64(never))
	for i := range d.shards {
		d.shards[i].init(rules{
			epoch: epoch,
			first: cfg.FirstHeartbeat,
			phi:   thresholds{cfg.SuspectPhi, cfg.DownPhi, cfg.FalseAlarmEvery},
		}, d.hub)
	}
	go d.loop()
	return d, nil
}

// shards is so many that those who watch and forget peers, and the loop, seldom want the same. Heartbeats do without
// (see peer), so it need not grow with the number of processors, which among few peers would cost memory: 2 kB each.
const shards = 8

// made panics if d did not come from New.
func (d *Detector[K]) made() {
	if d.now == nil {
		panic("detector: a Detector that New did not make")
	}
}

// listen reads the clock, and puts right what a pause of this process has done if it is the first to look.
func (d *Detector[K]) listen() instant {
	d.made()
	now := d.now()
	if d.ear.overdue(now) {
		d.ear.look(now, d.skip)
		now = d.now() // the look may have had to wait for another's
	}
	return now
}

// Watch begins to watch a peer: Unknown until its first heartbeat, Down if that takes longer than FirstHeartbeat.
// interval is the time between its heartbeats, 1 µs to 24 h; 0 stands for the detector's. Watching a watched peer is
// an error (ErrWatched) and changes nothing, and so is an id that is not equal to itself (a NaN, or one within).
func (d *Detector[K]) Watch(id K, interval time.Duration) error {
	if id != id {
		return fmt.Errorf("detector: Watch(%v): the id is not equal to itself, so nobody could find it again", id)
	}
	if interval == 0 {
		interval = d.interval
	}
	d.listen()
	s, hash := d.lock(id)
	look, err := s.add(hash, id, interval, d.proto, d.now()) // under the lock, so from after any pause that was put right
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("detector: Watch(%v): %w", id, err)
	}
	d.ear.attend(interval)
	d.pull(look)
	return nil
}

// Forget stops watching a peer and reports whether it was watched. There are no more events about it, except those
// that readers have not read yet.
func (d *Detector[K]) Forget(id K) bool {
	s, hash := d.lock(id)
	interval, watched := s.forget(hash, id)
	s.mu.Unlock()
	if watched {
		d.ear.dismiss(interval)
	}
	return watched
}

// Restart begins a peer's history anew, because it has begun its own anew: Unknown until its next heartbeat, numbers
// from the beginning. It reports whether the peer is watched.
//
// Without it, the silence before a peer came back counts as its link's, even if it was Down: to leave such silences out
// would make φ promise what it does not keep. So a peer that restarts unnoticed is judged slowly for some thousand
// heartbeats: after a silence of seven intervals, φ = 8 takes 19 to 30 intervals instead of 4 if heartbeats have no
// numbers, since the silence may have been a run of losses, and 7 to 8 if they have, and these go on.
func (d *Detector[K]) Restart(id K) bool {
	return d.with(id, func(s *shard[K], p *peer[K], _ instant) instant {
		now := d.now() // as in Watch
		p.restart(now)
		s.change(p, Unknown, now)
		return s.plan(p, now)
	})
}

// Heartbeat reports an unnumbered heartbeat of a peer, heard now. It reports whether the peer is watched.
func (d *Detector[K]) Heartbeat(id K) bool { return d.report(id, time.Time{}, nil) }

// HeartbeatSeq reports a heartbeat, heard now, with the number that the peer gave it: one more with each heartbeat
// sent here, so that losses are seen. A number not above the highest seen is old news and no sign of life, until
// Restart. It reports whether the peer is watched.
func (d *Detector[K]) HeartbeatSeq(id K, seq uint64) bool { return d.report(id, time.Time{}, &seq) }

// HeartbeatAt reports a heartbeat that was heard at the instant at: now if that is in the future or zero, and no
// earlier than the last one. at needs a monotonic reading (time.Now), or else a wall clock that is set makes it another
// instant. seq is as in HeartbeatSeq, but that 0 stands for a heartbeat without a number. It reports whether the peer is
// watched.
func (d *Detector[K]) HeartbeatAt(id K, at time.Time, seq uint64) bool {
	if seq == 0 {
		return d.report(id, at, nil)
	}
	return d.report(id, at, &seq)
}

// Alive reports evidence that a peer lived at the instant at (now if that is in the future or zero) which is not one
// of its heartbeats: an answer to a question, or what another observer heard. Heartbeats due by then count as lost,
// not as missing; see [phiaccrual.Estimator.Alive]. A peer that has not beaten yet stays Unknown, with FirstHeartbeat
// counted from at. It reports whether the peer is watched.
func (d *Detector[K]) Alive(id K, at time.Time) bool {
	return d.with(id, func(s *shard[K], p *peer[K], now instant) instant {
		p.alive(&s.rules, d.instant(at, now))
		return s.improve(p, now)
	})
}

// SetInterval says that a peer promised another interval between its heartbeats, from its last
// one on: 1 µs to 24 h, else an error and no change. What was learnt about its link stays. A
// heartbeat that carries the promise is reported first, as it keeps the one before. It is an
// error (ErrNotWatched) if the peer is not watched.
func (d *Detector[K]) SetInterval(id K, interval time.Duration) error {
	var err error
	var old time.Duration
	watched := d.with(id, func(s *shard[K], p *peer[K], now instant) instant {
		old = p.interval
		if err = p.setInterval(&s.rules, interval); err != nil || interval >= old {
			return never // an old deadline that is early will find out
		}
		return s.plan(p, now)
	})
	select {
	case <-d.quit:
		err = ErrClosed
	default:
		if !watched {
			err = ErrNotWatched
		}
	}
	if err != nil {
		return fmt.Errorf("detector: SetInterval(%v): %w", id, err)
	}
	d.ear.attend(interval)
	d.ear.dismiss(old)
	return nil
}

// SetThresholds replaces SuspectPhi and DownPhi, or the promise they came from, for all peers: 0.01 to 300, suspect no
// higher than down, else an error and no change. A peer that is Suspect or Down already stays so until it is heard.
// Raising costs nothing; lowering computes the deadlines of all peers, about a microsecond each, shard by shard.
func (d *Detector[K]) SetThresholds(suspect, down float64) error {
	if err := checkThresholds(suspect, down); err != nil {
		return fmt.Errorf("detector: SetThresholds: %w", err)
	}
	d.made()
	d.thresholds.Lock()
	defer d.thresholds.Unlock()
	now := d.listen()
	for i := range d.shards {
		s := &d.shards[i]
		s.mu.Lock()
		s.setThresholds(suspect, down, now)
		closed := s.closed
		s.mu.Unlock()
		if closed {
			return fmt.Errorf("detector: SetThresholds: %w", ErrClosed)
		}
	}
	d.pull(now)
	return nil
}

// Phi returns the suspicion level of a peer now. It is 0 for a peer that was not heard yet, and for one that is not
// watched, which State tells apart.
func (d *Detector[K]) Phi(id K) float64 {
	now := d.listen()
	phi := 0.0
	d.see(id, func(s *shard[K], p *peer[K]) { phi = p.phi(&s.rules, now) })
	return phi
}

// Timeout returns after what silence since its latest heartbeat a peer is Down, by what is known of its link now: the longest
// time in which its death is found. See [phiaccrual.Estimator.Timeout]. It reports false for a peer that is not watched or was
// not heard yet, and where that would take more than 146 years.
func (d *Detector[K]) Timeout(id K) (silence time.Duration, ok bool) {
	d.see(id, func(s *shard[K], p *peer[K]) {
		if p.heard {
			_, down := s.rules.phi.of(p.interval)
			silence, ok = p.est.Timeout(down)
		}
	})
	return silence, ok
}

// Reaches returns the first instant at which a peer's φ is at least phi if nothing more is heard of it: see
// [phiaccrual.Estimator.Reaches]. It reports false where that is never, and for a peer that is not watched or was not heard yet.
// A pause of this process in between makes it later.
func (d *Detector[K]) Reaches(id K, phi float64) (at time.Time, ok bool) {
	d.see(id, func(s *shard[K], p *peer[K]) {
		if !p.heard {
			return
		}
		if at = p.est.Reaches(phi); !at.IsZero() {
			at, ok = at.Add(p.deaf), true
		}
	})
	return at, ok
}

// State returns what the detector thinks of a peer, as the latest event about it says, and whether it is watched.
func (d *Detector[K]) State(id K) (state State, watched bool) {
	watched = d.see(id, func(_ *shard[K], p *peer[K]) { state = p.state })
	return state, watched
}

// Status returns what the detector knows of a peer, at one instant, and whether it is watched.
// If not, the Status is zero.
func (d *Detector[K]) Status(id K) (status Status, watched bool) {
	now := d.listen()
	watched = d.see(id, func(s *shard[K], p *peer[K]) { status = p.status(&s.rules, now) })
	return status, watched
}

// All returns the peers that are watched, each with its Status, in no order. Each Status is of
// one instant, that at which its peer's turn comes; those of different peers are of different
// instants.
//
// Nothing is locked while the body of the loop runs: it may call any method, and take its time.
// A peer that is watched all the while comes once. One that is forgotten before its turn does
// not come, one that is watched meanwhile may, and one that is forgotten and watched again may
// come twice. Ranging ends early after Close, and may be repeated.
func (d *Detector[K]) All() iter.Seq2[K, Status] {
	d.made()
	return func(yield func(K, Status) bool) {
		for i := range d.shards {
			s := &d.shards[i]
			for n := number(0); ; n++ {
				id, status, watched, more := d.nth(s, n)
				if !more {
					break
				}
				if watched && !yield(id, status) {
					return
				}
			}
		}
	}
}

// nth returns the peer with a number, if there is one, and whether there are numbers so high.
func (d *Detector[K]) nth(s *shard[K], n number) (id K, status Status, watched, more bool) {
	p := s.peers.nth(n)
	if p == nil {
		return id, status, false, false
	}
	now := d.listen()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.watched() {
		id, status, watched = p.id, p.status(&s.rules, now), true
	}
	return id, status, watched, true
}

// Events returns the changes of state from this call on, of all peers. Any number of readers may do so.
//
// The events of one peer come in order and without a gap: each begins in the state that the one before ended in, but the
// first after Forget and Watch in Unknown. A reader never holds up the detector or other readers. While it is busy, the changes of a peer are folded into one
// event from the oldest state to the present (see Event.Folded), so a reader that falls behind reads the
// latest of each peer, and has at most one event a peer waiting; the peer whose first unread change is oldest comes
// first.
//
// Ranging ends when ctx does, with break (for good: ranging again ends at once), or after Close, once everything up to
// it was read. A reader that never ranges costs one event for each peer that changes, until ctx ends.
func (d *Detector[K]) Events(ctx context.Context) iter.Seq[Event[K]] {
	d.made()
	return d.hub.Subscribe(ctx).All()
}

// Close stops the detector, forgets all peers and returns when its goroutine has gone. Readers of Events end once
// they have read what is pending. After Close, methods that return an error return ErrClosed, and nobody is watched. A
// second Close is harmless.
func (d *Detector[K]) Close() error {
	d.made()
	d.closing.Do(func() {
		close(d.quit) // before anybody is forgotten: SetInterval tells the two apart by it
		for i := range d.shards {
			d.shards[i].close()
		}
		<-d.done
		d.hub.Close()
	})
	return nil
}

// report takes a heartbeat of id heard at the instant at (now for the zero time), and sees to the look that follows.
func (d *Detector[K]) report(id K, at time.Time, seq *uint64) bool {
	s, hash := d.shard(id)
	s.peers.prefetch(hash) // is on its way while the clock is read
	now := d.listen()
	look, watched := d.beat(s, hash, id, s.peers.guess(hash), now, d.instant(at, now), seq)
	d.pull(look)
	return watched
}

// beat takes a heartbeat and returns the look that it has scheduled. guess is what the shard's roster guesses for hash.
func (d *Detector[K]) beat(s *shard[K], hash uint64, id K, guess *peer[K], now, at instant, seq *uint64) (look instant, watched bool) {
	if p := guess; p != nil {
		p.mu.Lock()
		if p.state == Up && p.is(id) { // which a free place is not
			p.beat(&s.rules, now, at, instant(d.ear.ready.Load()), seq)
			p.mu.Unlock()
			return never, true
		}
		p.mu.Unlock()
	}
	return d.beatSlowly(s, hash, id, now, at, seq)
}

// beatSlowly takes a heartbeat of a peer in any state.
func (d *Detector[K]) beatSlowly(s *shard[K], hash uint64, id K, now, at instant, seq *uint64) (look instant, watched bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.find(hash, id)
	if p == nil {
		return never, false
	}
	defer p.mu.Unlock()
	return s.beat(p, now, at, instant(d.ear.ready.Load()), seq), true
}

// see calls f for a watched peer, under its lock.
func (d *Detector[K]) see(id K, f func(s *shard[K], p *peer[K])) bool {
	s, hash := d.shard(id)
	return s.see(hash, id, s.peers.guess(hash), f)
}

// with calls f for a watched peer, under its shard's lock and its own, and sees to the look that f has scheduled (never:
// none).
func (d *Detector[K]) with(id K, f func(s *shard[K], p *peer[K], now instant) instant) bool {
	now := d.listen()
	s, hash := d.lock(id)
	p := s.find(hash, id)
	if p == nil {
		s.mu.Unlock()
		return false
	}
	look := f(s, p, now)
	p.mu.Unlock()
	s.mu.Unlock()
	d.pull(look)
	return true
}

// shard returns the shard that id belongs to, and the id's hash: its last bits say which shard, its first where in the
// shard's roster.
func (d *Detector[K]) shard(id K) (s *shard[K], hash uint64) {
	d.made()
	hash = maphash.Comparable(d.seed, id)
	return &d.shards[hash%shards], hash
}

// lock is the same with the shard's lock held.
func (d *Detector[K]) lock(id K) (s *shard[K], hash uint64) {
	s, hash = d.shard(id)
	s.mu.Lock()
	return s, hash
}

// instant returns t as an instant no later than now, and now for the zero time.
func (d *Detector[K]) instant(t time.Time, now instant) instant {
	if t.IsZero() {
		return now
	}
	return max(0, min(now, instant(t.Sub(d.epoch))))
}
