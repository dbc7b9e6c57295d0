package qos

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// resamples is how often Ratio draws the batches anew.
const resamples = 400

// Ratio is the mean time-out as a multiple of the best fixed one, and its 95 % interval: the quantiles of what it would have been
// had the trace's batches come in other numbers, each with its mistakes, its time-outs and its gaps (the block bootstrap; Efron and
// Tibshirani, "An Introduction to the Bootstrap", 8.6 and 13.3). It holds the truth 90 to 95 times in a hundred. A trace of less than
// two heartbeats a batch says nothing: the interval is 0 to +Inf.
func (r Result) Ratio() Estimate {
	value := r.Timeout.Value / r.BestFixed
	if len(r.gaps) < 2*batches {
		return Estimate{value, 0, math.Inf(1)}
	}
	type gap struct {
		length float64
		batch  int
	}
	var longest []gap
	var mistakes, beats [batches]int
	for i := range batches {
		for _, length := range batch(r.gaps, i) {
			longest = append(longest, gap{length, i})
		}
		for _, late := range batch(r.mistaken, i) {
			beats[i]++
			if late {
				mistakes[i]++
			}
		}
	}
	slices.SortFunc(longest, func(a, b gap) int { return cmp.Compare(b.length, a.length) })

	random := rand.New(rand.NewPCG(1, 2)) // the same figures each time
	ratios := make([]float64, resamples)
	for k := range ratios {
		var times [batches]int // that each batch is drawn
		var allowed, heard int
		var timeouts float64
		for range batches {
			i := random.IntN(batches)
			times[i]++
			allowed, heard, timeouts = allowed+mistakes[i], heard+beats[i], timeouts+r.timeouts[i]
		}
		best := longest[len(longest)-1].length
		for _, g := range longest {
			if allowed -= times[g.batch]; allowed < 0 {
				best = g.length
				break
			}
		}
		ratios[k] = timeouts / float64(heard) / best
	}
	slices.Sort(ratios)
	tail := resamples / 40
	return Estimate{value, ratios[tail-1], ratios[resamples-tail]}
}
