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
	growth   float64 // exp(decay·T); 0: not computed yet
	stdDev   float64 // ns; lateness is at least that of a normal with this deviation

	first    float64 // lower edge of bucket 1, ns
	perFirst float64
	power    float64 // 1.5/reach
	perLong  float64 // 1/(n+1) with n heartbeats in the long memory
	highest  float64 // ns; beyond it Q is the prior alone

	lastX, lastFall float64 // see reached
}

// survival returns what is believed of the silence that follows a heartbeat
// that was heard, or one that was lost.
func (c *calibrated) survival(s *survival, interval, stdDev float64, afterLoss bool) {
	s.learnt, s.base, s.interval, s.stdDev = c, int(c.base), interval, stdDev
	s.reach = max(firstReach*interval, stdDev)
	highest := c.highest()
	if b := c.long.second(highest); b > 0 {
		s.reach = max(s.reach, edge(s.base+b+1))
	}
	s.decay, s.growth = tailDecades*math.Ln10/interval, tailGrowth
	if s.reach > interval {
		s.decay, s.growth = tailDecades*math.Ln10/s.reach, 0
	}
	s.first = edge(s.base + 1)
	s.perFirst = edge(-s.base - 1)
	s.power = 1.5 / s.reach
	s.perLong = 1 / (float64(c.long.late[0]) + 1)
	s.highest = max(s.reach, edge(s.base+highest+1))
	if stdDev > 0 {
		s.highest = math.Inf(1)
	}
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
	if pn := p * n; pn < k || pn > k+3 {
		root := math.Sqrt(k)
		if low := k - root; pn < low {
			return low / n, dk * (1 - 0.5/root) / n
		}
		if high := k + 3 + 1.7*root; pn > high {
			return high / n, dk * (1 + 0.85/max(root, 1)) / n
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
		prior, dprior = s.prior(x, fall)
	}
	// The bucket, the share of its width above x, and how fast that falls.
	b, w, dw := 0, 1-x*s.perFirst, s.perFirst
	if x >= s.first {
		if b = halfOctave(x) - s.base; b < buckets {
			dw = edge(-b-s.base) * (1 / (math.Sqrt2 - 1))
			w = math.Sqrt2/(math.Sqrt2-1) - x*dw
		} else {
			b, w, dw = buckets-1, 0, 0
		}
	}
	l := s.learnt
	k, in := l.long.above(b, w)
	q, density = (k+prior)*s.perLong, (in*dw+dprior)*s.perLong
	k, in = l.medium.above(b, w)
	q, density = believe(q, density, k, in*dw, float64(l.medium.late[0]))
	k, in = l.short.above(b, w)
	q, density = believe(q, density, k, in*dw, float64(l.short.late[0]))
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

// prior is what stands for one heartbeat later than x, beyond the reach, and its
// negative derivative.
func (s *survival) prior(x, fall float64) (k, density float64) {
	root := math.Sqrt(s.reach / x) // in place: else each root waits for the one before
	r := root * root
	k = r * root * fall
	return k, k * (s.decay + s.power*r)
}

// furthest is the silence, in intervals, up to which the sum is taken term by
// term. What comes after is four times beyond the highest bucket, where nothing
// is measured: φ goes on at a constant rate.
const furthest = 64

// beyond is that rate, per ns: the slower of what the prior falls by and what
// further losses are worth.
func (s *survival) beyond() float64 {
	return min(s.decay/math.Ln10, -math.Log10(s.onward)/s.interval)
}

// tailGrowth is 10^tailDecades.
const tailGrowth = 31.622776601683793319988935444327185337195551393252168

// phi is φ after so many nanoseconds of silence, and how fast it grows, per ns.
func (s *survival) phi(silence float64) (phi, slope float64) {
	if silence < s.interval {
		return 0, 0
	}
	if far := furthest * s.interval; silence > far {
		phi, _ = s.phi(far)
		slope = s.beyond()
		phi += (silence - far) * slope
		if s.stdDev > 0 {
			// The first heartbeat due alone does not allow more.
			most, dmost := normalPhi(silence-s.interval, s.stdDev)
			if most -= math.Log10(1 - s.start); most < phi {
				return most, dmost
			}
		}
		return phi, slope
	}
	fall := 1.0 // within the reach not asked for
	if last := silence - s.interval; last > s.reach {
		fall = s.fall(last)
	}
	sum, density := s.at(silence, fall)
	return max(0, -math.Log(sum)/math.Ln10), density / (sum * math.Ln10)
}

// at is 10^−φ after so many nanoseconds of silence, between one interval and
// furthest, and its negative derivative. fall is that for the oldest heartbeat
// due.
func (s *survival) at(silence, fall float64) (sum, density float64) {
	x := silence - s.interval
	growth := 1.0
	if x >= s.interval {
		growth = s.fallBack()
	}
	allLost, p := 1.0, s.start
	// Heartbeats later than any that were heard, in a loop without calls: on dead
	// peers these are most.
	for x > s.highest {
		q, dq := s.prior(x, fall)
		w := allLost * (1 - p) * s.perLong
		sum += w * q
		density += w * dq
		allLost *= p
		p = s.onward
		x -= s.interval
		fall *= growth
	}
	for x >= 0 {
		q, dq := s.late(x, fall)
		w := allLost * (1 - p)
		sum += w * q
		density += w * dq
		allLost *= p
		p = s.onward
		x -= s.interval
		fall *= growth
	}
	return sum + allLost, density
}

// fall is exp(−decay·(x − reach)): what the prior falls by, besides its power law.
func (s *survival) fall(x float64) float64 { return math.Exp(-s.decay * (x - s.reach)) }

// fallBack is by how much fall is more an interval earlier.
func (s *survival) fallBack() float64 {
	if s.growth == 0 {
		s.growth = math.Exp(s.decay * s.interval)
	}
	return s.growth
}

// reached reports whether φ is x after so many nanoseconds of silence, and about
// how much is missing. Where rounding cannot matter it goes by 10^−φ.
func (s *survival) reached(x, target, silence float64) (ok bool, missing float64) {
	if silence >= s.interval && silence <= furthest*s.interval {
		// Newton's later steps are so small that a short series gives fall.
		last := silence - s.interval
		z := s.decay * (last - s.lastX)
		if math.Abs(z) > 1e-3 {
			s.lastX, s.lastFall, z = last, s.fall(last), 0
		}
		sum, density := s.at(silence, s.lastFall*(1-z*(1-z*(0.5-z/6))))
		if d := sum - target; math.Abs(d) > 1e-12*target {
			// ln(sum/target), the first term of its series for a ratio near 1.
			return d < 0, 2 * d / (sum + target) * sum / density
		}
	}
	phi, slope := s.phi(silence)
	return phi >= x, (x - phi) / slope
}

// near is about where φ reaches x, and a silence at which it has not yet.
func (s *survival) near(x, target float64) (silence, floor float64) {
	fall, shrink := s.fall(s.interval), 1/s.fallBack()
	// 10^−φ is at least target at i intervals, and G(t) is what it is at t in a
	// run of losses:
	//
	//	10^−φ(t) = (1 − start) · Q(t − T) + start · G(t − T)
	//	    G(t) = (1 − onward) · Q(t − T) + onward · G(t − T)
	before, g, q := 1.0, 1.0, 1.0
	for i := 1.0; i < furthest; i++ {
		from := i * s.interval
		g = (1-s.onward)*q + s.onward*g
		if from > s.highest {
			q, _ = s.prior(from, fall)
			q *= s.perLong
		} else {
			q, _ = s.late(from, fall)
		}
		after := (1-s.start)*q + s.start*g
		if after > target {
			before = after
			fall *= shrink
			continue
		}
		// In this interval it falls most while the i-th heartbeat is hardly late,
		// in bucket 0, which is linear.
		edge, density := s.at(from+s.first, s.fall(from+s.first-s.interval))
		if edge <= target {
			return from + s.first*(before-target)/(before-edge), from
		}
		// In the rest its logarithm is taken for a parabola, of which both ends and
		// one slope are known.
		decay, width := density/edge, s.interval-s.first
		fallen := math.Log(edge / target)
		bend := (math.Log(edge/after) - decay*width) / (width * width)
		from += s.first
		return from + 2*fallen/(decay+math.Sqrt(max(0, decay*decay+4*bend*fallen))), from
	}
	phi, _ := s.phi(furthest * s.interval)
	return furthest*s.interval + (x-phi)/s.beyond(), 0
}
