package qos

import (
	"fmt"
	"math"
	"time"
)

// Requirement is what an application asks of a failure detector, in the terms
// of Chen, Toueg and Aguilera (section 4).
type Requirement struct {
	DetectionTime     time.Duration // T_D^U: a crash is noticed within this
	MistakeRecurrence time.Duration // T_MR^L: mistakes are on average this far apart, at least
	MistakeDuration   time.Duration // T_M^U: and last on average this long, at most
}

// Channel is what is known of a link.
type Channel struct {
	Loss float64 // p_L, probability that a heartbeat is lost, 0 ≤ p_L < 1
	// Later is Pr(D > x), the probability that a heartbeat which is not lost is
	// delayed by more than x seconds. If nil, only mean and variance are known.
	Later func(x float64) float64
	// Mean and Variance of the delay, s and s².
	Mean, Variance float64
}

// Configure chooses the parameters of NFD-S for a requirement: the interval η
// at which heartbeats are sent, and δ, the time-out counted from the sending of
// each, by the procedure of section 4 of the paper if the distribution of delay
// is known, and of section 5.1 (by Cantelli's inequality) if not. The interval
// is the longest that meets the requirement. It is an error if none does, or a
// field is negative or out of range.
func Configure(want Requirement, link Channel) (interval, delta time.Duration, err error) {
	for _, f := range []struct {
		name  string
		value time.Duration
	}{{"DetectionTime", want.DetectionTime}, {"MistakeRecurrence", want.MistakeRecurrence}, {"MistakeDuration", want.MistakeDuration}} {
		if f.value <= 0 {
			return 0, 0, fmt.Errorf("qos: %s %v is not above 0", f.name, f.value)
		}
	}
	if !(link.Loss >= 0 && link.Loss < 1) {
		return 0, 0, fmt.Errorf("qos: Loss %v is not within 0 and 1", link.Loss)
	}
	if !(link.Mean >= 0 && link.Variance >= 0) {
		return 0, 0, fmt.Errorf("qos: Mean %v or Variance %v of the delay is negative", link.Mean, link.Variance)
	}
	detect := want.DetectionTime.Seconds()
	pL := link.Loss
	// longest is η_max; factor(x) is how much rarer the j-th of the heartbeats that
	// may still come makes a mistake, x = T_D^U − jη being the time it has left.
	var longest, first float64
	var factor func(x float64) float64
	if link.Later != nil {
		// γ = q_0' = (1 − p_L)·Pr(D < T_D^U)
		first = (1 - pL) * (1 - link.Later(detect))
		longest = first * want.MistakeDuration.Seconds()
		factor = func(x float64) float64 { return 1 / (pL + (1-pL)*link.Later(x)) }
	} else {
		x := detect - link.Mean
		if x <= 0 {
			return 0, 0, fmt.Errorf("qos: DetectionTime %v is not above the mean delay %v s", want.DetectionTime, link.Mean)
		}
		first = 1
		longest = min(want.MistakeDuration.Seconds()*(1-pL)*x*x/(link.Variance+x*x), x)
		factor = func(x float64) float64 {
			x -= link.Mean
			return (link.Variance + x*x) / (link.Variance + pL*x*x)
		}
		detect = x // only heartbeats with more than the mean delay left count
	}
	longest = min(longest, detect)
	recurrence := func(eta float64) float64 {
		product := eta / first
		for j := 1.0; j < math.Ceil(detect/eta-1e-12); j++ {
			product *= factor(want.DetectionTime.Seconds() - j*eta)
			if math.IsInf(product, 1) {
				break
			}
		}
		return product
	}
	// The recurrence jumps where one heartbeat more fits in: look downwards from
	// the longest interval in steps of a thousandth, then narrow down.
	need := want.MistakeRecurrence.Seconds()
	finest := detect / 10_000
	low, high := longest, longest
	for ; low < finest || recurrence(low) < need; low *= 0.999 {
		if low < finest {
			return 0, 0, fmt.Errorf("qos: no interval down to %v meets %+v over a link with loss %v", fromSeconds(finest), want, pL)
		}
		high = low
	}
	for range 60 {
		if mid := (low + high) / 2; recurrence(mid) >= need {
			low = mid
		} else {
			high = mid
		}
	}
	interval = fromSeconds(low)
	return interval, want.DetectionTime - interval, nil
}

// Analyse returns the exact quality of service of NFD-S with interval η and
// time-out δ over a link whose distribution of delay is known (Theorem 5 and
// Proposition 3 of the paper): E(T_MR) and E(T_M) in seconds, and P_A.
//
//	p_j(x) = p_L + (1−p_L)·Pr(D > δ + x − jη)
//	u(x) = Π_{j=0..k} p_j(x), k = ⌈δ/η⌉;  q_0 = (1−p_L)·Pr(D < δ + η)
//	E(T_MR) = η/(q_0·u(0));  E(T_M) = ∫_0^η u(x) dx / (q_0·u(0))
func Analyse(interval, delta time.Duration, link Channel) (recurrence, duration, accuracy float64) {
	eta, d := interval.Seconds(), delta.Seconds()
	k := int(math.Ceil(d/eta - 1e-12))
	u := func(x float64) float64 {
		product := 1.0
		for j := 0; j <= k; j++ {
			later := 1.0
			if left := d + x - float64(j)*eta; left > 0 {
				later = link.Later(left)
			}
			product *= link.Loss + (1-link.Loss)*later
		}
		return product
	}
	mistake := (1 - link.Loss) * (1 - link.Later(d+eta)) * u(0)
	const steps = 100_000 // midpoint rule
	sum := 0.0
	for i := range steps {
		sum += u((float64(i) + 0.5) * eta / steps)
	}
	recurrence = eta / mistake
	duration = sum * eta / steps / mistake
	return recurrence, duration, 1 - duration/recurrence
}
