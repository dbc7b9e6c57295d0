package phiaccrual

import "math"

// survival is what Calibrated believes at one moment, ready to be evaluated.
type survival struct {
	learnt   *calibrated
	base     int     // of the buckets on their grid
	interval float64 // T, ns
	start    float64 // probability that the first heartbeat due is lost
	onward   float64 // and each after one that was lost
	reach    float64 // ns; at most one heartbeat was later
	decay    float64 // of the prior beyond reach, 1/ns
	growth   float64 // exp(decay·T)
	stdDev   float64 // ns; lateness is at least that of a normal with this deviation

	first         float64 // lower edge of bucket 1, ns
	perFirst      float64
	power         float64 // 1.5/reach
	perLong       float64 // 1/(n+1) with n heartbeats in the long memory
	medium, short float64 // heartbeats in memory
}

// survival returns what is believed of the silence that follows a heartbeat
// that was heard, or one that was lost.
func (c *calibrated) survival(s *survival, interval, stdDev float64, afterLoss bool) {
	s.learnt, s.base, s.interval, s.stdDev = c, int(c.base), interval, stdDev
	s.reach = max(firstReach*interval, stdDev)
	if b := c.long.second(); b > 0 {
		s.reach = max(s.reach, edge(s.base+b+1))
	}
	s.decay, s.growth = tailDecades*math.Ln10/interval, tailGrowth
	if s.reach > interval {
		s.decay = tailDecades * math.Ln10 / s.reach
		s.growth = math.Exp(s.decay * interval)
	}
	s.first = edge(s.base + 1)
	s.perFirst = edge(-s.base - 1)
	s.power = 1.5 / s.reach
	s.perLong = 1 / (float64(c.long.late[0]) + 1)
	s.medium, s.short = float64(c.medium.late[0]), float64(c.short.late[0])
	k, n := c.long.continued()
	p := (k + priorContinue) / (n + priorLost)
	k, n = c.medium.continued()
	p, _ = believe(p, 0, k, 0, n)
	k, n = c.short.continued()
	p, _ = believe(p, 0, k, 0, n)
	s.onward = min(mostLoss, p)
	if afterLoss {
		s.start = s.onward
		return
	}
	k, n = c.long.started()
	p = (k + priorStarts) / (n + priorHeard)
	k, n = c.medium.started()
	p, _ = believe(p, 0, k, 0, n)
	k, n = c.short.started()
	p, _ = believe(p, 0, k, 0, n)
	s.start = min(mostLoss, p)
}

// believe moves the probability p to where k events out of n chances leave it
// credible. The upper end is close to the 95 % bound of a Poisson count (3 for
// k = 0, 4.7, 6.4, …), the lower to the 84 % one (0 for k ≤ 1, 0.6, 1.3, …): a
// single event must not shake what the longer memory knows. dp and dk are
// derivatives, of p and of k.
func believe(p, dp, k, dk, n float64) (float64, float64) {
	switch pn := p * n; {
	case pn < k:
		s := math.Sqrt(k)
		if low := k - s; pn < low {
			return low / n, dk * (1 - 0.5/s) / n
		}
	case pn > k+3:
		s := math.Sqrt(k)
		if high := k + 3 + 1.7*s; pn > high {
			return high / n, dk * (1 + 0.85/max(s, 1)) / n
		}
	}
	return p, dp
}

// late is Q(x), x in nanoseconds, and its density −dQ/dx. Within a bucket it is
// linear. fall is exp(−decay·(x − reach)).
func (s *survival) late(x, fall float64) (q, density float64) {
	if x <= 0 {
		return 1, 0
	}
	prior, dprior := 1.0, 0.0
	if x > s.reach {
		r := s.reach / x
		prior = r * math.Sqrt(r) * fall
		dprior = prior * (s.decay + s.power*r)
	}
	b, w, dw := 0, 1-x*s.perFirst, s.perFirst
	if x >= s.first {
		k := halfOctave(x)
		if b = k - s.base; b >= buckets {
			return s.atLeast(x, prior*s.perLong, dprior*s.perLong)
		}
		dw = edge(-k) * (1 / (math.Sqrt2 - 1))
		w = math.Sqrt2/(math.Sqrt2-1) - x*dw
	}
	l := s.learnt
	k, in := l.long.above(b, w)
	q, density = (k+prior)*s.perLong, (in*dw+dprior)*s.perLong
	k, in = l.medium.above(b, w)
	q, density = believe(q, density, k, in*dw, s.medium)
	k, in = l.short.above(b, w)
	q, density = believe(q, density, k, in*dw, s.short)
	return s.atLeast(x, q, density)
}

// atLeast is q, but not less than the normal tail that MinStdDev asks for.
func (s *survival) atLeast(x, q, density float64) (float64, float64) {
	if s.stdDev > 0 {
		z := x / (s.stdDev * math.Sqrt2)
		if normal := math.Erfc(z) / 2; normal > q {
			q, density = normal, math.Exp(-z*z)/(s.stdDev*math.Sqrt2*math.SqrtPi)
		}
	}
	if q >= 1 {
		return 1, 0
	}
	return q, density
}

// furthest is the silence, in intervals, up to which the sum is taken term by
// term. What comes after is four times beyond the highest bucket, where nothing
// is measured: φ goes on at the rate of the slower of its two priors.
const furthest = 64

// tailGrowth is 10^tailDecades.
const tailGrowth = 31.622776601683793319988935444327185337195551393252168

// phi is φ after so many nanoseconds of silence, and how fast it grows, per ns.
func (s *survival) phi(silence float64) (phi, slope float64) {
	if silence < s.interval {
		return 0, 0
	}
	if far := furthest * s.interval; silence > far {
		phi, _ = s.phi(far)
		rate := min(tailDecades, -math.Log10(s.onward)) / s.interval
		return phi + (silence-far)*rate, rate
	}
	sum, density := s.at(silence)
	return max(0, -math.Log(sum)/math.Ln10), density / (sum * math.Ln10)
}

// at is 10^−φ after so many nanoseconds of silence, between one interval and
// furthest, and its negative derivative.
func (s *survival) at(silence float64) (sum, density float64) {
	x := silence - s.interval
	fall := 1.0
	if x > s.reach {
		fall = math.Exp(-s.decay * (x - s.reach))
	}
	allLost := 1.0
	for p := s.start; ; p = s.onward {
		q, dq := s.late(x, fall)
		w := allLost * (1 - p)
		sum += w * q
		density += w * dq
		allLost *= p
		if x < s.interval {
			break
		}
		x -= s.interval
		fall *= s.growth
	}
	return sum + allLost, density
}

// near is about where φ reaches x, and a silence at which it has not yet.
func (s *survival) near(x float64) (silence, floor float64) {
	target := math.Exp(-x * math.Ln10)
	fall := math.Exp(-s.decay * (s.interval - s.reach))
	// 10^−φ is at least target at i intervals, and G(t) is what it is at t in a
	// run of losses:
	//
	//	10^−φ(t) = (1 − start) · Q(t − T) + start · G(t − T)
	//	    G(t) = (1 − onward) · Q(t − T) + onward · G(t − T)
	before, g, q := 1.0, 1.0, 1.0
	for i := 1.0; i < furthest; i++ {
		from := i * s.interval
		g = (1-s.onward)*q + s.onward*g
		q, _ = s.late(from, fall)
		after := (1-s.start)*q + s.start*g
		if after > target {
			before = after
			fall /= s.growth
			continue
		}
		// It falls most where the i-th heartbeat is not very late, in bucket 0,
		// which is linear.
		edge, density := s.at(from + s.first)
		if edge <= target {
			return from + s.first*(before-target)/(before-edge), from
		}
		from += s.first
		rate := max(density/edge, math.Log(edge/after)/(s.interval-s.first))
		return from + math.Log(edge/target)/rate, from
	}
	phi, _ := s.phi(furthest * s.interval)
	rate := min(tailDecades, -math.Log10(s.onward)) / s.interval
	return furthest*s.interval + (x-phi)/rate, 0
}
