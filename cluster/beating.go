package cluster

import (
	"slices"
	"time"

	"github.com/pulsering/pulsering/internal/pace"
)

// edge is what two members that beat to each other know of the way between them. The zero value is no edge.
type edge struct {
	// To the member.
	sent          uint64    // heartbeats so far, and the number of the last one
	sentAt        time.Time // when that was
	courtesyUntil time.Time // it observes this node by its own reckoning, so it gets heartbeats until then at least

	// From the member.
	watched     bool // the detector knows it
	heardEdge   uint64
	heardSeq    uint64
	heardEpoch  uint64
	heardAt     time.Time     // the last heartbeat
	jumpedSeq   uint64        // of one after it that was too far ahead to be believed; 0: none
	interval    time.Duration // promised with it
	every       time.Duration // the member's own Beat
	late        time.Duration // mean deviation of arrivals from the promise
	mean        time.Duration // mean time between two that arrived; 0: there were none. For people to read, as are:
	heard, lost uint64        // heartbeats that arrived, and that did not
	pace        pace.Pace

	loss      pathLoss
	lastHeard time.Time // the last packet of the member itself
	rtt       time.Duration

	// What crosses the way at all: see knock.go.
	crossedAt time.Time // the last packet under the member's name, in whatever boot
	knockAt   time.Time // the last knock
	streamAt  time.Time // when a stream last crossed
	shutAt    time.Time // when a knock was last in vain
	refused   bool      // it was refused
}

// meet takes the time between two heartbeats that arrived one after the other.
func (e *edge) meet(gap time.Duration) {
	if e.mean == 0 {
		e.mean = gap
	}
	e.mean += (gap - e.mean) / 8
}

// awaits returns how many heartbeats of r after the latest known one the next that comes here is due; 0: none come.
func (c *core) awaits(r *record) uint64 {
	e := &r.edge
	if !e.watched {
		return 0
	}
	every := r.beatEvery(c.cfg.Beat)
	turns := max(1, uint64((e.interval+every/2)/every)) // from one heartbeat here to the next
	if r.Seq < e.heardSeq {
		return e.heardSeq - r.Seq + turns
	}
	return turns - (r.Seq-e.heardSeq)%turns
}

// beat sends one heartbeat to the receiver whose turn it is.
func (c *core) beat(now time.Time) {
	if !c.speaks() || c.left {
		return
	}
	c.seq++
	c.sentAt[c.seq%uint64(len(c.sentAt))] = sending{c.seq, now}
	if c.cfg.Heartbeats == Probes { // the number still counts the time, for the order of evidence
		return
	}
	t, turns, ok := c.rotation.next()
	if !ok {
		return
	}
	r := c.members[t.to]
	if r == nil || r.State == StateLeft {
		return
	}
	if t.last {
		turns = 0
	}
	c.sendBeat(now, r, turns)
}

// sendBeat sends a heartbeat numbered seq to r, and promises the next one within so many turns; 0: there will be none.
func (c *core) sendBeat(now time.Time, r *record, turns int) {
	e := &r.edge
	e.sent++
	e.sentAt = now
	b := &beat{
		Epoch: c.epoch, Seq: c.seq, Edge: e.sent,
		Interval: micros(time.Duration(turns) * c.cfg.Beat), Every: micros(c.cfg.Beat),
		Mutual: slices.Contains(c.observers, r), // the relation is symmetric
		Deaf:   c.isolated,
	}
	if e.heardEdge > 0 {
		b.EchoEdge, b.EchoHold = e.heardEdge, micros(now.Sub(e.heardAt))
	}
	c.send(r, &packet{Beat: b})
	c.count.send("beat")
}

// heartbeat acts on a heartbeat of r.
func (c *core) heartbeat(now time.Time, r *record, b *beat) {
	e := &r.edge
	if b.Epoch > maxEpoch {
		c.count.drop(dropEpoch)
		return
	}
	if e.heardEdge > 0 && b.Epoch <= e.heardEpoch {
		if b.Epoch < e.heardEpoch || b.Seq <= e.heardSeq {
			c.count.drop(dropReplay)
			return
		}
		// No member beats so fast. But a machine that slept finds the others far ahead, and by its own clock no time has passed: it
		// believes the second one.
		far := b.Seq-e.heardSeq > maxSeqJump+uint64(now.Sub(e.heardAt)/minBeat)
		follows := b.Seq > e.jumpedSeq && b.Seq-e.jumpedSeq <= maxSeqJump
		if far && !(e.jumpedSeq > 0 && follows) {
			e.jumpedSeq = b.Seq
			c.count.drop(dropSeq)
			return
		}
		// Each heartbeat takes a number of both kinds, so the edge's grows no faster: this one is of another edge, to the member that had
		// this node's address before.
		if b.Epoch == e.heardEpoch && b.Edge > e.heardEdge && b.Edge-e.heardEdge > b.Seq-e.heardSeq {
			c.count.drop(dropEdge)
			return
		}
	}
	wasDown := r.State == StateDown
	news := c.heard(now, r, b.Epoch, b.Seq)
	if news {
		c.signOfLife(r, now)
	} else if wasDown {
		// Sent before the evidence that the verdict rests on, and held up since: not a sign of life.
		c.count.drop(dropReplay)
		return
	}
	c.count.receive("beat")

	echo := b.EchoEdge != 0 && b.EchoEdge == e.sent
	if echo && e.sentAt.After(c.echoed) {
		c.echoed = e.sentAt
	}
	// The echo of the last one comes within a round, or it waited where somebody stood still: no round trip.
	if way := now.Sub(e.sentAt); echo && way <= time.Duration(len(c.rotation.round))*c.cfg.Beat {
		e.rtt = max(0, way-duration(b.EchoHold))
	}
	numbersAnew := b.Edge <= e.heardEdge // it had forgotten this node meanwhile
	switch n := b.Edge - e.heardEdge; {
	case e.heardEdge == 0 || numbersAnew:
		e.pace = 0
	case e.pace.Heard(now.Sub(e.heardAt), e.interval, n) != pace.Explained:
		// This machine slept, and what was lost meanwhile nobody knows.
	default:
		e.loss.observe(now, n-1)
		e.lost += n - 1
		c.count.lost.Add(n - 1)
		if n == 1 {
			// More than a stall may take is no lateness of the path: it was cut off, or one of the two stood still.
			e.late += (min(now.Sub(e.heardAt.Add(e.interval)).Abs(), c.cfg.StallAllowance) - e.late) / 8
			e.meet(now.Sub(e.heardAt))
		}
	}
	e.heard++
	e.heardEdge, e.heardEpoch, e.heardSeq, e.heardAt, e.jumpedSeq = b.Edge, b.Epoch, b.Seq, now, 0
	e.every = duration(b.Every)
	if b.Interval == 0 {
		c.unwatch(now, r)
		if news && r.inquiry != nil { // the last heartbeat is one, and answers what was asked
			c.endInquiry(r)
		}
		c.show(now, r, ReasonHeard) // what is not heard here any more is not judged here either
		return
	}
	if r.suspicion.deaf = b.Deaf; b.Deaf {
		c.suspect(now, r, ReasonDeaf)
	}
	interval := duration(b.Interval)
	if numbersAnew {
		c.det.Restart(r.Name)
	}
	// First, since it keeps the promise before and makes the next.
	known := e.watched && c.det.HeartbeatAt(r.Name, now, b.Edge)
	c.watch(r, interval)
	if !known {
		c.det.HeartbeatAt(r.Name, now, b.Edge)
	}
	if b.Mutual {
		if !now.Before(e.courtesyUntil) {
			c.courtesy[r.Name] = r
			c.stale = true
		}
		e.courtesyUntil = now.Add(3 * interval) // extended with each heartbeat
	}
	c.review(now, r)
}

// watch has the detector expect a heartbeat of r every interval.
func (c *core) watch(r *record, interval time.Duration) {
	e := &r.edge
	var err error
	switch {
	case !e.watched:
		err = c.det.Watch(r.Name, interval)
	case e.interval != interval:
		err = c.det.SetInterval(r.Name, interval)
	}
	if err != nil {
		c.log.Error("member not watched", "member", r.Name, "interval", interval, "error", err)
		return
	}
	e.watched, e.interval = true, interval
	c.watching[r.Name] = r
}

func (c *core) unwatch(now time.Time, r *record) {
	r.suspicion.end(now)
	if r.edge.watched {
		c.det.Forget(r.Name)
		r.edge.watched = false
		delete(c.watching, r.Name)
		r.edge.loss = pathLoss{} // an outage of before would never be unlearnt: questions teach it anew
	}
}

// maxSeqJump is how far a sequence may jump beyond what time explains.
const maxSeqJump = 1 << 16

// beatsTo tells whether the member gets heartbeats of this node, or will from the next round on.
func (c *core) beatsTo(name string) bool {
	return slices.Contains(c.rotation.want, name) || slices.ContainsFunc(c.rotation.round, func(t turn) bool { return t.to == name && !t.last })
}

// dismiss tells a member that it gets no heartbeats any more.
func (c *core) dismiss(now time.Time, r *record) {
	if c.cfg.Heartbeats == Probes || c.left {
		return
	}
	c.seq++ // a number is given once
	c.sendBeat(now, r, 0)
}

// beatEvery is the time between two heartbeats of the member to anyone, as far as is known.
func (r *record) beatEvery(def time.Duration) time.Duration {
	if r.edge.every > 0 {
		return r.edge.every
	}
	return def
}

func micros(d time.Duration) uint64 { return uint64(max(0, d.Microseconds())) }

func duration(micros uint64) time.Duration {
	return time.Duration(min(micros, uint64(maxInterval/time.Microsecond))) * time.Microsecond
}

// maxInterval is the longest interval that a heartbeat can promise: the longest Beat for the most observers.
const maxInterval = maxBeat * maxObservers
