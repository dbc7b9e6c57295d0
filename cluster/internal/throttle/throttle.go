// Package throttle bounds what a node sends of its own accord.
package throttle

import (
	"math"
	"time"
)

// Throttle bounds the packets of all inquiries of a node, at once and by the second. On a
// line that is too slow for them questions delay the heartbeats and the answers, which
// raises further questions: so the bound sinks while answers come late, and rises again
// with time. The dead answer nothing, and do not move it.
//
// The zero value is at its highest, with nothing used.
type Throttle struct {
	used float64 // of the burst; it fills up again with time
	at   time.Time

	reduced float64 // by so many halves the rate was lower at cutAt; see rateRecovery
	cutAt   time.Time

	// The answers that are counted, since when, and the packets since then.
	begun        time.Time
	late, timely int
	taken        int
}

const (
	// questionRate is the bound by the second, and leastRate what the bound never sinks
	// below: a line of 16 kbit/s carries as much beside the heartbeats.
	questionRate = 200.0
	leastRate    = 4.0
	// questionBurst is how many seconds of the rate may be used at once.
	questionBurst = 4.0
	// When most answers of up to lateWindow are late, and fewestLate at least, it is the
	// line, and not a member that stands still. What came of one reduction shows after
	// lateSpacing.
	lateWindow  = 2 * time.Second
	fewestLate  = 3
	lateSpacing = 250 * time.Millisecond
	// rateRecovery is how soon the rate doubles again.
	rateRecovery = time.Minute
)

// rate is how many packets a second fit in, from leastRate to questionRate.
func (t *Throttle) rate(now time.Time) float64 {
	halves := t.reduced - float64(max(0, now.Sub(t.cutAt)))/float64(rateRecovery)
	return max(leastRate, questionRate*math.Exp2(-max(0, halves)))
}

// left is for how many packets there is room.
func (t *Throttle) left(now time.Time) float64 {
	t.used = max(0, t.used-t.rate(now)*max(0, now.Sub(t.at)).Seconds())
	t.at = now
	return t.burst(now) - t.used
}

// Scarce tells whether there is hardly room for questions.
func (t *Throttle) Scarce(now time.Time) bool { return t.left(now) < questionBurst*leastRate }

// burst is how many packets there is room for at once.
func (t *Throttle) burst(now time.Time) float64 { return questionBurst * t.rate(now) }

// Take notes that a packet is sent.
func (t *Throttle) Take(now time.Time) {
	t.left(now)
	t.used++
	t.taken++
}

// Wait is how long it takes until there is room for so many packets, or for as many as
// there ever is at once.
func (t *Throttle) Wait(now time.Time, packets int) time.Duration {
	missing := min(float64(packets), t.burst(now)) - t.left(now)
	return time.Duration(max(0, missing) / t.rate(now) * float64(time.Second))
}

// Spacing is the time between two turns of so many packets, if all room is used for them.
func (t *Throttle) Spacing(now time.Time, packets int) time.Duration {
	return time.Duration(float64(packets) / t.rate(now) * float64(time.Second))
}

// Answered notes that a member that was asked sent a packet, and whether that was later
// than answers should come.
func (t *Throttle) Answered(now time.Time, late bool) {
	took := now.Sub(t.begun)
	if took >= lateWindow {
		t.count(now)
		took = 0
	}
	if !late {
		t.timely++
		return
	}
	t.late++
	if t.late >= fewestLate && t.late > t.timely && now.Sub(t.cutAt) >= lateSpacing {
		rate := t.rate(now)
		if took > lateSpacing {
			rate = min(rate, float64(t.taken)/took.Seconds())
		}
		t.reduced, t.cutAt = math.Log2(questionRate/max(leastRate, rate/2)), now
		t.used = t.burst(now) // what is on its way fills the line already
		t.count(now)
	}
}

// count begins to count answers anew.
func (t *Throttle) count(now time.Time) { t.begun, t.late, t.timely, t.taken = now, 0, 0, 0 }
