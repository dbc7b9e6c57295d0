package clustertest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// maxDelay bounds every delay, so that no tail overflows a time.Duration.
const maxDelay = time.Hour

// lan is the default delay: a quiet local network, about 0.4 ms there and back.
var lan = Uniform(150*time.Microsecond, 250*time.Microsecond)

// A Delay is a distribution of one-way delays, from [Constant], [Uniform],
// [Exponential], [Pareto] or [DelayFunc]. The zero value is uniform from 150 to
// 250 µs. No sample is below 0 or above one hour: what is outside is moved to
// the nearest of the two. A Delay with parameters out of range is refused by
// whatever it is given to.
type Delay struct {
	kind  delayKind
	a, b  time.Duration // by kind: value; least, most; least, mean extra; least, scale
	shape float64       // Pareto only
	fn    func(*rand.Rand) time.Duration
}

type delayKind uint8

const (
	delayLAN delayKind = iota
	delayConstant
	delayUniform
	delayExponential
	delayPareto
	delayFunc
)

// Constant is always d, from 0 to one hour.
func Constant(d time.Duration) Delay { return Delay{kind: delayConstant, a: d} }

// Uniform is equally likely to be anything from least to most.
func Uniform(least, most time.Duration) Delay {
	return Delay{kind: delayUniform, a: least, b: most}
}

// Exponential is least plus an exponentially distributed extra with the given
// mean: P(delay > least + x) = exp(−x/mean).
func Exponential(least, mean time.Duration) Delay {
	return Delay{kind: delayExponential, a: least, b: mean}
}

// Pareto is least plus an extra with a long tail (Pareto type II, also called
// Lomax): P(delay > least + x) = (1 + x/scale)^−shape. The mean extra is
// scale/(shape−1) for shape above 1 and without bound otherwise. The shape is
// above 0, at most 100.
func Pareto(least, scale time.Duration, shape float64) Delay {
	return Delay{kind: delayPareto, a: least, b: scale, shape: shape}
}

// DelayFunc is whatever f returns. f is called once for each packet or stream
// write, with a source of randomness of the sender's and a lock held: it must be
// quick and may not call the network. Calls for different senders overlap.
func DelayFunc(f func(*rand.Rand) time.Duration) Delay { return Delay{kind: delayFunc, fn: f} }

func (d Delay) validate() error {
	if d.a < 0 || d.a > maxDelay || d.b < 0 || d.b > maxDelay {
		bad := d.a
		if d.a >= 0 && d.a <= maxDelay {
			bad = d.b
		}
		return fmt.Errorf("clustertest: Link.Delay: parameter %v: must be from 0 to %v", bad, maxDelay)
	}
	switch {
	case d.kind == delayUniform && d.b < d.a:
		return fmt.Errorf("clustertest: Link.Delay: most = %v: must be at least least = %v", d.b, d.a)
	case d.kind == delayPareto && !(d.shape > 0 && d.shape <= 100):
		return fmt.Errorf("clustertest: Link.Delay: shape = %v: must be above 0, at most 100", d.shape)
	case d.kind == delayFunc && d.fn == nil:
		return fmt.Errorf("clustertest: Link.Delay: DelayFunc(nil): must have a function")
	}
	return nil
}

func (d Delay) sample(r *rand.Rand) time.Duration {
	var x float64 // the extra, in nanoseconds
	switch d.kind {
	case delayLAN:
		return lan.sample(r)
	case delayConstant:
		return d.a
	case delayUniform:
		return d.a + time.Duration(r.Int64N(int64(d.b-d.a)+1))
	case delayExponential:
		x = r.ExpFloat64() * float64(d.b)
	case delayPareto:
		// Inverting the tail: 1 − Float64 is in (0, 1]. It overflows for small
		// shapes, and infinity times a scale of 0 is not 0; what any scale
		// makes too long is enough.
		x = min(math.Expm1(-math.Log(1-r.Float64())/d.shape), float64(maxDelay)) * float64(d.b)
	case delayFunc:
		return min(max(d.fn(r), 0), maxDelay)
	}
	return d.a + time.Duration(min(x, float64(maxDelay-d.a)))
}
