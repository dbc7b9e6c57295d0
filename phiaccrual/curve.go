package phiaccrual

import (
	"math"
	"time"
)

// curve is φ as a function of silence at one moment, in all three models.
type curve struct {
	model    Model
	pause    float64 // ns
	mean     float64 // of the interval, ns: Normal, Exponential
	stdDev   float64 // ns: Normal
	survival         // Calibrated
}

// phi is φ at a silence counted from its base, and how fast it grows, per ns.
func (c *curve) phi(silence time.Duration) (phi, slope float64) {
	if silence < 0 {
		return 0, 0
	}
	elapsed := float64(silence) - c.pause
	switch c.model {
	case Normal:
		return normalPhi(elapsed-c.mean, c.stdDev)
	case Exponential:
		slope = 1 / (c.mean * math.Ln10)
		return max(0, elapsed*slope), slope
	}
	return c.survival.phi(elapsed)
}

// reached reports whether φ is x at a silence, and about how much is missing, in
// ns: less than nothing if it is more than x. target is 10^−x.
func (c *curve) reached(x, target float64, silence time.Duration) (ok bool, missing float64) {
	if c.model == Calibrated {
		return c.survival.reached(x, target, float64(silence)-c.pause)
	}
	phi, slope := c.phi(silence)
	return phi >= x, (x - phi) / slope
}

// near is about where φ reaches x, and a silence at which it has not yet, unless
// rounding deceives.
func (c *curve) near(x, target float64) (silence, floor float64) {
	switch c.model {
	case Normal:
		silence = c.mean + c.stdDev*normalQuantile(x)
	case Exponential:
		silence = x * c.mean * math.Ln10
	default:
		silence, floor = c.survival.near(x, target)
	}
	return c.pause + silence, c.pause + floor
}

// maxElapsed bounds the silences considered: 146 years.
const maxElapsed = time.Duration(1) << 62

// reaches returns the shortest silence, to the nanosecond, with phi at least
// x > 0, if there is one. Whatever the curve does, phi is at least x there and
// at most x one nanosecond earlier.
func (c *curve) reaches(x float64) (silence time.Duration, ok bool) {
	const never = maxElapsed + 1
	target := math.Exp(-x * math.Ln10)
	t, floor := maxElapsed, time.Duration(-1)
	if near, below := c.near(x, target); near < float64(maxElapsed) {
		t, floor = max(0, time.Duration(math.Ceil(near))), time.Duration(below)
	}
	// Newton's method, with phi below x at lo and not below it at hi.
	lo, hi := time.Duration(-1), never
	for n, moved := 0, maxElapsed; ; n++ {
		ok, missing := c.reached(x, target, t)
		if ok {
			hi = t
		} else {
			lo = t
		}
		if hi-lo <= 1 {
			return hi, hi != never
		}
		step := time.Duration(max(-1e18, min(1e18, math.Ceil(missing))))
		next := lo + (hi-lo)/2
		switch newton := t + step; {
		case hi == never:
			// By an eighth where the curve is flat, and in leaps should even that
			// not get anywhere.
			next = min(t+max(min(step, t/8), 1<<min(60, 8*max(0, n-8))), maxElapsed)
		case n >= 64:
			// Rounding makes Newton's steps creep.
		case ok && missing > -1:
			next = t - 1
		case lo < newton && newton <= hi && max(step, -step) <= max(moved/2, 16):
			// A step that is not short of half the last one leads nowhere.
			next = min(newton, hi-1)
		}
		if lo < 0 && floor < hi {
			next = max(next, floor)
		}
		moved = max(next-t, t-next)
		t = next
	}
}
