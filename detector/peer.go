package detector

import (
	"sync"
	"time"
	"unsafe"

	"github.com/pulsering/pulsering/phiaccrual"
)

// instant is a point in time, in nanoseconds since the detector was made, on the monotonic clock. It takes a third of
// a time.Time and no pointer.
type instant int64

// never is far enough away, at 146 years, and leaves room to add to it.
const never instant = 1 << 62

func (i instant) add(d time.Duration) instant { return i + instant(d) }
func (i instant) sub(j instant) time.Duration { return time.Duration(i - j) }

// peer is one watched peer: its estimator, and what the detector needs around it. Time comes in as an argument.
//
// Its estimator lives on a clock of its own, which stands still while this process could not hear the peer:
//
//	time of the estimator = our time − deaf
//
// so that a local pause is no silence of the peer (see skip).
//
// What a heartbeat does to a peer that is Up, and nothing else, may be done with the peer's lock alone, which is mu, so
// that processors that report heartbeats of different peers write to no memory that others want. Whatever else changes a
// peer holds its shard's lock, and then mu; so either is enough to read state, changed, interval, since, short and id.
// number and look are guarded by the shard's lock. Nobody waits for anything while holding mu, and the hub's lock is the only one
// taken under it.
type peer[K comparable] struct {
	// What a heartbeat needs lies together: 192 bytes, with the first 128 of the estimator.
	short    shortID
	state    State
	heard    bool // the estimator has a heartbeat
	resuming bool // beats were due in a local pause: what comes next tells of the pause, not of the peer
	mu       sync.Mutex
	deaf     time.Duration // time that does not count as silence, so far
	interval time.Duration // 0: the number is free
	est      phiaccrual.Estimator

	since   instant       // until it is heard: when its FirstHeartbeat began
	changed instant       // since when it has been in its state
	skipped time.Duration // by which deaf has grown since its last heartbeat
	look    instant       // when the number's earliest entry in the schedule is due, or never
	number  number        // its own, in the roster
	id      K
}

// clear makes it a free place again.
func (p *peer[K]) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	var nobody K
	p.id, p.short, p.state = nobody, shortID{}, Unknown
	p.deaf, p.interval, p.heard, p.resuming = 0, 0, false, false
}

// prefetch asks for what a heartbeat needs.
func (p *peer[K]) prefetch() {
	prefetch(unsafe.Pointer(p), unsafe.Offsetof(p.est)+128)
}

// shortID is a copy of a short id that is a string, within its peer, so that comparing it waits for no other memory.
type shortID struct {
	bytes [36]byte // a UUID, an IPv4 address with its port, most names of hosts
	size  uint8    // above len(bytes): there is no copy
}

func shorten[K comparable](id K) (c shortID) {
	s, ok := any(id).(string)
	if !ok || len(s) > len(c.bytes) {
		return shortID{size: 255}
	}
	c.size = uint8(copy(c.bytes[:], s))
	return c
}

// watched reports that p is a peer, not a free place for one.
func (p *peer[K]) watched() bool { return p.interval != 0 }

// is reports that id is the peer's.
func (p *peer[K]) is(id K) bool {
	if s, ok := any(id).(string); ok && len(s) <= len(p.short.bytes) {
		return int(p.short.size) == len(s) && string(p.short.bytes[:len(s)]) == s
	}
	return p.id == id
}

// rules are what all peers of a detector are judged by. Thresholds change, and are guarded by the shard's lock.
type rules struct {
	epoch time.Time     // instant 0
	first time.Duration // Config.FirstHeartbeat; 0: by the interval
	phi   thresholds
}

// check reports that a peer cannot have this interval.
func (r *rules) check(interval time.Duration) error {
	if err := checkInterval("interval", interval); err != nil {
		return err
	}
	return r.phi.check(interval)
}

func (r *rules) firstHeartbeat(interval time.Duration) time.Duration {
	if r.first != 0 {
		return r.first
	}
	return firstIntervals * interval
}

// time returns the instant i on the estimator's clock.
func (p *peer[K]) time(r *rules, i instant) time.Time {
	return r.epoch.Add(time.Duration(i) - p.deaf)
}

// instant returns what t, on the estimator's clock, is on ours.
func (p *peer[K]) instant(r *rules, t time.Time) instant {
	return instant(t.Sub(r.epoch) + p.deaf)
}

// base returns the instant from which silence counts.
func (p *peer[K]) base(r *rules) instant {
	if !p.heard {
		return p.since
	}
	return p.instant(r, p.est.Reaches(0)) // which is the base of silence
}

// setInterval takes the interval that the peer promises from its last heartbeat on, or returns an error and changes
// nothing.
func (p *peer[K]) setInterval(r *rules, interval time.Duration) error {
	if err := r.check(interval); err != nil {
		return err
	}
	if err := p.est.SetInterval(interval); err != nil {
		return err
	}
	p.interval = interval
	return nil
}

// restart begins the peer's history anew at now.
func (p *peer[K]) restart(now instant) {
	p.est.Reset()
	p.deaf, p.since, p.heard, p.resuming = 0, now, false, false
	p.changed, p.skipped = now, 0
}

// phi is the suspicion level at now.
func (p *peer[K]) phi(r *rules, now instant) float64 {
	if !p.heard {
		return 0
	}
	return p.est.Phi(p.time(r, now))
}

// level is the state that the silence up to now amounts to.
func (p *peer[K]) level(r *rules, now instant) State {
	if !p.heard {
		if now.sub(p.since) >= r.firstHeartbeat(p.interval) {
			return Down
		}
		return Unknown
	}
	suspect, down := r.phi.of(p.interval)
	switch phi := p.phi(r, now); {
	case phi >= down:
		return Down
	case phi >= suspect:
		return Suspect
	}
	return Up
}

// deadline is the first instant at which the peer's state becomes worse if it stays silent. never: it does not.
func (p *peer[K]) deadline(r *rules) instant {
	if p.state == Down {
		return never
	}
	if !p.heard {
		return p.since.add(r.firstHeartbeat(p.interval))
	}
	phi, down := r.phi.of(p.interval)
	if p.state == Suspect {
		phi = down
	}
	t := p.est.Reaches(phi)
	if t.IsZero() {
		return never
	}
	return p.instant(r, t)
}

// beat takes a heartbeat that arrived at the instant at, which is not after now, with the number seq unless that is nil.
// Until ready the detector has not listened again after a local pause.
func (p *peer[K]) beat(r *rules, now, at, ready instant, seq *uint64) {
	// Until ready, now may have been read before a pause that is put right already, and so lie before the base too: going
	// back there would make the pause a silence.
	if at < now || now < ready {
		at = max(at, p.base(r))
	}
	if p.resuming {
		if seq != nil && !p.news(*seq) {
			return
		}
		// What waited in a queue during the pause, or comes first after it, says that the peer lives, and nothing about
		// when and how reliably its heartbeats arrive. So the estimator's clock is set back to where silence is zero ...
		p.skipped = 0
		p.deaf += max(0, at.sub(p.base(r)))
		if at >= ready {
			// ... and the first heartbeat heard in time is one exactly due, ...
			p.resuming = false
			p.deaf -= p.interval
		}
		p.est.Heartbeat(p.time(r, at))
		// ... whose number, told when no time has passed, is known but no sample: those lost in the pause are not
		// counted as lost by the link.
		if seq != nil {
			p.est.HeartbeatSeq(p.time(r, at), *seq)
		}
		return
	}
	p.heard = true
	if seq != nil {
		p.est.HeartbeatSeq(p.time(r, at), *seq)
	} else {
		p.est.Heartbeat(p.time(r, at))
	}
}

// news reports that the number seq is above the highest heard, by trying it on a copy of the estimator.
func (p *peer[K]) news(seq uint64) bool {
	est := p.est
	at := est.Reaches(0).Add(1)
	est.HeartbeatSeq(at, seq)
	return est.Reaches(0).Equal(at)
}

// alive takes evidence that the peer lived at the instant at.
func (p *peer[K]) alive(r *rules, at instant) {
	if p.heard {
		p.est.Alive(p.time(r, at))
	} else {
		p.since = max(p.since, at)
	}
}

// skip says that nothing could be heard between the instants from and to, which is now.
//
// A heartbeat that was due meanwhile may have been dropped (a socket buffer holds some hundred), so silence before the
// pause and during it must not be held against a peer of which one was due. What remains are the whole intervals that
// it had been silent for while we did listen: forgiving those too would let a peer live for ever on a machine
// that is paused again and again. So silence counts from now, less those intervals. Where no heartbeat was due in the
// pause, the pause changes nothing.
func (p *peer[K]) skip(r *rules, from, to instant) {
	base := p.base(r)
	if !p.heard {
		p.since += max(0, to-max(from, base))
		return
	}
	missed := max(0, from.sub(base)) / p.interval
	if to.sub(base)/p.interval == missed {
		return
	}
	deaf := to.sub(base) - missed*p.interval
	p.deaf += deaf
	p.skipped += deaf
	p.resuming = true
}

// last returns when the last heartbeat was heard. There was one.
func (p *peer[K]) last(r *rules) instant {
	return p.instant(r, p.est.Last()).add(-p.skipped)
}

// status is what is known of the peer at now.
func (p *peer[K]) status(r *rules, now instant) Status {
	// Not epoch plus the instant, which differs once the wall clock was set or the machine was
	// suspended.
	present := time.Now()
	now = max(now, p.changed)
	s := Status{State: p.state, Phi: p.phi(r, now), Since: present.Add(-now.sub(p.changed))}
	if p.heard {
		last := p.last(r)
		s.LastHeard = present.Add(-max(now, last).sub(last))
	}
	return s
}
