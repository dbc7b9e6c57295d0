// Package path knows the way of heartbeats between this node and one other member: their numbers,
// how late they are, how many are lost, how long they take, and what silence on it is worth.
//
// A Path owns no clock and no timer: time comes in as an argument. What follows from silence is
// for others to say; a Path only measures it.
package path

import (
	"time"

	"github.com/pulsering/pulsering/internal/pace"
	"github.com/pulsering/pulsering/phiaccrual"
)

// Path is the way between this node and one member. The methods that ask may be called on a nil
// Path, which is one on which nothing was ever sent.
type Path struct {
	// Heartbeats to the member: the number of the last one on this path, and when it was sent.
	sent   uint64
	sentAt time.Time

	// The last heartbeat of the member, and what it promised.
	edge, epoch, seq uint64
	at               time.Time
	interval         time.Duration // to the next one on this path
	every            time.Duration // between two of the member to anybody
	jumped           uint64        // the number of one after it that was too far ahead; 0: none

	// What was learnt of those that came.
	late        time.Duration // mean deviation of arrivals from the promise
	mean        time.Duration // mean time between two; 0: there were none
	heard, lost uint64
	pace        pace.Pace
	loss        loss
	phi         phiaccrual.Estimator
	watched     bool // another heartbeat is promised
	stood       bool // this node stood still when one was due, see Missed
}

// Heartbeat is what one heartbeat says.
type Heartbeat struct {
	Epoch, Seq uint64        // of its sender
	Edge       uint64        // its number on this path
	Interval   time.Duration // to the next one on this path; 0: there will be none
	Every      time.Duration // between two of its sender to anybody
	EchoEdge   uint64        // the last one that its sender heard on this path; 0: none
	EchoHold   time.Duration // how long ago that was
}

// New returns a path on which nothing has come yet. fresh is an estimator that has heard nothing.
func New(fresh phiaccrual.Estimator) *Path { return &Path{phi: fresh} }

// Renew returns the path to the next process of the same member. The numbers go on, as the new
// process may have heard some that were meant for the old one.
func (p *Path) Renew(fresh phiaccrual.Estimator) *Path {
	if p == nil {
		return nil
	}
	return &Path{sent: p.sent, phi: fresh}
}

// Send notes that a heartbeat is sent now, and returns its number on this path and the echo that
// goes with it.
func (p *Path) Send(now time.Time) (number, echo uint64, hold time.Duration) {
	p.sent++
	p.sentAt = now
	if p.edge > 0 {
		echo, hold = p.edge, now.Sub(p.at)
	}
	return p.sent, echo, hold
}

// Verdict is whether a heartbeat can be what it says.
type Verdict uint8

const (
	// Plausible: it can.
	Plausible Verdict = iota
	// Replayed: it is no later than the last one.
	Replayed
	// Jumped: its number is further ahead than time explains.
	Jumped
	// Misled: it is of another path, to the member that had this node's address before.
	Misled
)

// MaxJump is how far the numbers of heartbeats may jump beyond what time explains.
const MaxJump = 1 << 16

// Check tells whether a heartbeat can be what it says, if no member sends them more often than
// one a fastest.
func (p *Path) Check(now time.Time, h Heartbeat, fastest time.Duration) Verdict {
	if p == nil || p.edge == 0 || h.Epoch > p.epoch {
		return Plausible
	}
	if h.Epoch < p.epoch || h.Seq <= p.seq {
		return Replayed
	}
	// A machine that slept finds the others far ahead, and by its own clock no time has passed: the
	// second such heartbeat is believed.
	far := h.Seq-p.seq > MaxJump+uint64(max(0, now.Sub(p.at))/fastest)
	follows := p.jumped > 0 && h.Seq > p.jumped && h.Seq-p.jumped <= MaxJump
	if far && !follows {
		p.jumped = h.Seq
		return Jumped
	}
	// Each heartbeat takes a number of both kinds, so the path's grows no faster.
	if h.Edge > p.edge && h.Edge-p.edge > h.Seq-p.seq {
		return Misled
	}
	return Plausible
}

// Receipt is what a heartbeat tells beside that its sender lives.
type Receipt struct {
	Echoed time.Time     // when the heartbeat that its sender heard was sent here; zero: none
	RTT    time.Duration // the round trip; negative: not known
	Lost   uint64        // heartbeats that were lost before it
}

// Receive takes a heartbeat that Check found plausible. An echo that took longer than round waited
// where somebody stood still, and says nothing of the way; nor does lateness above stall.
func (p *Path) Receive(now time.Time, h Heartbeat, round, stall time.Duration) Receipt {
	r := Receipt{RTT: -1}
	if h.EchoEdge != 0 && h.EchoEdge == p.sent {
		r.Echoed = p.sentAt
		if way := now.Sub(p.sentAt); way <= round {
			r.RTT = max(0, way-h.EchoHold)
		}
	}
	anew := p.edge > 0 && h.Edge <= p.edge // the sender had forgotten this node meanwhile
	switch n := h.Edge - p.edge; {
	case p.edge == 0 || anew:
		p.pace = 0
	case p.pace.Heard(now.Sub(p.at), p.interval, n) != pace.Explained || p.stood:
		// Nobody knows what was lost while this node or its machine stood still.
	default:
		r.Lost = n - 1
		p.loss.observe(now, n-1)
		if n == 1 {
			p.meet(now, stall)
		}
	}
	p.heard++
	p.lost += r.Lost
	p.edge, p.epoch, p.seq, p.at, p.jumped, p.every = h.Edge, h.Epoch, h.Seq, now, 0, h.Every
	if h.Interval == 0 {
		p.Close()
		return r
	}
	if anew || !p.watched {
		p.phi.Reset()
	}
	if p.stood {
		p.phi.Resume(now)
	}
	p.phi.HeartbeatSeq(now, h.Edge) // before the new interval: it keeps the promise of the old one
	p.promise(h.Interval)
	return r
}

// meet learns from a heartbeat that came next in turn.
func (p *Path) meet(now time.Time, stall time.Duration) {
	gap := now.Sub(p.at)
	p.late += (min((gap-p.interval).Abs(), stall) - p.late) / 8
	if p.mean == 0 {
		p.mean = gap
	}
	p.mean += (gap - p.mean) / 8
}

// Acknowledge takes a sign of life that has no number and is due every interval.
func (p *Path) Acknowledge(now time.Time, interval time.Duration) {
	if !p.watched {
		p.phi.Reset()
	}
	if p.stood {
		p.phi.Resume(now)
	} else {
		p.phi.Heartbeat(now)
	}
	p.at = now
	p.promise(interval)
}

func (p *Path) promise(interval time.Duration) {
	p.watched, p.stood, p.interval = true, false, interval
	_ = p.phi.SetInterval(interval) // it is within the limits: see where heartbeats are decoded
}

// Relearn begins the history of this path anew from its last sign of life, at another interval.
func (p *Path) Relearn(interval time.Duration) {
	p.phi.Reset()
	p.promise(interval)
	p.phi.Heartbeat(p.at)
}

// Close says that no more heartbeats are due. What was learnt of losses is forgotten with it: an
// outage of before would never be unlearnt.
func (p *Path) Close() { p.watched, p.loss = false, loss{} }
