package path

import "time"

// MinLateness is the lateness that any path is allowed: timers and the scheduling of a busy
// machine.
const MinLateness = 10 * time.Millisecond

// Watched tells whether another heartbeat is promised.
func (p *Path) Watched() bool { return p != nil && p.watched }

// Phi is the suspicion level of the silence up to now: see package phiaccrual.
func (p *Path) Phi(now time.Time) float64 {
	if !p.Watched() {
		return 0
	}
	return p.phi.Phi(now)
}

// Reaches is when Phi comes to phi if nothing more is heard. The zero time: never.
func (p *Path) Reaches(phi float64) time.Time {
	if !p.Watched() {
		return time.Time{}
	}
	return p.phi.Reaches(phi)
}

// Alive takes that the member lived at an instant, by other evidence than a heartbeat: those due
// before do not count as missing any more.
func (p *Path) Alive(at time.Time) {
	if p.Watched() {
		p.phi.Alive(at)
	}
}

// Missed says that this node stood still between two instants, the second of which is now,
// and heard nothing. A heartbeat that was due meanwhile may have been dropped, so silence
// counts from now, less the heartbeats that were missing before: forgiving those too would
// let a dead member live on a machine that stands still again and again. The next heartbeat
// then tells of this node rather than of the path, and is no sample.
func (p *Path) Missed(from, to time.Time) {
	if !p.Watched() {
		return
	}
	base := p.phi.Reaches(0)
	missing := max(0, from.Sub(base)) / p.interval
	if to.Sub(base)/p.interval == missing {
		return // none was due
	}
	p.stood = true
	p.phi.Alive(to.Add(-missing * p.interval))
}

// due is when the first heartbeat is due after the latest sign of life, which anybody may have had.
// Those due before say nothing any more.
func (p *Path) due(seen time.Time) time.Time {
	passed := max(0, seen.Sub(p.at)/max(1, p.interval))
	return p.at.Add((1 + passed) * p.interval)
}

// Overdue is when that heartbeat is later than those that arrive: by four times their mean
// deviation, as for TCP's retransmission (RFC 6298, section 2). A φ would not do: on a path
// that loses many it does not rise before the next one is due.
func (p *Path) Overdue(seen time.Time) time.Time { return p.due(seen).Add(MinLateness + 4*p.late) }

// Missing is how many heartbeats were overdue at an instant.
func (p *Path) Missing(seen, then time.Time) int {
	if !p.Watched() {
		return 0
	}
	overdue := p.Overdue(seen)
	if then.Before(overdue) {
		return 0
	}
	return 1 + int(then.Sub(overdue)/p.interval)
}

// Awaits is how many heartbeats of the member to anybody after seq the next one is due
// here; 0: none is. Until one came, it beats once every def.
func (p *Path) Awaits(seq uint64, def time.Duration) uint64 {
	if !p.Watched() {
		return 0
	}
	every := p.Every(def)
	turns := max(1, uint64((p.interval+every/2)/every)) // from one heartbeat here to the next
	if seq < p.seq {
		return p.seq - seq + turns
	}
	return turns - (seq-p.seq)%turns
}

// Sent is when the member sent its heartbeat seq, by its last one here. It reports false if that is
// not known.
func (p *Path) Sent(seq uint64) (at time.Time, ok bool) {
	if !p.Watched() || seq <= p.seq {
		return time.Time{}, false
	}
	return p.at.Add(time.Duration(min(seq-p.seq, 1<<20)) * p.every), true
}

// Every is the time between two heartbeats of the member to anybody, and def where it has not said.
func (p *Path) Every(def time.Duration) time.Duration {
	if p == nil || p.every <= 0 {
		return def
	}
	return p.every
}

// Interval is the time to the next heartbeat that the last one promised.
func (p *Path) Interval() time.Duration {
	if p == nil {
		return 0
	}
	return p.interval
}

// Loss is the share of packets that are taken to be lost: 0.01 at least.
func (p *Path) Loss(now time.Time) float64 {
	if p == nil {
		return PriorLoss
	}
	return p.loss.rate(now)
}

// Unanswered is how likely a question on the path, or its answer, is lost: 0.05 at least.
func (p *Path) Unanswered(now time.Time) float64 {
	heard := 1 - p.Loss(now)
	return max(minUnanswered, 1-heard*heard)
}

// Lose takes that n packets did not come.
func (p *Path) Lose(now time.Time, n int) { p.loss.lose(now, n) }

// Status is what is known of a path, for people to read.
type Status struct {
	Interval, Mean, Deviation time.Duration // promised, and of those that came
	Sent, Heard, Lost         uint64        // heartbeats
	Last                      time.Time     // the last heartbeat of the member,
	Edge, Epoch, Seq          uint64        // and its numbers
}

// Status returns what is known.
func (p *Path) Status() Status {
	if p == nil {
		return Status{}
	}
	return Status{
		Interval: p.interval, Mean: p.mean, Deviation: p.late, Sent: p.sent, Heard: p.heard, Lost: p.lost,
		Last: p.at, Edge: p.edge, Epoch: p.epoch, Seq: p.seq,
	}
}
