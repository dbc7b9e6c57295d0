package phiaccrual

import (
	"math"
	"time"
)

// The Calibrated model.
//
// Number the heartbeats that are due after the last one heard 1, 2, …, due at
// 1, 2, … intervals T. Nothing has been heard up to time t if and only if the
// first of them that was not lost is late, or all that are due were lost:
//
//	10^−φ(t) = Σ_i P(1 … i−1 lost, i not) · Q(t − i·T)  +  P(all due by t lost)
//
// Q(x) is the probability that a heartbeat which is not lost is later than x.
// It is measured as arrival − last arrival − n·T for the n-th heartbeat, which
// is also how it is used, so that a drifting clock, a new route and jitter at
// both ends are all in it. Only the first heartbeat that was not lost counts:
// a stall of the sender, which holds up many, is one misfortune, and nothing
// needs to be assumed of how the lateness of neighbours is related. (A product
// over the heartbeats due, Π(p + (1−p)·Q), would take a long stall for several
// independent ones.)
//
// Losses are Gilbert's ("Capacity of a burst-noise channel", 1960): a run of
// losses starts after a heartbeat that was heard with one probability, and goes
// on after one that was lost with another.
//
// # What is believed
//
// The three probabilities are counted in three memories. The long one is
// believed; the medium one corrects it where its own counts leave that no
// longer credible, and the short one corrects both. So a link that turns bad is
// believed within tens of heartbeats, one that turns good within some thousand,
// and rare events are remembered for as long as Window says. This is the idea of
// 2W-FD (Tomsic et al., IPDPS 2015), a short window and a long one, with "the
// more pessimistic wins" replaced by "the shorter overrules, as far as it can
// know".
//
// The next heartbeat is later than the k-th latest of n with probability
// k/(n+1), exactly, if they are exchangeable; hence the +1 in Q. Beyond what was
// seen nothing is known, and in place of the 1 stands a prior:
//
//	(reach/x)^1.5 · 10^(−1.5·(x − reach)/max(reach, T)),  1 up to reach
//
// a power law as heavy as the heaviest usual (index 1.5: mean, but no variance)
// over the first factor of two or three, and then one and a half decades for each
// further interval, without which no threshold could ever be reached. The reach
// is that of the second latest heartbeat: a single stall, or a time in which the
// peer was down and nobody said so, must not stretch every time-out by its own
// length.
type calibrated struct {
	long   memory[uint16]
	medium memory[uint16]
	short  memory[uint8]
	base   int16 // number of bucket 0 on the grid of powers of √2 ns
}

// Limits of the shorter memories, in heartbeats. The short one must know in 50
// heartbeats of a link turned bad what is later than 1 % of them; the medium
// one must see 1 % below "none of its at least 640, at 95 %" twice over (loss
// and lateness), and forget a bad time of 2,000 heartbeats within 5,000. Both
// were measured on the link that turns (qos.Turning).
const (
	mediumLimit = 1280
	shortLimit  = 128
)

// maxCalibratedWindow is what the counters of the long memory can hold, with
// its limit of 4/3 windows.
const maxCalibratedWindow = 49_000

// The prior on losses is that of a good network, one start in 200 and one
// continuation in 50, worth as much as 10 and 2 heartbeats. A loss probability
// is never believed to be above 0.9: then φ would hardly grow with silence.
const (
	priorStarts, priorHeard  = 0.05, 10
	priorContinue, priorLost = 0.04, 2
	mostLoss                 = 0.9
)

// tailDecades is the prior's fall, in decades an interval (or reach), and
// firstReach the lateness, in intervals, that counts as seen from the beginning.
const (
	tailDecades = 1.5
	firstReach  = 0.1
)

// baseFor puts the edge of bucket 1 between 1/22 and 1/16 of the interval, so
// that the highest bucket begins at 11 to 16 intervals.
func baseFor(interval time.Duration) int16 {
	return int16(max(0, halfOctave(float64(interval))-9))
}

func (c *calibrated) setInterval(interval time.Duration) {
	base := baseFor(interval)
	n := int(base - c.base)
	c.long.shift(n)
	c.medium.shift(n)
	c.short.shift(n)
	c.base = base
}

// observe learns from a heartbeat that was late by so many nanoseconds and came
// after lost losses.
func (c *calibrated) observe(late float64, lost int, window int32) {
	b := 0
	if late >= 1 {
		b = max(0, min(buckets-1, halfOctave(late)-int(c.base)))
	}
	limit := window + window/3
	c.long.observe(b, lost, uint16(limit))
	c.medium.observe(b, lost, uint16(min(limit, mediumLimit)))
	c.short.observe(b, lost, uint8(min(limit, shortLimit)))
}

// believe moves the probability p to where k events out of n chances leave it
// credible. The upper end is close to the 95 % bound of a Poisson count (3 for
// k = 0, 4.7, 6.4, …), the lower to the 84 % one (0 for k ≤ 1, 0.6, 1.3, …): a
// single event must not shake what the longer memory knows.
func believe(p, k, n float64) float64 {
	s := math.Sqrt(k)
	if low := k - s; p*n < low {
		return low / n
	}
	if high := k + 3 + 1.7*s; p*n > high {
		return high / n
	}
	return p
}

// survival is what is believed at one moment, ready to be evaluated.
type survival struct {
	*calibrated
	interval float64 // T, ns
	start    float64 // probability that the first heartbeat due is lost
	onward   float64 // and each after one that was lost
	reach    float64 // ns; at most one heartbeat was later
	stdDev   float64 // ns; lateness is at least that of a normal with this deviation
}

// survival returns what is believed of the silence that follows a heartbeat
// that was heard, or one that was lost.
func (c *calibrated) survival(interval, minStdDev time.Duration, afterLoss bool) survival {
	s := survival{calibrated: c, interval: float64(interval), stdDev: float64(minStdDev)}
	s.reach = max(firstReach*s.interval, s.stdDev)
	if b := c.long.second(); b > 0 {
		s.reach = max(s.reach, edge(int(c.base)+b+1))
	}
	k, n := c.long.continued()
	s.onward = (k + priorContinue) / (n + priorLost)
	k, n = c.medium.continued()
	s.onward = believe(s.onward, k, n)
	k, n = c.short.continued()
	s.onward = min(mostLoss, believe(s.onward, k, n))
	if afterLoss {
		s.start = s.onward
		return s
	}
	k, n = c.long.started()
	s.start = (k + priorStarts) / (n + priorHeard)
	k, n = c.medium.started()
	s.start = believe(s.start, k, n)
	k, n = c.short.started()
	s.start = min(mostLoss, believe(s.start, k, n))
	return s
}

// late is Q(x), x in nanoseconds. Within a bucket it is linear.
func (s *survival) late(x float64) float64 {
	if x <= 0 {
		return 1
	}
	prior := 1.0
	if x > s.reach {
		r := s.reach / x
		prior = r * math.Sqrt(r) * math.Exp(-tailDecades*math.Ln10*(x-s.reach)/max(s.reach, s.interval))
	}
	b, w := 0, 0.0
	if first := edge(int(s.base) + 1); x < first {
		w = 1 - x/first
	} else {
		k := halfOctave(x)
		if b = k - int(s.base); b < buckets {
			w = (math.Sqrt2 - x/edge(k)) / (math.Sqrt2 - 1)
		} else {
			b = buckets - 1 // above(b, 0) is nothing
		}
	}
	q := (s.long.above(b, w) + prior) / (float64(s.long.beats) + 1)
	q = believe(q, s.medium.above(b, w), float64(s.medium.beats))
	q = believe(q, s.short.above(b, w), float64(s.short.beats))
	if s.stdDev > 0 {
		q = max(q, math.Erfc(x/(s.stdDev*math.Sqrt2))/2)
	}
	return min(1, q)
}

// furthest is the silence, in intervals, up to which the sum is taken term by
// term. What comes after is four times beyond the highest bucket, where nothing
// is measured: φ goes on at the rate of the slower of its two priors.
const furthest = 64

// phi is φ after so many nanoseconds of silence.
func (s *survival) phi(silence float64) float64 {
	beyond := 0.0
	if far := furthest * s.interval; silence > far {
		beyond = (silence/s.interval - furthest) * min(tailDecades, -math.Log10(s.onward))
		silence = far
	}
	sum, allLost := 0.0, 1.0
	p := s.start
	for silence >= s.interval {
		silence -= s.interval
		sum += allLost * (1 - p) * s.late(silence)
		allLost *= p
		p = s.onward
	}
	return max(0, -math.Log10(sum+allLost)) + beyond
}
