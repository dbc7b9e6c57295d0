package cluster

import (
	"slices"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/path"
	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// awaits returns how many heartbeats of r after the latest known one the next that comes here is due; 0: none come.
func (c *core) awaits(r *record) uint64 { return r.path.Awaits(r.Seq, c.cfg.Beat) }

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
	t, turns, ok := c.rotation.Next()
	if !ok {
		return
	}
	r := c.members[t.To]
	if r == nil || r.State == claim.Left {
		return
	}
	if t.Last {
		turns = 0
	}
	c.sendBeat(now, r, turns)
}

// sendBeat sends a heartbeat numbered seq to r, and promises the next one within so many turns; 0: there will be none.
func (c *core) sendBeat(now time.Time, r *record, turns int) {
	number, echo, hold := c.pathTo(r).Send(now)
	b := &wire.Beat{
		Epoch: c.epoch, Seq: c.seq, Edge: number, EchoEdge: echo, EchoHold: micros(hold),
		Interval: micros(time.Duration(turns) * c.cfg.Beat), Every: micros(c.cfg.Beat),
		Mutual: slices.Contains(c.observers, r), // the relation is symmetric
		Deaf:   c.isolated,
	}
	c.send(r, &wire.Packet{Beat: b})
	c.count.send("beat")
}

// pathTo is the path between this node and r, which begins with the first call.
func (c *core) pathTo(r *record) *path.Path {
	if r.path == nil {
		r.path = path.New(c.fresh)
	}
	return r.path
}

// heartbeat acts on a heartbeat of r.
func (c *core) heartbeat(now time.Time, r *record, b *wire.Beat) {
	if b.Epoch > claim.MaxEpoch {
		c.count.drop(dropEpoch)
		return
	}
	h := path.Heartbeat{
		Epoch: b.Epoch, Seq: b.Seq, Edge: b.Edge, Interval: duration(b.Interval), Every: duration(b.Every),
		EchoEdge: b.EchoEdge, EchoHold: duration(b.EchoHold),
	}
	if verdict := r.path.Check(now, h, wire.MinBeat); verdict != path.Plausible {
		c.count.drop([...]string{path.Replayed: dropReplay, path.Jumped: dropSeq, path.Misled: dropEdge}[verdict])
		return
	}
	wasDown := r.State == claim.Down
	news := c.heard(now, r, b.Epoch, b.Seq)
	if news {
		c.signOfLife(r, now)
	} else if wasDown {
		// Sent before the evidence that the verdict rests on, and held up since: not a sign of life.
		c.count.drop(dropReplay)
		return
	}
	c.count.receive("beat")

	receipt := c.pathTo(r).Receive(now, h, time.Duration(c.rotation.Turns())*c.cfg.Beat, c.cfg.StallAllowance)
	c.count.lost.Add(receipt.Lost)
	if receipt.Echoed.After(c.echoed) {
		c.echoed = receipt.Echoed
	}
	if receipt.RTT >= 0 {
		r.edge.rtt = receipt.RTT
	}
	if !r.path.Watched() {
		c.unwatch(now, r)
		if news && r.inquiry != nil { // the last heartbeat is one, and answers what was asked
			c.endInquiry(r)
		}
		c.show(now, r, ReasonHeard) // what is not heard here any more is not judged here either
		return
	}
	c.watching[r.Name] = r
	if r.touch().suspicion.deaf = b.Deaf; b.Deaf {
		c.suspect(now, r, ReasonDeaf)
	}
	if b.Mutual {
		if !now.Before(r.courtesyUntil) {
			c.courtesy[r.Name] = r
			c.stale = true
		}
		r.courtesyUntil = now.Add(3 * h.Interval) // extended with each heartbeat
	}
	c.review(now, r)
}

// unwatch expects no heartbeats of r any more.
func (c *core) unwatch(now time.Time, r *record) {
	r.suspicion.end(now)
	if c.watching[r.Name] == r {
		r.path.Close()
		delete(c.watching, r.Name)
	}
}

// beatsTo tells whether the member gets heartbeats of this node, or will from the next round on.
func (c *core) beatsTo(name string) bool {
	return c.rotation.Serves(name)
}

// dismiss tells a member that it gets no heartbeats any more.
func (c *core) dismiss(now time.Time, r *record) {
	if c.cfg.Heartbeats == Probes || c.left {
		return
	}
	c.seq++ // a number is given once
	c.sendBeat(now, r, 0)
}

func micros(d time.Duration) uint64 { return uint64(max(0, d.Microseconds())) }

func duration(micros uint64) time.Duration {
	return time.Duration(min(micros, uint64(maxInterval/time.Microsecond))) * time.Microsecond
}

// maxInterval is the longest interval that a heartbeat can promise: the longest Beat for the most observers.
const maxInterval = wire.MaxBeat * maxObservers
