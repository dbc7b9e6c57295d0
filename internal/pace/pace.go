// Package pace holds two clocks of a sender's heartbeats against each other: the numbers that
// it gives them, and the time that passes between them here. Neither is believed blindly.
//
// A listener's clock stands still while its machine sleeps (CLOCK_MONOTONIC on Linux, a
// snapshot of a virtual machine). The next heartbeat then comes one interval after the last one
// by that clock, with a number thousands higher, and nothing was lost.
package pace

import "time"

// Pace is how far the last heartbeat was behind its sender's schedule, in nanoseconds, or below
// 0 if its number was not explained. The zero value is on time.
type Pace float32

const (
	jumped      Pace = -1
	meaningless Pace = -2
)

// Outage is a silence, in intervals, after which a sender's schedule begins anew.
const Outage = 16

// OnTime reports whether a heartbeat is: up to a quarter of an interval late. If it follows one
// that was, under the next number, Heard returns Explained and changes nothing, and need not be
// called.
func OnTime(elapsed, interval time.Duration) bool { return elapsed <= interval+interval/4 }

// Verdict is what the numbers are worth.
type Verdict uint8

const (
	// Explained by the time: the numbers say what was lost.
	Explained Verdict = iota
	// Jumped: they did, once. The clock here stood still, or the sender's number did not count
	// heartbeats. What was lost between, and how long the silence was, nobody knows.
	Jumped
	// Meaningless: they run ahead of the time again and again, and do not count heartbeats.
	// There is the time alone.
	Meaningless
)

// Heard takes the n-th heartbeat since the last one heard, elapsed ago. The sender can have
// sent n in that time, and in what it was behind; three quarters of an interval more are
// granted, as heartbeats may come early. The next in turn is explained by any time.
//
// A sender that stalls is behind, sends at once what has piled up, and its numbers then run
// ahead of the time by right. What it does not catch up with becomes its schedule, by an eighth
// an interval. So does the drift of the two clocks.
func (p *Pace) Heard(elapsed, interval time.Duration, n uint64) Verdict {
	was := max(0, float64(*p))
	is := float64(elapsed) + was - float64(n)*float64(interval)
	switch {
	case n > 1 && is < -0.75*float64(interval):
		if *p < 0 {
			*p = meaningless
			return Meaningless
		}
		*p = jumped
		return Jumped
	case is > float64(interval/4) && elapsed <= Outage*interval:
		is -= min(was, is) / 8 * max(0, min(1, float64(elapsed)/float64(interval)))
		*p = Pace(min(is, Outage*float64(interval)))
	default:
		*p = 0
	}
	return Explained
}

// Retract reports whether the last number is to be taken back, since it jumped and the next one
// is below it. A wrong number, of a bit that fell over on the way, would else make each that
// follows old, for ever. It does so once a jump.
func (p *Pace) Retract() bool {
	if *p != jumped {
		return false
	}
	*p = meaningless
	return true
}
