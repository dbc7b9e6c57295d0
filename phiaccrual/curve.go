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

// phi is φ at a silence counted from its base.
func (c *curve) phi(silence time.Duration) float64 {
	if silence < 0 {
		return 0
	}
	elapsed := float64(silence) - c.pause
	switch c.model {
	case Normal:
		return normalPhi(elapsed-c.mean, c.stdDev)
	case Exponential:
		return max(0, elapsed) / c.mean / math.Ln10
	}
	return c.survival.phi(elapsed)
}

// maxElapsed bounds the silences considered: 146 years.
const maxElapsed = time.Duration(1) << 62

// reaches returns the shortest silence, to the nanosecond, with phi at least x,
// if there is one. Whatever the curve does, phi is at least x there and at most
// x one nanosecond earlier. The first step of the search is an interval.
func (c *curve) reaches(x float64, interval time.Duration) (silence time.Duration, ok bool) {
	// phi is below x at lo and not below it at hi. Before the base it is 0.
	lo, hi := time.Duration(-1), time.Duration(c.pause)+interval
	low, high := -x, c.phi(hi)-x
	for step := interval; !(high >= 0); step *= 2 {
		if step > maxElapsed-hi {
			return 0, false
		}
		lo, low = hi, high
		hi += step
		high = c.phi(hi) - x
	}
	// Regula falsi in Illinois' variant (an end that stays twice in a row counts
	// half), and a bisection whenever three such steps have not shrunk the
	// bracket to an eighth.
	kept, target := 0, (hi-lo)/8
	for i := 1; hi-lo > 1; i++ {
		mid := lo + time.Duration(float64(hi-lo)*(low/(low-high)))
		if i%4 == 0 {
			if hi-lo > target {
				mid = lo + (hi-lo)/2
			}
			target = (hi - lo) / 8
		}
		mid = max(lo+1, min(hi-1, mid))
		if f := c.phi(mid) - x; f >= 0 {
			hi, high = mid, f
			if kept == -1 {
				low /= 2
			}
			kept = -1
		} else {
			lo, low = mid, f
			if kept == 1 {
				high /= 2
			}
			kept = 1
		}
	}
	return hi, true
}
