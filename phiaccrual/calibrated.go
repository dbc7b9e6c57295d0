package phiaccrual

import (
	"math"
	"time"

	"github.com/pulsering/pulsering/internal/pace"
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
	limit  uint16 // of the long memory, in heartbeats
	base   int16  // number of bucket 0 on the grid of powers of √2 ns
	short  memory[uint8]
	medium memory[uint16]
	long   memory[uint16]
	coin   coin
	gap    gap
	pace   pace.Pace
}

// A gap is the latest in the numbers, while what was learnt from it can still be
// put right: a heartbeat in it that comes after all was not lost but overtaken,
// and as late as the silence was long. A sender that stalls and then sends what
// has piled up, over a path that reorders, would else seem to lose heartbeats and
// to stall hardly at all.
type gap struct {
	ahead  uint8 // the highest number is so far ahead of the one before the gap; 0: there is none
	first  uint8 // and so far the first heartbeat that was not lost, as it was counted,
	bucket uint8 // in this bucket of lateness
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
	c.gap = gap{} // its bucket is another now
}

// observe learns from a heartbeat that was late by so many nanoseconds and came
// after lost losses.
func (c *calibrated) observe(late time.Duration, lost uint64) {
	b := c.bucket(float64(late))
	if c.short.full(uint8(min(c.limit, shortLimit))) {
		c.short.fade(0)
	}
	if c.medium.full(min(c.limit, mediumLimit)) {
		c.medium.fade(0)
	}
	if c.long.full(c.limit) {
		c.long.fade(c.coin.toss())
	}
	c.short.observe(b)
	c.medium.observe(b)
	c.long.observe(b)
	if lost > 0 {
		run := uint16(min(lost, longestRun))
		c.short.lose(uint8(run))
		c.medium.lose(run)
		c.long.lose(run)
		c.gap = gap{}
		if lost <= longestRun {
			c.gap = gap{uint8(run) + 1, uint8(run) + 1, uint8(b)}
		}
	}
}

// bucket is the number of the bucket that holds a lateness in nanoseconds.
func (c *calibrated) bucket(late float64) int {
	if late < 1 {
		return 0
	}
	return max(0, min(buckets-1, halfOctave(late)-int(c.base)))
}

// recede says that the highest number is n higher, and reports whether there is
// still a gap.
func (c *calibrated) recede(n uint64) bool {
	n += uint64(c.gap.ahead)
	if c.gap.ahead == 0 || n > math.MaxUint8 {
		c.gap = gap{}
		return false
	}
	c.gap.ahead = uint8(n)
	return true
}

// overtaken learns from a heartbeat that was due so many intervals before the one
// with the highest number: if it is in the gap and the first of those that were
// not lost, it was its lateness that ended the silence.
func (c *calibrated) overtaken(behind uint64, interval time.Duration) {
	if behind >= uint64(c.gap.ahead) {
		return
	}
	nth := c.gap.ahead - uint8(behind)
	if nth >= c.gap.first {
		return
	}
	less := c.gap.first - nth
	from := int(c.gap.bucket)
	to := c.bucket(edge(int(c.base)+from+1) + float64(less)*float64(interval))
	c.short.amend(from, to, less, nth == 1)
	c.medium.amend(from, to, uint16(less), nth == 1)
	c.long.amend(from, to, uint16(less), nth == 1)
	c.gap.first, c.gap.bucket = nth, uint8(to)
}

// highest is the bucket of the latest heartbeat that is in any memory.
func (c *calibrated) highest() int {
	b := 0
	for step := 16; step > 0; step /= 2 {
		if i := b + step; i < buckets && c.long.late[i]|c.medium.late[i]|uint16(c.short.late[i]) != 0 {
			b = i
		}
	}
	return b
}
