package phiaccrual

import "math"

// A memory counts how late heartbeats were and how many were lost, and fades:
// when it is full all counts are halved, so that it holds between half a limit
// and a limit of heartbeats, older ones with less weight.
//
// Lateness falls into buckets of half an octave on the grid of powers of √2
// nanoseconds. Bucket 0 holds all that is less late than the edge of bucket 1,
// or early, and the highest all that is later. Which part of the grid the
// buckets cover is the owner's business. What is kept are the sums from above: a
// heartbeat, nearly always in one of the lowest buckets, adds to few of them, and
// a question, how many were later, reads two.
type memory[C uint8 | uint16] struct {
	lost   C          // heartbeats lost
	late   [buckets]C // heartbeats in this bucket or above; late[0]: all
	starts C          // of these, how many came after a run of losses
}

const buckets = 18

// longestRun bounds what one run of losses may teach: beyond it the link was
// down, and that is one misfortune, however long.
const longestRun = 16

// full reports whether the memory has to fade before it counts another heartbeat.
func (m *memory[C]) full(limit C) bool {
	return m.late[0] >= limit || m.lost > ^C(0)-longestRun
}

// observe counts a heartbeat of bucket b.
func (m *memory[C]) observe(b int) {
	for i := range m.late[:b+1] {
		m.late[i]++
	}
}

// lose counts the run of losses before the heartbeat that was observed last.
func (m *memory[C]) lose(run C) {
	m.starts++
	m.lost += run
}

// amend moves a heartbeat from one bucket to a higher one and takes back losses
// before it, with the beginning of their run if none remains. A memory that has
// faded since may not hold them any more.
func (m *memory[C]) amend(from, to int, losses C, none bool) {
	for b := from + 1; b <= to; b++ {
		m.late[b] = min(m.late[b]+1, m.late[b-1])
	}
	m.lost -= min(m.lost, losses)
	if none {
		m.starts -= min(m.starts, 1)
	}
	m.starts = min(m.starts, m.lost)
}

// fade halves all counts. All are rounded alike, by up, 0 or 1, so that none
// becomes more than one of which it is a part. Where every event counts, up has to
// be a fair coin: a count is then halved on average, and a single rare event is
// neither kept for ever nor always lost. (Always rounding the long memory down makes
// φ = 5 more optimistic by 0.2 decades on Pareto stalls, where it rests on the one or
// two latest of 40,000.) A memory that is there to notice change rounds down.
func (m *memory[C]) fade(up C) {
	for b, c := range m.late {
		m.late[b] = c/2 + c&up
	}
	m.starts = m.starts/2 + m.starts&up
	m.lost = m.lost/2 + m.lost&up
}

// A coin is a generator of random bits: the top one of Lehmer's, of full period
// (Hull and Dobell, "Random Number Generators", SIAM Review 4, 1962).
type coin uint8

// toss returns 0 or 1.
func (c *coin) toss() uint16 {
	*c = *c*77 + 3
	return uint16(*c >> 7)
}

// shift moves the buckets up the grid by n, or down if n is negative. Moving
// down, nothing is known of where in bucket 0 its heartbeats lay: they are
// taken to be as late as it allows, within the lowest quarter of the buckets.
func (m *memory[C]) shift(n int) {
	old := m.late
	for b := 1; b < buckets; b++ {
		switch {
		case b <= min(buckets/4, -n):
			m.late[b] = old[0]
		case b+n < buckets:
			m.late[b] = old[max(1, b+n)]
		default:
			m.late[b] = 0
		}
	}
}

// above estimates how many heartbeats were later than a point in bucket b, with
// the share w of the bucket's width above it, and says how many lie in the bucket.
// In bucket number buckets, beyond the highest, is none.
func (m *memory[C]) above(b int, w float64) (k, in float64) {
	var above C
	if b < buckets-1 {
		above = m.late[b+1]
	}
	in = float64(m.late[b] - above)
	return float64(above) + w*in, in
}

// started and continued return how often a run of losses started and went on,
// out of how many chances.
func (m *memory[C]) started() (k, n float64) { return float64(m.starts), float64(m.late[0]) }

func (m *memory[C]) continued() (k, n float64) {
	n = float64(m.lost)
	return max(0, n-float64(m.starts)), n // halving may round starts up, lost down
}

// second is the bucket of the second latest heartbeat, of which none is above
// bucket b; 0 if there is none above.
func (m *memory[C]) second(b int) int {
	for b > 0 && m.late[b] < 2 {
		b--
	}
	return b
}

// halfOctave is the number of the grid's bucket that holds x ≥ 1: the largest k
// with 2^(k/2) ≤ x.
func halfOctave(x float64) int {
	const fraction = 1<<52 - 1
	bits := math.Float64bits(x)
	k := 2 * (int(bits>>52) - 1023)
	if bits&fraction >= sqrt2&fraction {
		k++
	}
	return k
}

// sqrt2 is math.Float64bits(math.Sqrt2).
const sqrt2 = 0x3FF6A09E667F3BCD

// edge is the lower edge of the grid's bucket k: 2^(k/2). Of −k it is the reciprocal.
func edge(k int) float64 {
	e := math.Float64frombits(uint64(1023+k>>1) << 52)
	if k&1 == 1 {
		e *= math.Sqrt2
	}
	return e
}
