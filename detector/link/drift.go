package link

import "time"

// drift is how much longer beats take one way than the fastest of late. The clocks of the two ends need not agree: what they differ
// by is part of all, and only the difference of two counts (as in LEDBAT, RFC 6817, section 2, which calls it the queueing delay).
type drift struct {
	least  [2]time.Duration // the fastest of the present span, and of the one before
	seen   [2]bool
	span   int64
	latest time.Duration
}

// driftSpan is how long the fastest counts, once to twice: clocks that run 50 ppm apart differ by 3 to 6 ms more after it.
const driftSpan = time.Minute

// see takes a beat that was sent at one time of its sender's clock and came at another of this end's.
func (d *drift) see(sent, at time.Duration) {
	if span := int64(at / driftSpan); span != d.span {
		d.least[1], d.seen[1] = d.least[0], d.seen[0] && span == d.span+1
		d.seen[0], d.span = false, span
	}
	took := at - sent
	if !d.seen[0] || took < d.least[0] {
		d.least[0], d.seen[0] = took, true
	}
	least := d.least[0]
	if d.seen[1] {
		least = min(least, d.least[1])
	}
	d.latest = took - least
}
