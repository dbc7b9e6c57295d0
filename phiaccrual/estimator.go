// Package phiaccrual turns the silence of one peer into a suspicion level φ.
//
// Think of waiting for a bus that comes every ten minutes. After eleven you
// look at your watch, after fifteen you begin to doubt, after forty you walk.
// What you weigh is how unlikely such a wait would be if the bus were still
// running; φ is that doubt in decades. φ = 1: one wait in ten is as long as
// this; φ = 4: one in ten thousand. Whoever acts at φ = x is wrong about once
// in 10^x heartbeats, if the model of the link is right, and the models differ
// in just that; see Model.
//
// The package is pure arithmetic: time comes in as an argument, nothing is
// locked, logged or started, and Reaches says when φ will get anywhere, so that
// nobody needs to poll. An Estimator watches one peer, is not safe for
// concurrent use, and allocates nothing after New.
//
// # The models
//
// [Calibrated], the default, tells loss from lateness. With heartbeats due every
// T after the last one heard,
//
//	10^−φ(t) = Σ_i P(1 … i−1 lost, i not) · Q(t − i·T)  +  P(all due by t lost)
//
// is the probability that the first heartbeat that was not lost is late, or all
// are lost. Losses are a two-state Gilbert model, with the probabilities that a
// run of losses starts and goes on counted on this link; Q(x), that a heartbeat
// is more than x late, is counted as it is, in buckets of half an octave. Three
// fading memories of about 100, 1,000 and Window heartbeats are reconciled, so
// that a link that turns bad is believed at once, and rare events are not
// forgotten. What was measured of it: docs/results/phi.md.
//
// [Normal] is φ as published (Hayashibara et al., SRDS 2004), exact, and
// [Exponential] as in Apache Cassandra. Neither knows of loss: on links that lose
// or stall, Normal makes up to a million times as many mistakes as it promises,
// and Exponential takes up to nine times as long as it need.
//
// # Cost
//
// On a Xeon at about 3 GHz: HeartbeatSeq 15 ns, Phi 57 ns with one
// heartbeat overdue and 4 before anything is due, Reaches 0.3 µs (Normal: 12, 42
// and 280 ns). An Estimator takes 192 bytes.
//
// # Limits
//
//   - φ beyond [Estimator.Evidence] rests on losses multiplied and on a prior for
//     the tail of lateness; nobody can measure 10^−8 in 40,000 heartbeats.
//   - What all heartbeats share, a cut cable or a full queue, looks like a crash:
//     φ is what one listener on one path can know.
//   - Silences of more than 16 intervals teach nothing. A shorter one in which the
//     peer was down does, unless Reset says so.
//
// # Clocks
//
// Use times with monotonic readings (time.Now). A time before the last
// heartbeat's makes φ zero, never negative or NaN. An unnumbered heartbeat that
// is at most one interval older than the last is taken for one reported late,
// and ignored; anything older means that the clock was set back, and the
// schedule starts again from there, without a sample. Of numbered heartbeats
// the number alone says which is newer.
//
// What was lost, numbers and time say together. A number that is further ahead
// than the time explains is a sign of life and no sample: the listener's clock
// stood still, as CLOCK_MONOTONIC does on a Linux machine that sleeps. If numbers
// go on like that they do not count heartbeats, and losses are inferred as without
// them. Time that passes while the numbers do not is a stall of the sender, or a
// step of a clock without monotonic reading: no loss, and a sample of lateness up
// to 16 intervals.
package phiaccrual

import (
	"math"
	"time"

	"github.com/pulsering/pulsering/internal/pace"
)

// Estimator watches one peer. The zero value is one of the zero Config; New makes
// others. It holds no pointers to itself and may be copied: the copy is independent, so a table of peers can hold
// Estimators by value and start each as a copy of a fresh one.
//
// It takes 192 bytes. Calibrated has counted 100 of them: three memories of 18
// buckets, starts and losses, in one byte each for the short and two for the
// others, and 12 say to what limit, where on the grid, which way to round, what
// can still be put right, and how far the sender is behind its schedule. 24 are the
// time of the last heartbeat, since nothing smaller carries a monotonic reading; 32
// the number, the interval, the pause and what Alive moved; 20 MinStdDev and what
// Normal and Exponential know; 4 the model and three flags. So 128 would cost a
// memory, or buckets of an octave, and φ its meaning on links that change. But a
// heartbeat on time touches only the first 128, where the totals of all three
// memories lie.
type Estimator struct {
	last      time.Time     // arrival of the last heartbeat; zero: none yet
	seq       uint64        // highest number heard, if numbered
	credit    time.Duration // whole intervals by which Alive moved the base of silence; the heartbeat due there was lost
	interval  time.Duration // promised by the sender
	pause     time.Duration
	model     Model
	numbered  bool // seq holds a number
	seqIsLast bool // it is that of the heartbeat at last
	unsettled bool // there may be a learnt.gap, or the learnt.pace is not 0

	learnt    calibrated
	minStdDev float32 // ns; 0: the model's default

	// Normal and Exponential: of the lateness, arrival − last arrival − interval,
	// over samples heartbeats, at most window.
	mean, variance float32 // ns, ns²
	samples        int32
	window         int32
}

// An outage is silence of more than this many intervals (and Pause): the peer,
// or the way to it, was down. It says nothing of how an ordinary heartbeat
// arrives and is not a sample. Sixteen is where Calibrated's buckets end;
// chitchat uses ten (max_interval of 10 s at its interval of 1 s), Cassandra two,
// which hides what loss does.
const outageIntervals = 16

// New returns an estimator that has heard nothing yet. The error names a
// field of cfg that is negative or out of range, its value and the limit.
func New(cfg Config) (*Estimator, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	e := new(Estimator)
	e.configure(cfg)
	return e, nil
}

// configure makes e one that has heard nothing yet. cfg has its defaults.
func (e *Estimator) configure(cfg Config) {
	*e = Estimator{
		interval:  cfg.Interval,
		pause:     cfg.Pause,
		model:     cfg.Model,
		minStdDev: float32(cfg.MinStdDev),
		window:    int32(cfg.Window),
	}
	if cfg.Model == Calibrated {
		e.learnt.limit = uint16(cfg.Window + cfg.Window/3)
	}
	e.forget()
}

// ready makes the zero value one that New could have made. Whatever needs the interval calls it first.
func (e *Estimator) ready() {
	if e.interval == 0 {
		e.configureZero()
	}
}

// configureZero is not part of ready so that ready is inlined.
func (e *Estimator) configureZero() {
	cfg, err := Config{}.withDefaults()
	if err != nil {
		panic(err) // the zero Config is a good one
	}
	e.configure(cfg)
}

// Reset forgets everything heard: the peer restarted, and its heartbeats are
// numbered anew. The interval stays as it was last announced.
func (e *Estimator) Reset() {
	e.ready()
	e.forget()
}

func (e *Estimator) forget() {
	*e = Estimator{
		interval:  e.interval,
		pause:     e.pause,
		model:     e.model,
		learnt:    calibrated{limit: e.learnt.limit, base: baseFor(e.interval)},
		minStdDev: e.minStdDev,
		window:    e.window,
	}
	// Akka's first estimate: two intervals, mean ± mean/4.
	quarter := float32(e.interval) / 4
	e.variance, e.samples = quarter*quarter, 2
}

// SetInterval says that the sender announced another interval, the time from
// its last heartbeat to the next: 1 µs to 24 h, else an error and no change. If
// that heartbeat brought the news, report it first: it keeps the promise before.
// What was learnt is how late heartbeats are against the promise, so it stays:
// φ needs no new warm-up.
func (e *Estimator) SetInterval(interval time.Duration) error {
	if err := checkInterval(interval); err != nil {
		return err
	}
	e.ready()
	e.interval = interval
	e.learnt.setInterval(interval)
	return nil
}

// Heartbeat reports an unnumbered heartbeat heard now. Losses are inferred: a
// silence of n intervals, give or take, means that n − 1 heartbeats were lost.
func (e *Estimator) Heartbeat(now time.Time) {
	e.ready()
	elapsed := now.Sub(e.last)
	heard := !e.last.IsZero()
	if heard && elapsed <= 0 && elapsed >= -e.interval {
		return // a duplicate, or reported out of order
	}
	e.seqIsLast = false
	if heard && elapsed > 0 {
		e.infer(elapsed)
	}
	e.last, e.credit = now, 0
}

// HeartbeatSeq reports the heartbeat with the sender's number seq, which grows
// by one with each heartbeat sent to this listener. A number that is not above
// the highest seen is old or a duplicate, and no sign of life, until Reset; but a
// heartbeat that was overtaken does not count as lost any more.
//
// A number that is further ahead than the time since the last heartbeat explains
// says that the peer lives, and nothing of losses: see Clocks in the package
// comment. If the next number is below it, those above that one are news again.
func (e *Estimator) HeartbeatSeq(now time.Time, seq uint64) {
	e.ready()
	if e.numbered && seq <= e.seq {
		if e.seqIsLast && seq < e.seq && e.learnt.pace.Retract() {
			e.seq, e.seqIsLast, e.learnt.gap = seq, false, gap{}
			return
		}
		e.learnt.overtaken(e.seq-seq, e.interval)
		return
	}
	n := seq - e.seq
	gapped := e.unsettled && e.learnt.recede(n)
	elapsed := now.Sub(e.last)
	switch {
	case !e.seqIsLast:
		e.learnt.pace, e.unsettled = 0, gapped
		if elapsed > 0 && !e.last.IsZero() {
			e.infer(elapsed)
		}
	case n == 1 && !e.unsettled && pace.OnTime(elapsed, e.interval):
		if elapsed > 0 {
			e.observe(elapsed, 1)
		}
	default:
		verdict := e.learnt.pace.Heard(elapsed, e.interval, n)
		switch {
		case elapsed <= 0:
		case verdict == pace.Explained:
			e.observe(elapsed, n)
			gapped = gapped || n > 1
		case verdict == pace.Meaningless:
			e.infer(elapsed)
		}
		e.unsettled = gapped || e.learnt.pace != 0
	}
	e.seq, e.numbered, e.seqIsLast = seq, true, true
	e.last, e.credit = now, 0
}

// Resume reports a heartbeat heard now as the first one after a time in which the
// listener could not listen: its process stood still, or its machine did. It says
// that the peer lives, and nothing of how late heartbeats are or how many are
// lost, so it is no sample. If it has a number, HeartbeatSeq takes that at the same
// instant.
func (e *Estimator) Resume(now time.Time) {
	e.ready()
	e.learnt.gap, e.learnt.pace, e.unsettled = gap{}, 0, false
	e.last, e.credit, e.seqIsLast = now, 0, false
}

// Alive reports evidence that the peer lived at the instant at which is not one
// of its heartbeats: an acknowledged probe, or what another observer heard.
// Heartbeats that were due by then do not count as missing any more, because
// the peer lived and they were lost: silence is counted from the last instant
// on the peer's schedule (last heartbeat + i·interval) that is not after at. It
// is not a sample, and changes nothing within the first interval after a
// heartbeat, or before the first, when there is no schedule yet.
func (e *Estimator) Alive(at time.Time) {
	since := at.Sub(e.last)
	if e.last.IsZero() || since > maxElapsed {
		return
	}
	e.credit = max(e.credit, since-since%e.interval)
}

// infer learns from a heartbeat that came elapsed after the last one heard, and
// what was lost between them nobody knows.
func (e *Estimator) infer(elapsed time.Duration) {
	gap := e.learnt.gap
	e.observe(elapsed, e.wholeIntervals(elapsed))
	e.learnt.gap = gap // this one is not between numbers
}

// wholeIntervals infers the number of an unnumbered heartbeat since the last one
// heard: late by up to three quarters of an interval, it is the next; else the one
// whose time is nearest. Beyond the first interval a stall and losses look alike,
// and rounding down would take each stall for one loss too few (measured on
// stalls of 1.5 intervals on average: φ = 4 optimistic by 0.13 decades, not 0).
func (e *Estimator) wholeIntervals(elapsed time.Duration) uint64 {
	if elapsed < e.interval+e.interval/4*3 {
		return 1
	}
	return (uint64(elapsed) + uint64(e.interval/2)) / uint64(e.interval)
}

// observe learns from a heartbeat that came elapsed after the last one heard
// and is the n-th since.
func (e *Estimator) observe(elapsed time.Duration, n uint64) {
	if elapsed-e.pause > outageIntervals*e.interval {
		return
	}
	if e.model == Calibrated {
		const many = 1 << 16 // intervals of at most 24 h do not overflow
		e.learnt.observe(elapsed-time.Duration(min(n, many))*e.interval, n-1)
		return
	}
	// Welford's update with fading weights: no difference of large squares, so
	// the variance of identical intervals is zero and never negative.
	late := float32(elapsed - e.interval)
	e.samples = min(e.samples+1, e.window)
	delta := late - e.mean
	e.mean += delta / float32(e.samples)
	e.variance += (delta*(late-e.mean) - e.variance) / float32(e.samples)
	// What fades for ever becomes subnormal, and arithmetic ten times as slow.
	if e.variance < 1e-6 {
		e.variance = 0
	}
	if e.mean < 1e-3 && e.mean > -1e-3 {
		e.mean = 0
	}
}

// Evidence returns the φ up to which what was heard on this link carries:
// log10(n+1) with n heartbeats in memory. Beyond it φ is the model's assumption
// (for Calibrated a prior on the safe side: see there), however many decades it
// shows. It is 0 before the first sample and at most log10 of 4/3·Window.
func (e *Estimator) Evidence() float64 {
	if e.model == Calibrated {
		return math.Log10(float64(e.learnt.long.late[0]) + 1)
	}
	return math.Log10(max(1, float64(e.samples)-1))
}

// Last returns when the last heartbeat was heard; the zero time if none was since
// New or Reset.
func (e *Estimator) Last() time.Time { return e.last }

// Phi returns the suspicion level at the instant now: at least 0, finite, and
// growing with now while nothing is heard. It is 0 before the first heartbeat
// and at instants before the base of silence (see Alive).
func (e *Estimator) Phi(now time.Time) float64 {
	if e.last.IsZero() {
		return 0
	}
	return e.phi(now.Sub(e.last)-e.credit, e.credit > 0)
}

// phi is φ after a silence that follows a heartbeat that was heard, or one that
// was lost.
func (e *Estimator) phi(silence time.Duration, afterLoss bool) float64 {
	if e.model == Calibrated && silence < e.pause+e.interval {
		return 0 // nothing is due yet
	}
	var c curve
	e.curve(&c, afterLoss)
	phi, _ := c.phi(silence)
	return phi
}

// Reaches returns the first instant at which Phi is at least phi if nothing
// more is heard, to the nanosecond: Phi(Reaches(x)) ≥ x, and one nanosecond
// earlier Phi is at most x. For phi ≤ 0 it is the base of silence. The zero
// time means never: nothing was heard yet, or phi is NaN or beyond what 146
// years of silence amount to.
func (e *Estimator) Reaches(phi float64) time.Time {
	if e.last.IsZero() {
		return time.Time{}
	}
	silence, ok := e.reaches(phi, e.credit > 0)
	if !ok || silence > maxElapsed-e.credit {
		return time.Time{}
	}
	return e.last.Add(e.credit + silence)
}

// reaches is the inverse of phi.
func (e *Estimator) reaches(phi float64, afterLoss bool) (silence time.Duration, ok bool) {
	if phi <= 0 {
		return 0, true
	}
	if math.IsNaN(phi) {
		return 0, false
	}
	var c curve
	e.curve(&c, afterLoss)
	return c.reaches(phi)
}

// curve fills in φ as a function of the silence after a heartbeat that was heard
// or one that was lost.
func (e *Estimator) curve(c *curve, afterLoss bool) {
	c.model, c.pause = e.model, float64(e.pause)
	if e.model == Calibrated {
		e.learnt.survival(&c.survival, float64(e.interval), float64(e.minStdDev), afterLoss)
		return
	}
	floor := float64(e.minStdDev)
	if floor == 0 {
		floor = float64(e.interval) / 10
	}
	c.mean = float64(e.interval) + float64(e.mean)
	if e.model == Exponential {
		c.mean = max(floor, c.mean)
	}
	c.stdDev = max(floor, math.Sqrt(float64(e.variance)))
}
