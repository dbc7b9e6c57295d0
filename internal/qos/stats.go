package qos

import (
	"math"
	"slices"
)

// batches is the number of consecutive parts into which a series is cut to see
// how much its mean varies. Successive heartbeats are not independent, so the
// spread of single values says too little; means of long batches nearly are
// (the method of batch means; Law, "Simulation Modeling and Analysis", 9.5.3).
const batches = 30

// batch is the i-th of the batches of xs.
func batch[T any](xs []T, i int) []T {
	n := len(xs)
	return xs[i*n/batches : (i+1)*n/batches]
}

// student is the 97.5 % quantile of Student's t with batches − 1 degrees of
// freedom.
const student = 2.0452

// mean is the mean of a series with its 95 % interval by batch means. Below two
// values a batch it gives the normal interval of independent values.
func mean(xs []float64) Estimate {
	n := len(xs)
	if n == 0 {
		return Estimate{}
	}
	m, v := moments(xs)
	half := 1.96 * math.Sqrt(v/float64(n))
	if n >= 2*batches {
		parts := make([]float64, batches)
		for i := range parts {
			parts[i], _ = moments(batch(xs, i))
		}
		_, v = moments(parts)
		half = student * math.Sqrt(v/batches)
	}
	return Estimate{m, m - half, m + half}
}

// moments returns mean and variance, by Welford's recurrence.
func moments(xs []float64) (m, v float64) {
	for i, x := range xs {
		d := x - m
		m += d / float64(i+1)
		v += d * (x - m)
	}
	return m, v / max(1, float64(len(xs)-1))
}

// share is the share of true values with its 95 % interval: Wilson's ("Probable
// inference", JASA 22, 1927) for independent mistakes, or that by batch means
// where it is wider, because mistakes come in clusters: a burst of losses or a
// spell of stalls lies in one batch and counts once, however many it made.
func share(xs []bool) Estimate {
	n := float64(len(xs))
	if n == 0 {
		return Estimate{High: 1}
	}
	ones := make([]float64, len(xs))
	k := 0.0
	for i, x := range xs {
		if x {
			ones[i] = 1
			k++
		}
	}
	const z2 = 1.96 * 1.96
	p := k / n
	centre := (p + z2/(2*n)) / (1 + z2/n)
	half := math.Sqrt(z2*p*(1-p)/n+z2*z2/(4*n*n)) / (1 + z2/n)
	means := mean(ones)
	return Estimate{p, max(0, min(centre-half, means.Low)), min(1, max(centre+half, means.High))}
}

// PooledShare is the share of mistakes of several runs taken together: of one
// link under several seeds, say.
func PooledShare(results ...Result) Estimate {
	var all []bool
	for _, r := range results {
		all = append(all, r.mistaken...)
	}
	return share(all)
}

// quantile returns the q-quantile of xs, which it sorts, with its 95 % interval:
// that of order statistics for independent values (David and Nagaraja, "Order
// Statistics", 7.1), or that by the quantiles of batches where it is wider.
func quantile(xs []float64, q float64) Estimate {
	n := len(xs)
	if n == 0 {
		return Estimate{}
	}
	half := 0.0
	if float64(n)*(1-q) >= batches { // a value or more beyond it in each batch
		parts := make([]float64, batches)
		for i := range parts {
			part := slices.Sorted(slices.Values(batch(xs, i)))
			parts[i] = part[int(q*float64(len(part)))]
		}
		_, v := moments(parts)
		half = student * math.Sqrt(v/batches)
	}
	slices.Sort(xs)
	at := func(rank float64) float64 { return xs[int(min(float64(n-1), max(0, rank)))] }
	rank, spread := q*float64(n), 1.96*math.Sqrt(q*(1-q)*float64(n))
	value := at(rank)
	return Estimate{value, min(at(rank-spread), value-half), max(at(rank+spread), value+half)}
}
