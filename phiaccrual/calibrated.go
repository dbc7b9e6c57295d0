package phiaccrual

import "time"

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
	coin   coin
	short  memory[uint8]
	medium memory[uint16]
	long   memory[uint16]
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
func (c *calibrated) observe(late time.Duration, lost uint64) {
	b := 0
	if late > 0 {
		b = max(0, min(buckets-1, halfOctave(float64(late))-int(c.base)))
	}
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
	}
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
