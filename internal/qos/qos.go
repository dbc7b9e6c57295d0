// Package qos measures failure detectors by replaying traces of heartbeats.
//
// The measures are those of Chen, Toueg and Aguilera, "On the Quality of Service
// of Failure Detectors", IEEE Transactions on Computers 51(5), 2002, section 2:
// how soon a crash is noticed (T_D), and how often and for how long a live
// process is suspected (T_MR, T_M, λ_M, P_A). Beside them stands the measure by
// which a φ detector can be held to its word: the share of heartbeats that
// arrive after the threshold was crossed, which for φ should be 10^−φ.
//
// A replay is exact and repeatable: a detector says at which instant it will
// begin to suspect if nothing more arrives, so nothing is polled or timed.
package qos

import (
	"math"
	"slices"
	"time"
)

// Beat is one heartbeat of a trace. All instants are on the listener's clock,
// counted from the beginning of the trace.
type Beat struct {
	Seq      uint64
	Sent     time.Duration
	Arrived  time.Duration // Lost if it never did
	Interval time.Duration // promised time from this heartbeat's Sent to the next one's
}

// Lost is the arrival of a heartbeat that never arrived.
const Lost = time.Duration(-1)

// Trace is what one sender sent, in the order of Seq, which begins at 0 and
// grows by one.
type Trace struct {
	Name  string
	Beats []Beat
}

// Never is the Deadline of a detector that will not suspect.
const Never = time.Duration(math.MaxInt64)

// Detector is a failure detector under test. It is told of each heartbeat as it
// arrives, overtaken ones included, and turns silence into suspicion.
type Detector interface {
	// Heartbeat reports the arrival of heartbeat b at b.Arrived.
	Heartbeat(b Beat)
	// Deadline is the instant from which the process is suspected at this
	// threshold if nothing more arrives. What the threshold means is the
	// detector's own affair: φ, a margin, a time-out.
	Deadline(threshold float64) time.Duration
}

// Estimate is a figure and its 95 % confidence interval, by batch means, Wilson's
// or order statistics. Where a figure rests on few mistakes of very different
// lengths, the interval holds the truth rather 88 times in a hundred.
type Estimate struct{ Value, Low, High float64 }

// Result is the quality of service of a detector at one threshold. Times are in
// seconds. A mistake begins when a deadline passes and ends when a heartbeat
// newer than all before arrives.
type Result struct {
	Threshold float64
	Beats     int      // heartbeats that arrived and were the newest so far
	Mistakes  int      // of these, how many came after the deadline
	Share     Estimate // Mistakes / Beats
	mistaken  []bool   // which they were
	Timeout   Estimate // mean time from an arrival to the deadline

	timeouts [batches]float64 // sum of the time-outs in each batch
	gaps     []float64        // from one to the next, in their order; all results of a run share it

	// BestFixed is the smallest constant time-out that makes at most as many
	// mistakes on the same trace: what hindsight would have chosen.
	BestFixed float64

	DetectionTime    Estimate // mean T_D, crash right after a heartbeat was sent
	DetectionTime999 Estimate // its 99.9 % quantile

	MistakeRate       Estimate // λ_M, mistakes per second
	MistakeRecurrence Estimate // E(T_MR), seconds from one mistake to the next; +Inf without a mistake
	MistakeDuration   Estimate // E(T_M); zero without a mistake
	QueryAccuracy     Estimate // P_A, share of the time in which the live process is trusted; 1 to 1 without a mistake
}

// Run replays trace through d and returns a result for each threshold. The
// first warmUp heartbeats train the detector and are not counted. Of a trace that
// is no longer nothing is known: all but Threshold is zero, and Share 0 to 1.
func Run(trace *Trace, d Detector, warmUp int, thresholds ...float64) []Result {
	runs := make([]run, len(thresholds))
	var gaps []float64
	var newest *Beat
	begin, end := Never, Never
	heard := 0
	for _, b := range trace.arrivals() {
		if newest != nil && b.Seq < newest.Seq {
			d.Heartbeat(*b)
			continue
		}
		if newest != nil && heard > warmUp {
			begin = min(begin, newest.Arrived)
			end = b.Arrived
			gaps = append(gaps, (b.Arrived - newest.Arrived).Seconds())
			sent := trace.Beats[newest.Seq:b.Seq]
			for i := range runs {
				runs[i].gap(newest.Arrived, b.Arrived, sent)
			}
		}
		d.Heartbeat(*b)
		newest = b
		heard++
		for i, threshold := range thresholds {
			runs[i].deadline = d.Deadline(threshold)
		}
	}
	sorted := slices.Sorted(slices.Values(gaps))
	results := make([]Result, len(thresholds))
	for i := range runs {
		results[i] = runs[i].result(thresholds[i], gaps, sorted, (end - begin).Seconds())
	}
	return results
}

// arrivals returns the heartbeats that arrived, in the order in which they did.
func (t *Trace) arrivals() []*Beat {
	order := make([]*Beat, 0, len(t.Beats))
	for i := range t.Beats {
		if t.Beats[i].Arrived != Lost {
			order = append(order, &t.Beats[i])
		}
	}
	slices.SortStableFunc(order, func(a, b *Beat) int {
		return int(min(1, max(-1, a.Arrived-b.Arrived)))
	})
	return order
}

// run gathers what happens at one threshold.
type run struct {
	deadline  time.Duration // in force since the newest heartbeat
	mistaken  []bool        // for each gap
	timeouts  []float64
	durations []float64 // of mistakes
	wrongly   []float64 // how long the process was suspected in each gap
	detection []float64
}

// gap accounts for the silence between two heartbeats, the latter of which
// arrived at next; sent are those sent from the first on and before the second.
func (r *run) gap(last, next time.Duration, sent []Beat) {
	r.timeouts = append(r.timeouts, seconds(r.deadline-last))
	late := next > r.deadline
	r.mistaken = append(r.mistaken, late)
	wrongly := 0.0
	if late {
		wrongly = seconds(next - max(last, r.deadline))
		r.durations = append(r.durations, wrongly)
	}
	r.wrongly = append(r.wrongly, wrongly)
	for i := range sent {
		r.detection = append(r.detection, seconds(max(0, r.deadline-sent[i].Sent)))
	}
}

func seconds(d time.Duration) float64 { return d.Seconds() }

func (r *run) result(threshold float64, gaps, sortedGaps []float64, span float64) Result {
	if span == 0 {
		return Result{Threshold: threshold, Share: share(nil)}
	}
	res := Result{
		Threshold:        threshold,
		Beats:            len(r.mistaken),
		Mistakes:         len(r.durations),
		Share:            share(r.mistaken),
		mistaken:         r.mistaken,
		gaps:             gaps,
		Timeout:          mean(r.timeouts),
		DetectionTime:    mean(r.detection),
		DetectionTime999: quantile(r.detection, 0.999),
		MistakeDuration:  mean(r.durations),
	}
	for i := range res.timeouts {
		for _, timeout := range batch(r.timeouts, i) {
			res.timeouts[i] += timeout
		}
	}
	if n := len(sortedGaps); n > 0 {
		res.BestFixed = sortedGaps[max(0, n-1-res.Mistakes)]
	}
	perSecond := float64(res.Beats) / span
	rate := Estimate{res.Share.Value * perSecond, res.Share.Low * perSecond, res.Share.High * perSecond}
	res.MistakeRate, res.MistakeRecurrence = rate, Estimate{1 / rate.Value, 1 / rate.High, 1 / rate.Low}
	wrongly := mean(r.wrongly)
	res.QueryAccuracy = Estimate{1 - wrongly.Value*perSecond, 1 - wrongly.High*perSecond, min(1, 1-wrongly.Low*perSecond)}
	return res
}
