package qos

import (
	"math"
	"slices"
	"time"

	"github.com/pulsering/pulsering/phiaccrual"
)

// The detectors of the field, each as published, to be run beside ours. All of
// them ignore a heartbeat that was overtaken by a newer one. Window is 1000
// heartbeats unless the source says otherwise.
const publishedWindow = 1000

// window is a sliding window of the latest values, in order of arrival and in
// order of size.
type window struct {
	values, sorted []float64
	next           int
	origin         float64 // first value; sums are taken from here, for precision
	sum, squares   float64
}

func newWindow(size int) *window { return &window{values: make([]float64, 0, size)} }

func (w *window) add(x float64) {
	if len(w.values) == 0 {
		w.origin = x
	}
	if len(w.values) < cap(w.values) {
		w.values = append(w.values, x)
	} else {
		old := w.values[w.next]
		w.values[w.next] = x
		w.next = (w.next + 1) % len(w.values)
		i, _ := slices.BinarySearch(w.sorted, old)
		w.sorted = slices.Delete(w.sorted, i, i+1)
		old -= w.origin
		w.sum -= old
		w.squares -= old * old
	}
	i, _ := slices.BinarySearch(w.sorted, x)
	w.sorted = slices.Insert(w.sorted, i, x)
	x -= w.origin
	w.sum += x
	w.squares += x * x
}

func (w *window) mean() float64 { return w.origin + w.sum/float64(len(w.values)) }

func (w *window) stdDev() float64 {
	n := float64(len(w.values))
	m := w.sum / n
	return math.Sqrt(max(0, w.squares/n-m*m))
}

// arrivals is what every detector keeps: the newest heartbeat.
type arrivals struct {
	newest Beat
	heard  bool
}

// accept takes the heartbeat if it is the newest and returns the time since
// the one before, in seconds; zero for the first.
func (a *arrivals) accept(b Beat) (elapsed float64, ok bool) {
	if a.heard && b.Seq <= a.newest.Seq {
		return 0, false
	}
	if a.heard {
		elapsed = (b.Arrived - a.newest.Arrived).Seconds()
	}
	a.newest, a.heard = b, true
	return elapsed, true
}

// after is the instant s seconds after the newest heartbeat arrived.
func (a *arrivals) after(s float64) time.Duration { return a.newest.Arrived + fromSeconds(s) }

// Fixed suspects after a constant time-out: its threshold, in seconds.
type Fixed struct{ arrivals }

// Heartbeat implements Detector.
func (f *Fixed) Heartbeat(b Beat) { f.accept(b) }

// Deadline implements Detector.
func (f *Fixed) Deadline(timeout float64) time.Duration { return f.after(timeout) }

// NFDS is Chen, Toueg and Aguilera's NFD-S (section 3.2), for synchronised
// clocks: heartbeat i is sent at i·η, and the process is trusted at t in
// [τ_i, τ_i+1), τ_i = i·η + δ, iff heartbeat i or a later one has arrived. Its
// threshold is δ in seconds.
type NFDS struct{ arrivals }

// Heartbeat implements Detector.
func (d *NFDS) Heartbeat(b Beat) { d.accept(b) }

// Deadline implements Detector.
func (d *NFDS) Deadline(delta float64) time.Duration {
	return time.Duration(d.newest.Seq+1)*d.newest.Interval + fromSeconds(delta)
}

// NFDE is Chen's NFD-E (section 6.3): heartbeat l+1 is expected at
//
//	EA = 1/n · Σ (A_i − η·i) + (l+1)·η
//
// over the n latest arrivals, and waited for until EA + α. The threshold is the
// margin α in seconds. Two windows give 2W-FD (Tomsic et al., IPDPS 2015): the
// later of two expectations, from 1 and from 1000 heartbeats.
type NFDE struct {
	arrivals
	offsets []*window // of A_i − η·i
	base    float64   // η·i of the newest, with intervals that change
}

// NewNFDE returns Chen's detector with the window that 2W-FD and others give it.
func NewNFDE() *NFDE { return &NFDE{offsets: []*window{newWindow(publishedWindow)}} }

// New2WFD returns the detector with two windows.
func New2WFD() *NFDE {
	return &NFDE{offsets: []*window{newWindow(1), newWindow(publishedWindow)}}
}

// Heartbeat implements Detector.
func (d *NFDE) Heartbeat(b Beat) {
	before := d.newest
	if _, ok := d.accept(b); !ok {
		return
	}
	d.base += float64(b.Seq-before.Seq) * before.Interval.Seconds()
	for _, w := range d.offsets {
		w.add(b.Arrived.Seconds() - d.base)
	}
}

// expected is the expected arrival of the next heartbeat, in seconds.
func (d *NFDE) expected() float64 {
	latest := math.Inf(-1)
	for _, w := range d.offsets {
		latest = max(latest, w.mean())
	}
	return latest + d.base + d.newest.Interval.Seconds()
}

// Deadline implements Detector.
func (d *NFDE) Deadline(alpha float64) time.Duration { return fromSeconds(d.expected() + alpha) }

// Bertier is the detector of Bertier, Marin and Sens (DSN 2002): Chen's expected
// arrival with a margin that follows Jacobson's estimate of the error,
//
//	error = A − EA − delay;  delay += γ·error;  var += γ·(|error| − var)
//	α = β·delay + φ·var
//
// with γ = 0.1 and β = 1. Its threshold is φ, 4 in the paper.
type Bertier struct {
	chen       *NFDE
	delay, dev float64
}

// NewBertier returns Bertier's detector.
func NewBertier() *Bertier { return &Bertier{chen: NewNFDE()} }

// Heartbeat implements Detector.
func (d *Bertier) Heartbeat(b Beat) {
	if d.chen.heard && b.Seq > d.chen.newest.Seq {
		const gamma = 0.1
		lost := float64(b.Seq-d.chen.newest.Seq-1) * d.chen.newest.Interval.Seconds()
		err := b.Arrived.Seconds() - d.chen.expected() - lost - d.delay
		d.delay += gamma * err
		d.dev += gamma * (math.Abs(err) - d.dev)
	}
	d.chen.Heartbeat(b)
}

// Deadline implements Detector.
func (d *Bertier) Deadline(phi float64) time.Duration {
	return fromSeconds(d.chen.expected() + d.delay + phi*d.dev)
}

// Intervals is the family that looks at arrival intervals only: the suspicion
// is a function of the time since the last heartbeat and of the latest 1000
// intervals. Thresholds are φ, decades of the probability that each believes.
type Intervals struct {
	arrivals
	recent  *window
	longest float64 // in intervals; longer samples are ignored; 0: none are
	timeout func(w *window, interval, phi float64) float64
}

// Heartbeat implements Detector.
func (d *Intervals) Heartbeat(b Beat) {
	interval := d.newest.Interval.Seconds()
	elapsed, ok := d.accept(b)
	if ok && elapsed > 0 && (d.longest == 0 || elapsed <= d.longest*interval) {
		d.recent.add(elapsed)
	}
}

// Deadline implements Detector.
func (d *Intervals) Deadline(phi float64) time.Duration {
	if len(d.recent.values) == 0 {
		return Never
	}
	return d.after(d.timeout(d.recent, d.newest.Interval.Seconds(), phi))
}

// NewED returns Xiong and Défago's ED (JAIST IS-RR-2007-007): intervals are
// exponential with the window's mean, so that φ = elapsed/mean/ln 10.
func NewED() *Intervals {
	return &Intervals{recent: newWindow(publishedWindow), timeout: func(w *window, _, phi float64) float64 {
		return phi * math.Ln10 * w.mean()
	}}
}

// NewCassandra returns the detector of Apache Cassandra (gms/FailureDetector):
// ED without the samples longer than two intervals.
func NewCassandra() *Intervals {
	d := NewED()
	d.longest = 2
	return d
}

// NewHayashibara returns φ accrual as published (SRDS 2004): normal intervals
// with the window's mean and variance.
func NewHayashibara() *Intervals {
	z := memoise(func(phi float64) float64 {
		return bisect(func(z float64) bool {
			const unit = 1e6
			return phiaccrual.NormalPhi(time.Duration(z*unit), 0, unit) >= phi
		})
	})
	return &Intervals{recent: newWindow(publishedWindow), timeout: func(w *window, _, phi float64) float64 {
		return w.mean() + z(phi)*w.stdDev()
	}}
}

// NewAkka returns Akka's PhiAccrualFailureDetector with its defaults for an
// interval of 1 s, in proportion to the interval: standard deviation at least a
// tenth, acceptable pause of three, and the logistic approximation of the normal
// tail, P = e/(1+e), e = exp(−z·(1.5976 + 0.070566·z²)).
func NewAkka() *Intervals {
	z := memoise(func(phi float64) float64 {
		return bisect(func(z float64) bool {
			y := z * (1.5976 + 0.070566*z*z)
			return (y+math.Log1p(math.Exp(-y)))/math.Ln10 >= phi
		})
	})
	return &Intervals{recent: newWindow(publishedWindow), timeout: func(w *window, interval, phi float64) float64 {
		return w.mean() + 3*interval + z(phi)*max(interval/10, w.stdDev())
	}}
}

// NewSatzger returns the histogram detector of Satzger et al. (SAC 2007): the
// suspicion is the share of samples that are at most 0.9 times the time elapsed.
// A threshold φ asks for a share of 1 − 10^−φ; from φ = 3 on this is the longest
// of the 1000.
func NewSatzger() *Intervals {
	return &Intervals{recent: newWindow(publishedWindow), timeout: func(w *window, _, phi float64) float64 {
		n := float64(len(w.sorted))
		return w.sorted[int(max(0, min(n-1, math.Ceil((1-math.Pow(10, -phi))*n)-1)))] / 0.9
	}}
}

// bisect finds where a condition on [−40, 40] becomes true.
func bisect(reached func(float64) bool) float64 {
	lo, hi := -40.0, 40.0
	for range 60 {
		if mid := (lo + hi) / 2; reached(mid) {
			hi = mid
		} else {
			lo = mid
		}
	}
	return hi
}

// memoise keeps the values of f.
func memoise(f func(float64) float64) func(float64) float64 {
	known := map[float64]float64{}
	return func(x float64) float64 {
		y, ok := known[x]
		if !ok {
			y = f(x)
			known[x] = y
		}
		return y
	}
}
