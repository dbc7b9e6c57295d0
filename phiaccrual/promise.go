package phiaccrual

import (
	"math"
	"time"
)

// A threshold may be chosen by what it promises. In the terms of Chen, Toueg and
// Aguilera ("On the Quality of Service of Failure Detectors", IEEE TC 51(5),
// 2002) the recurrence is E(T_MR), the time from one mistake about a live peer
// to the next, and the detection time is T_D. Each heartbeat heard begins a
// silence, which is mistaken for a crash with probability 10^−φ, and there is at
// most one an interval; so
//
//	E(T_MR) ≥ interval · 10^φ
//
// if φ means what it says (see Model, and Estimator.Evidence for how far).

// PhiFor returns the threshold φ that keeps mistakes about a live peer that
// sends a heartbeat every interval at least recurrence apart, on average. It is
// 0 if recurrence is below the interval, or either is not above 0.
func PhiFor(recurrence, interval time.Duration) float64 {
	if recurrence <= 0 || interval <= 0 {
		return 0
	}
	return max(0, math.Log10(float64(recurrence)/float64(interval)))
}

// Recurrence is the inverse of PhiFor: how far apart mistakes are at least, on
// average, at a threshold φ. It is at most 292 years, the longest Duration, and 0
// if phi is NaN or interval not above 0.
func Recurrence(phi float64, interval time.Duration) time.Duration {
	if math.IsNaN(phi) || interval <= 0 {
		return 0
	}
	if r := float64(interval) * math.Pow(10, phi); r < math.MaxInt64 {
		return time.Duration(r)
	}
	return math.MaxInt64
}

// Timeout returns the silence after a heartbeat at which φ reaches phi, by what
// is known of the link now. It is the longest detection time, that of a peer
// that crashes right after a heartbeat (which was on its way for longer than the
// time-out includes); one that crashes at a random moment is found sooner by
// half an interval on average. It reports false if phi is NaN, or not reached
// within 146 years.
func (e *Estimator) Timeout(phi float64) (time.Duration, bool) {
	e.ready()
	return e.reaches(phi, false)
}

// PhiAfter is the inverse of Timeout: φ after so much silence since a heartbeat.
func (e *Estimator) PhiAfter(silence time.Duration) float64 {
	e.ready()
	return e.phi(silence, false)
}
