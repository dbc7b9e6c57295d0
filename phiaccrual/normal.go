package phiaccrual

import (
	"math"
	"time"
)

// NormalPhi is φ of the plain normal model (Hayashibara, Défago, Yared and
// Katayama, "The φ Accrual Failure Detector", SRDS 2004, section 4.2):
//
//	φ = −log10 P_later(elapsed),  P_later(t) = ½·erfc((t − mean) / (stdDev·√2))
//
// that is, how unlikely it is, in decades, that a heartbeat which comes after
// mean ± stdDev comes later than elapsed. The value is exact to about 1e-15
// relative from φ = 1e-300 to φ = 1e18: never +Inf, never NaN, never negative.
// A stdDev of zero or less counts as one nanosecond.
func NormalPhi(elapsed, mean, stdDev time.Duration) float64 {
	phi, _ := normalPhi(float64(elapsed)-float64(mean), float64(stdDev))
	return phi
}

// asymptoticFrom is where log erfc leaves math.Erfc for its tail series.
// erfc(20) = 5e-176 is far from the subnormals, whose logarithm is wrong on
// amd64 (golang/go#56600), and at x = 20 eight terms of the series are exact
// to the last bit.
const asymptoticFrom = 20

// normalPhi is NormalPhi for a lateness in nanoseconds, and its slope, per ns.
func normalPhi(late, stdDev float64) (phi, slope float64) {
	x := late / max(stdDev, 1) / math.Sqrt2
	scale := 1 / (max(stdDev, 1) * math.Sqrt2 * math.Ln10)
	switch {
	case x < 0:
		// 1 − q, with q tiny: log1p keeps the digits that 1 − q loses. The sum
		// turns −0 into 0.
		q := math.Erfc(-x) / 2
		return 0 - math.Log1p(-q)/math.Ln10, math.Exp(-x*x) / ((1 - q) * math.SqrtPi) * scale
	case x < asymptoticFrom:
		q := math.Erfc(x) / 2
		return -math.Log(q) / math.Ln10, math.Exp(-x*x) / (q * math.SqrtPi) * scale
	}
	// Abramowitz and Stegun 7.1.23:
	// erfc(x) ~ exp(−x²)/(x√π) · (1 − 1/(2x²) + 1·3/(2x²)² − 1·3·5/(2x²)³ + …)
	u := 1 / (2 * x * x)
	series := 1.0
	for k := 15.0; k > 0; k -= 2 {
		series = 1 - k*u*series
	}
	return (x*x + math.Log(2*x*math.SqrtPi) - math.Log(series)) / math.Ln10, 2 * x / series * scale
}

// normalQuantile is about how late φ of the normal model is x, in standard
// deviations: Abramowitz and Stegun 26.2.23, which is off by at most 4.5e-4 and
// for tails of up to a half.
func normalQuantile(x float64) float64 {
	tail, sign := x*math.Ln10, 1.0
	if tail < math.Ln2 {
		tail, sign = -math.Log(-math.Expm1(-tail)), -1
	}
	t := math.Sqrt(2 * tail)
	return sign * (t - (2.515517+t*(0.802853+t*0.010328))/(1+t*(1.432788+t*(0.189269+t*0.001308))))
}
