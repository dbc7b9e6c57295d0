package qos

import (
	"math"
	"math/rand/v2"
	"time"
)

// A Link makes up one sender and its link, heartbeat by heartbeat. Each field
// is a function of the heartbeat's index so that it may change with time; nil
// means nothing of the kind.
type Link struct {
	Name     string
	Interval func(i int) time.Duration                   // promised and kept, default 100 ms
	Drift    float64                                     // the sender's clock is slow by this share
	Delay    func(i int, r *rand.Rand) float64           // seconds on the way
	Overtake bool                                        // delays are independent; else what was sent first arrives first
	Lost     func(i int, r *rand.Rand) bool              // lost on the way
	Stall    func(i int, r *rand.Rand) (seconds float64) // the sender stalls when this one is due
}

// Generate makes a trace of n heartbeats. The same seed gives the same trace.
// While the sender stalls, what comes due waits, and is sent when it wakes.
func (l Link) Generate(n int, seed uint64) *Trace {
	r := rand.New(rand.NewPCG(seed, 0x9E3779B97F4A7C15))
	t := &Trace{Name: l.Name, Beats: make([]Beat, n)}
	var due, awake, queue time.Duration
	for i := range t.Beats {
		interval := 100 * time.Millisecond
		if l.Interval != nil {
			interval = l.Interval(i)
		}
		if l.Stall != nil {
			if s := l.Stall(i, r); s > 0 {
				awake = max(awake, due+fromSeconds(s))
			}
		}
		b := Beat{Seq: uint64(i), Sent: max(due, awake), Interval: interval}
		b.Arrived = b.Sent + fromSeconds(l.Delay(i, r))
		if !l.Overtake {
			b.Arrived = max(b.Arrived, queue)
			queue = b.Arrived
		}
		if l.Lost != nil && l.Lost(i, r) {
			b.Arrived = Lost
		}
		t.Beats[i] = b
		due += time.Duration(float64(interval) * (1 + l.Drift))
	}
	return t
}

func fromSeconds(s float64) time.Duration { return time.Duration(s * 1e9) }

// exponential, pareto and normal draw a delay in seconds.
func exponential(mean float64) func(int, *rand.Rand) float64 {
	return func(_ int, r *rand.Rand) float64 { return mean * r.ExpFloat64() }
}

// pareto has P(X > x) = (x/smallest)^−index for x ≥ smallest.
func pareto(smallest, index float64, r *rand.Rand) float64 {
	return smallest * math.Pow(1-r.Float64(), -1/index)
}

func lan(_ int, r *rand.Rand) float64 { return 0.0005 + 0.001*r.ExpFloat64() }

// stalls begins one with probability p when a heartbeat is due.
func stalls(p float64, length func(int, *rand.Rand) float64) func(int, *rand.Rand) float64 {
	return func(i int, r *rand.Rand) float64 {
		if r.Float64() < p {
			return length(i, r)
		}
		return 0
	}
}

func independent(p float64) func(int, *rand.Rand) bool {
	return func(_ int, r *rand.Rand) bool { return r.Float64() < p }
}

// gilbertElliott loses most of what is sent in its bad state: it enters it with
// probability enter, leaves it with probability leave, and loses a heartbeat
// with probability good or bad (Elliott, "Estimates of error rates for codes on
// burst-noise channels", 1963).
func gilbertElliott(enter, leave, good, bad float64) func(int, *rand.Rand) bool {
	inBad := false
	return func(_ int, r *rand.Rand) bool {
		if inBad {
			inBad = r.Float64() >= leave
		} else {
			inBad = r.Float64() < enter
		}
		if inBad {
			return r.Float64() < bad
		}
		return r.Float64() < good
	}
}

// Links returns the links that the calibration is tested on, all at an interval
// of 100 ms unless they change it. Their parameters are chosen, not measured:
// round figures of the kind that data centres and the Internet show. A Link may
// hold state, so each call makes new ones.
func Links() []Link {
	return []Link{
		{Name: "quiet LAN", Delay: func(_ int, r *rand.Rand) float64 { return 0.0002 + 0.00005*r.ExpFloat64() }},
		{Name: "WAN, heavy tail", Overtake: true, Lost: independent(0.0005), Delay: func(_ int, r *rand.Rand) float64 {
			return 0.04 + pareto(0.003, 2.5, r)
		}},
		{Name: "loss 1 %", Delay: lan, Lost: independent(0.01)},
		{Name: "loss 5 %", Delay: lan, Lost: independent(0.05)},
		{Name: "loss 20 %", Delay: lan, Lost: independent(0.2)},
		{Name: "loss in bursts", Delay: lan, Lost: gilbertElliott(0.002, 0.25, 0.0005, 0.8)},
		{Name: "stalls, exponential", Delay: lan, Stall: stalls(0.002, exponential(0.15))},
		{Name: "stalls, Pareto", Delay: lan, Stall: stalls(0.002, func(_ int, r *rand.Rand) float64 { return pareto(0.02, 1.5, r) })},
		{Name: "day and night", Delay: func(i int, r *rand.Rand) float64 {
			return 0.01 + 0.002*math.Pow(10, math.Sin(2*math.Pi*float64(i)/100_000))*r.ExpFloat64()
		}, Lost: func(i int, r *rand.Rand) bool {
			return r.Float64() < 0.01*(1+math.Sin(2*math.Pi*float64(i)/100_000))
		}},
		{Name: "route change", Delay: func(i int, r *rand.Rand) float64 {
			base := []float64{0.02, 0.08, 0.035, 0.2}[i/20_000%4]
			return base + base/20*r.ExpFloat64()
		}, Lost: independent(0.002)},
		{Name: "interval change", Interval: func(i int) time.Duration {
			return []time.Duration{100, 500, 50, 200}[i/20_000%4] * time.Millisecond
		}, Delay: exponential(0.003), Lost: independent(0.01)},
		{Name: "noisy neighbour", Delay: func(_ int, r *rand.Rand) float64 {
			if r.Float64() < 0.3 {
				return 0.03 + 0.03*r.Float64()
			}
			return 0.001 + 0.0005*r.ExpFloat64()
		}},
		{Name: "drifting sender", Drift: 0.01, Delay: lan, Lost: independent(0.01)},
		{Name: "reordering", Overtake: true, Lost: independent(0.005), Delay: exponential(0.15)},
		{Name: "stalls, reordered", Overtake: true, Delay: exponential(0.01), Stall: stalls(0.002, exponential(0.15))},
	}
}

// Turning returns a link that is good for good heartbeats, then bad for bad
// ones, and so on: no loss and a jitter of 1 ms, then 10 % loss and a jitter
// that is twenty times as large.
func Turning(good, bad int) Link {
	isBad := func(i int) bool { return i%(good+bad) >= good }
	return Link{Name: "turning bad and good",
		Delay: func(i int, r *rand.Rand) float64 {
			if isBad(i) {
				return 0.001 + 0.02*r.ExpFloat64()
			}
			return 0.001 + 0.001*r.ExpFloat64()
		},
		Lost: func(i int, r *rand.Rand) bool { return isBad(i) && r.Float64() < 0.1 },
	}
}
