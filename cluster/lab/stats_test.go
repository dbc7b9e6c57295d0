package lab

import (
	"math"
	"slices"
)

// quantile returns the q-th quantile, 0 to 1, of sorted values: the smallest one that at least q of them do not exceed (the
// inverse of the empirical distribution, so that each figure is one that was measured).
func quantile(sorted []float64, q float64) float64 {
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

// summary is a distribution in five figures; all but Count are nil where there is no value.
type summary struct {
	Count  int      `json:"count"`
	Min    *float64 `json:"min"`
	Median *float64 `json:"median"`
	P99    *float64 `json:"p99"`
	Max    *float64 `json:"max"`
}

func summarize(values []float64) summary {
	if len(values) == 0 {
		return summary{}
	}
	sorted := slices.Sorted(slices.Values(values))
	at := func(q float64) *float64 { return rounded(quantile(sorted, q)) }
	return summary{len(values), at(0), at(0.5), at(0.99), at(1)}
}

// rounded keeps a microsecond of a second, or as much of any other figure.
func rounded(x float64) *float64 {
	x = math.Round(x*1e6) / 1e6
	return &x
}

// poissonUpper is the 95 % upper confidence bound of the mean of a Poisson count of which k were seen: the mean at which k or
// fewer come up one time in twenty. For k = 0 it is −ln 0.05 = 2.996, the "rule of three".
func poissonUpper(k int) float64 {
	atMost := func(mean float64) float64 { // P(count ≤ k)
		sum := 0.0
		for i := 0; i <= k; i++ {
			lg, _ := math.Lgamma(float64(i) + 1)
			sum += math.Exp(float64(i)*math.Log(mean) - mean - lg)
		}
		return sum
	}
	low, high := float64(k), float64(k)+10+10*math.Sqrt(float64(k))
	for range 60 {
		if mid := (low + high) / 2; atMost(mid) > 0.05 {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}
