package nat

import (
	"slices"
	"time"
)

// rungs are the sleeps that are tried first. Limits that are set by hand stand between two of them.
var rungs = []time.Duration{
	15 * time.Second, 30 * time.Second, 45 * time.Second, 60 * time.Second, 90 * time.Second,
	2 * time.Minute, 3 * time.Minute, 4 * time.Minute, 5 * time.Minute, 8 * time.Minute, 10 * time.Minute,
	15 * time.Minute, 20 * time.Minute, 30 * time.Minute,
}

// ladder returns the rungs below longest, and longest.
func ladder(longest time.Duration) []time.Duration {
	n, _ := slices.BinarySearch(rungs, longest)
	return append(slices.Clone(rungs[:n]), longest)
}

// between returns at most n sleeps at equal distances between two, so many that the distance is no
// smaller than precision.
func between(low, high, precision time.Duration, n int) []time.Duration {
	grain := time.Millisecond
	if high-low > 10*time.Second {
		grain = 100 * time.Millisecond
	}
	if precision > 0 {
		n = min(n, int((high-low-1)/precision))
	}
	var list []time.Duration
	for i := range n {
		s := (low + (high-low)*time.Duration(i+1)/time.Duration(n+1)).Round(grain)
		if s > low && s < high && s >= MinSleep && !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}
