package phiaccrual

import "math"

// The Calibrated model, in a first form that is safe under loss.
//
// Number the heartbeats that are due after the last one heard 1, 2, …, due at
// 1, 2, … intervals. Nothing was heard up to time t (in intervals) if and only
// if the first of them that was not lost is late, or all that are due were
// lost:
//
//	10^−φ(t) = Σ_i P(1 … i−1 lost) · Q(t − i)  +  P(all due by t lost)
//
// with Q(x) the probability that a heartbeat is later than x, and the losses of
// a two-state Gilbert model. Because only the first heartbeat that was not
// lost counts, a stall of the sender that holds up many of them counts once.
//
// Q is for now a fixed shape around the typical lateness s of this link,
//
//	−log10 Q(x) = 3·log10(1 + x/3s) + 1.5·x
//
// a power law that gives way, within an interval or so, to one and a half
// decades for each further interval. Its shape is not learnt yet.
const (
	tailIndex  = 3
	tailDecade = 1.5
)

// calibrated is φ at time t after the base of silence, with typical lateness s,
// both in intervals.
//
// −log10 Q is concave and the cost of losses is linear in i from i = 2 on, so
// the sum is ruled by its ends, and only they are added up: i = 1, i = 2, the
// last one due, and the loss of all. With the factors 1 − p of "not lost" φ is
// continuous where another heartbeat comes due.
func (e *Estimator) calibrated(t, s float64) float64 {
	due := math.Floor(t)
	if !(due >= 1) {
		return 0
	}
	start, onward := e.loss.start(), e.loss.onward()
	if e.credit > 0 {
		start = onward // the heartbeat due at the base was lost: the run goes on
	}
	late := func(x float64) float64 { return tailIndex*math.Log10(1+x/(tailIndex*s)) + tailDecade*x }
	lostStart, lostOnward := -math.Log10(start), -math.Log10(onward)
	heardFirst, heardOnward := -math.Log10(1-start), -math.Log10(1-onward)

	phi := lostStart + (due-1)*lostOnward
	phi = addProbabilities(phi, heardFirst+late(t-1))
	if due >= 2 {
		phi = addProbabilities(phi, lostStart+heardOnward+late(t-2))
	}
	if due >= 3 {
		phi = addProbabilities(phi, lostStart+(due-2)*lostOnward+heardOnward+late(t-due))
	}
	return max(0, phi)
}

// addProbabilities returns −log10(10^−a + 10^−b).
func addProbabilities(a, b float64) float64 {
	if a > b {
		a, b = b, a
	}
	return a - math.Log1p(math.Pow(10, a-b))/math.Ln10
}

// gilbert counts losses for the two-state model of Gilbert ("Capacity of a
// burst-noise channel", 1960): a loss run starts after a heartbeat that was
// heard with one probability, and goes on after one that was lost with another.
// Counts fade.
type gilbert struct {
	heard, starts float32 // heartbeats after one that was heard; those lost
	lost, goOn    float32 // heartbeats after one that was lost; those lost too
}

// The prior, in heartbeats, is that of a good network: one start in 200 and one
// continuation in 50, believed as strongly as 10 and 2 heartbeats.
const (
	priorHeard, priorStarts  = 10, 0.05
	priorLost, priorContinue = 2, 0.04
)

// longestRun bounds what one run of losses may teach: beyond it the link was
// down, and it is one misfortune, however long.
const longestRun = 16

// observe counts the heartbeat that is the n-th since the last one heard: n−1
// were lost.
func (g *gilbert) observe(n, window float64) {
	keep := float32(1 - 1/window)
	g.heard, g.starts = g.heard*keep+1, g.starts*keep
	g.lost, g.goOn = g.lost*keep, g.goOn*keep
	if n > 1 {
		run := float32(min(n-1, longestRun))
		g.starts++
		g.lost += run
		g.goOn += run - 1
	}
}

// start is the probability that the heartbeat after one that was heard is
// lost. The prior keeps it and onward between 0 and 1, both excluded.
func (g *gilbert) start() float64 {
	return float64(g.starts+priorStarts) / float64(g.heard+priorHeard)
}

// onward is the probability that the heartbeat after one that was lost is lost.
func (g *gilbert) onward() float64 {
	return float64(g.goOn+priorContinue) / float64(g.lost+priorLost)
}
