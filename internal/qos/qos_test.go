package qos

import (
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

func near(got, want, relative float64) bool {
	return math.Abs(got-want) <= relative*math.Abs(want)
}

// Six heartbeats a second apart; number 2 is late by 0.5 s, number 4 is lost.
// A fixed time-out of 1.2 s makes two mistakes, of 0.3 and 0.8 s.
func TestRunByHand(t *testing.T) {
	const s = time.Second
	trace := &Trace{Beats: []Beat{
		{0, 0 * s, 0 * s, s}, {1, 1 * s, 1 * s, s}, {2, 2 * s, 2500 * time.Millisecond, s},
		{3, 3 * s, 3 * s, s}, {4, 4 * s, Lost, s}, {5, 5 * s, 5 * s, s},
	}}
	r := Run(trace, &Fixed{}, 0, 1.2, 1.6)
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"beats", float64(r[0].Beats), 4},
		{"mistakes", float64(r[0].Mistakes), 2},
		{"share", r[0].Share.Value, 0.5},
		{"time-out", r[0].Timeout.Value, 1.2},
		{"best fixed", r[0].BestFixed, 1},
		{"T_D", r[0].DetectionTime.Value, (1.2 + 1.2 + 1.7 + 1.2 + 0.2) / 5},
		{"λ_M", r[0].MistakeRate.Value, 2.0 / 5},
		{"E(T_MR)", r[0].MistakeRecurrence.Value, 5.0 / 2},
		{"E(T_M)", r[0].MistakeDuration.Value, 0.55},
		{"P_A", r[0].QueryAccuracy.Value, 1 - 1.1/5},
		{"mistakes at 1.6", float64(r[1].Mistakes), 1},
		{"best fixed at 1.6", r[1].BestFixed, 1.5},
	} {
		if !near(c.got, c.want, 1e-9) {
			t.Errorf("%s = %v, want %v", c.name, c.got, c.want)
		}
	}
}

// A heartbeat that was overtaken is passed on but starts nothing.
// A trace shorter than the warm-up says nothing, and so does one without time.
func TestRunOfNothing(t *testing.T) {
	for _, beats := range [][]Beat{nil, {{Seq: 0}}, {{Seq: 0}, {Seq: 1, Arrived: 1}, {Seq: 2, Arrived: 2}}, {{Seq: 0}, {Seq: 1}, {Seq: 2}, {Seq: 3}}} {
		got := Run(&Trace{Beats: beats}, &Fixed{}, 2, 1)[0]
		want := Result{Threshold: 1, Share: Estimate{High: 1}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("of %v: %+v", beats, got)
		}
	}
}

func TestOvertaken(t *testing.T) {
	const s = time.Second
	trace := &Trace{Beats: []Beat{{0, 0, 0, s}, {1, s, 2100 * time.Millisecond, s}, {2, 2 * s, 2 * s, s}, {3, 3 * s, 3 * s, s}}}
	r := Run(trace, &Fixed{}, 0, 1.5)[0]
	if r.Beats != 2 || r.Mistakes != 1 {
		t.Errorf("%d heartbeats, %d mistakes, want 2 and 1", r.Beats, r.Mistakes)
	}
}

// The intervals hold what they are: out of 200 samples of a known mean, a known
// share and a known quantile, about 95 % cover the truth.
func TestConfidence(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var means, shares, quantiles int
	for range 200 {
		xs, ones := make([]float64, 3000), make([]bool, 3000)
		for i := range xs {
			xs[i], ones[i] = r.ExpFloat64(), r.Float64() < 0.01
		}
		if m := mean(xs); m.Low <= 1 && 1 <= m.High {
			means++
		}
		if s := share(ones); s.Low <= 0.01 && 0.01 <= s.High {
			shares++
		}
		if q := quantile(xs, 0.99); q.Low <= math.Log(100) && math.Log(100) <= q.High {
			quantiles++
		}
	}
	if means < 180 || shares < 184 || quantiles < 184 {
		t.Errorf("the truth is within %d, %d and %d of 200 intervals, want about 190", means, shares, quantiles)
	}
	if s := share(make([]bool, 1000)); s.Value != 0 || s.High < 0.003 || s.High > 0.005 {
		t.Errorf("none of 1000: %+v, want at most about 0.004", s)
	}
}

// Mistakes that come five at a time say as much as a fifth of them.
func TestClusters(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	covered := 0
	for range 200 {
		xs := make([]bool, 30_000)
		for i := range xs {
			if r.Float64() < 2e-4 {
				for j := i; j < min(len(xs), i+9); j += 2 {
					xs[j] = true
				}
			}
		}
		if s := share(xs); s.Low <= 1e-3 && 1e-3 <= s.High {
			covered++
		}
	}
	if covered < 180 {
		t.Errorf("the truth is within %d of 200 intervals, want about 190", covered)
	}
}

// alternating suspects after the threshold, and after twice as long every other time.
type alternating struct{ last Beat }

func (a *alternating) Heartbeat(b Beat) { a.last = b }

func (a *alternating) Deadline(threshold float64) time.Duration {
	return a.last.Arrived + fromSeconds(threshold*float64(1+a.last.Seq%2))
}

// Silences are exponential with mean 1 s, so the share of mistakes of two time-outs in turn, and the one time-out that makes as
// many, are known: about 95 of 100 intervals hold their ratio.
func TestRatio(t *testing.T) {
	of := Link{Interval: func(int) time.Duration { return time.Nanosecond }}
	for _, threshold := range []float64{1, 2} {
		best := -math.Log((math.Exp(-threshold) + math.Exp(-2*threshold)) / 2)
		truth := 1.5 * threshold / best
		const runs = 200
		covered := 0
		for seed := range uint64(runs) {
			r := rand.New(rand.NewPCG(seed, 5))
			at := 0.0
			of.Delay = func(int, *rand.Rand) float64 { at += r.ExpFloat64(); return at }
			got := Run(of.Generate(5000, seed), &alternating{}, 0, threshold)[0].Ratio()
			if !near(got.Value, truth, 0.3) || got.Low > got.Value || got.High < got.Value {
				t.Fatalf("%+v, want about %.3f", got, truth)
			}
			if got.Low <= truth && truth <= got.High {
				covered++
			}
		}
		t.Logf("threshold %v: %.3f is within %d of %d intervals", threshold, truth, covered, runs)
		if covered < 178 {
			t.Errorf("threshold %v: %.3f is within %d of %d intervals, want about 190", threshold, truth, covered, runs)
		}
	}
	short := &Trace{Beats: []Beat{{Seq: 0}, {Seq: 1, Arrived: time.Second}, {Seq: 2, Arrived: 3 * time.Second}}}
	if got := Run(short, &Fixed{}, 0, 1.5)[0].Ratio(); got.Low != 0 || !math.IsInf(got.High, 1) {
		t.Errorf("of two silences: %+v", got)
	}
	all := Run(of.Generate(5000, 1), &Fixed{}, 0, 1e-9)[0] // every heartbeat is late
	if got := all.Ratio(); all.Mistakes != all.Beats || math.IsNaN(got.Low) || math.IsInf(got.High, 0) {
		t.Errorf("of mistakes alone: %+v", got)
	}
}

func TestPooledShare(t *testing.T) {
	const s = time.Second
	trace := func(late time.Duration) *Trace {
		return &Trace{Beats: []Beat{{0, 0, 0, s}, {1, s, s, s}, {2, 2 * s, 2*s + late, s}, {3, 3 * s, 3 * s, s}}}
	}
	a, b := Run(trace(0), &Fixed{}, 0, 1.5)[0], Run(trace(900*time.Millisecond), &Fixed{}, 0, 1.5)[0]
	if got := PooledShare(a, b); got.Value != 1.0/6 || got.Low < 0 || got.High > 1 || got.High-got.Low > b.Share.High-b.Share.Low {
		t.Errorf("1 of 6 in all: %+v", got)
	}
}

// Chen, Toueg, Aguilera, section 4: detection within 30 s, a mistake a month at
// most, corrected within 60 s; 1 % loss. With delays exponential of mean 0.02 s
// that takes η = 9.97 s, δ = 20.03 s; knowing only mean and variance 0.02,
// η = 9.71 s and δ = 20.29 s.
func TestConfigure(t *testing.T) {
	want := Requirement{30 * time.Second, 30 * 24 * time.Hour, 60 * time.Second}
	for _, c := range []struct {
		link       Channel
		eta, delta float64
	}{
		{Channel{Loss: 0.01, Later: func(x float64) float64 { return math.Exp(-x / 0.02) }}, 9.976, 20.024},
		{Channel{Loss: 0.01, Mean: 0.02, Variance: 0.02}, 9.7098, 20.2902},
	} {
		eta, delta, err := Configure(want, c.link)
		if err != nil || math.Abs(eta.Seconds()-c.eta) > 1e-3 || math.Abs(delta.Seconds()-c.delta) > 1e-3 {
			t.Errorf("η = %v, δ = %v, %v; want %v s and %v s", eta, delta, err, c.eta, c.delta)
		}
	}
	for field, c := range map[string]struct {
		want Requirement
		link Channel
	}{
		"DetectionTime":     {Requirement{0, 1, 1}, Channel{}},
		"MistakeRecurrence": {Requirement{1, -1, 1}, Channel{}},
		"Loss":              {Requirement{1, 1, 1}, Channel{Loss: 1}},
		"Variance":          {Requirement{1, 1, 1}, Channel{Variance: -1}},
		"mean delay":        {Requirement{time.Second, 1, 1}, Channel{Mean: 2}},
		"no interval":       {Requirement{time.Second, time.Hour, time.Second}, Channel{Loss: 0.01, Later: func(float64) float64 { return 1 }}},
	} {
		if _, _, err := Configure(c.want, c.link); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("Configure(%+v, …): %v does not name %s", c.want, err, field)
		}
	}
}

// The exact figures for η = 1 s, 1 % loss and delays exponential of mean 0.02 s
// (the setting of the simulation in section 7 of Chen's paper), computed from
// the closed form; and the same measured on a trace.
func TestAnalyse(t *testing.T) {
	link := Channel{Loss: 0.01, Later: func(x float64) float64 { return math.Exp(-x / 0.02) }}
	of := Link{
		Interval: func(int) time.Duration { return time.Second },
		Delay:    exponential(0.02), Lost: independent(0.01),
	}
	trace := of.Generate(200_000, 1)
	for _, row := range [][4]float64{ // T_D^U, E(T_MR), E(T_M), 1 − P_A
		{1.10, 60.59, 0.5659, 9.340e-3}, {1.25, 100.97, 0.7798, 7.723e-3}, {1.50, 101.01, 0.5301, 5.248e-3},
		{2.00, 101.01, 0.0301, 2.980e-4}, {2.25, 10097, 0.7798, 7.723e-5}, {2.50, 10101, 0.5301, 5.248e-5},
		{3.00, 10101, 0.0301, 2.980e-6}, {3.25, 1009730, 0.7798, 7.723e-7}, {3.50, 1010100, 0.5301, 5.248e-7},
	} {
		delta := fromSeconds(row[0] - 1)
		recurrence, duration, accuracy := Analyse(time.Second, delta, link)
		if !near(recurrence, row[1], 1e-4) || !near(duration, row[2], 1e-3) || !near(1-accuracy, row[3], 1e-3) {
			t.Errorf("T_D^U = %v: E(T_MR) = %v, E(T_M) = %v, 1 − P_A = %v, want %v", row[0], recurrence, duration, 1-accuracy, row[1:])
		}
		if row[1] > 200 {
			continue // too few mistakes to measure
		}
		got := Run(trace, &NFDS{}, 0, delta.Seconds())[0]
		if !near(got.MistakeRecurrence.Value, row[1], 0.07) || !near(got.MistakeDuration.Value, row[2], 0.07) ||
			!near(1-got.QueryAccuracy.Value, row[3], 0.1) || got.DetectionTime.High > row[0] {
			t.Errorf("T_D^U = %v, measured: %+v, want %v", row[0], got, row[1:])
		}
		covered := map[string]int{}
		const runs = 100
		for seed := range uint64(runs) {
			got := Run(of.Generate(20_000, 10+seed), &NFDS{}, 0, delta.Seconds())[0]
			for what, truth := range map[string]struct {
				Estimate
				float64
			}{
				"λ_M": {got.MistakeRate, 1 / row[1]}, "E(T_MR)": {got.MistakeRecurrence, row[1]}, "P_A": {got.QueryAccuracy, 1 - row[3]},
			} {
				if truth.Low <= truth.float64 && truth.float64 <= truth.High {
					covered[what]++
				}
			}
		}
		for what, n := range covered {
			if n < 78 { // 95 are expected, 88 of P_A at 2 s: there mistakes are few, and their lengths exponential
				t.Errorf("T_D^U = %v: the true %s is within %d of %d intervals", row[0], what, n, runs)
			}
		}
		if len(covered) != 3 {
			t.Errorf("T_D^U = %v: the truth is within intervals of %v alone", row[0], covered)
		}
	}
}

// Time-outs of the published detectors after steady heartbeats every second,
// against their own arithmetic.
func TestPublished(t *testing.T) {
	for _, c := range []struct {
		name      string
		d         Detector
		threshold float64
		want      float64 // seconds after the last arrival
	}{
		{"fixed", &Fixed{}, 2.5, 2.5},
		{"Chen", NewNFDE(), 0.2, 1.2},
		{"2W-FD", New2WFD(), 0.2, 1.2},
		{"Bertier", NewBertier(), 4, 1},
		{"ED", NewED(), 8, 8 * math.Ln10},
		{"Cassandra", NewCassandra(), 8, 8 * math.Ln10},
		{"Satzger", NewSatzger(), 2, 1 / 0.9},
		{"φ normal", NewHayashibara(), 8, 1},
		// 1000 + 3000 + 5.226·100 ms
		{"Akka", NewAkka(), 8, 4.5226},
	} {
		var at time.Duration
		for i := range 3000 {
			at = time.Duration(i) * time.Second
			c.d.Heartbeat(Beat{uint64(i), at, at, time.Second})
		}
		c.d.Heartbeat(Beat{5, at, at + time.Second, time.Second}) // overtaken: ignored
		if got := (c.d.Deadline(c.threshold) - at).Seconds(); math.Abs(got-c.want) > 1e-3 {
			t.Errorf("%s: time-out %v, want %v", c.name, got, c.want)
		}
	}
}

// What tells the detectors apart: what a heartbeat late by 0.5 s, and one lost,
// do to the next time-out.
func TestPublishedAdapt(t *testing.T) {
	for _, c := range []struct {
		name      string
		d         Detector
		threshold float64
		want      float64 // from the late arrival
	}{
		{"Chen", NewNFDE(), 0.2, 0.7 + 0.5/1000},                   // expects the schedule to hold
		{"2W-FD", New2WFD(), 0.2, 1.2},                             // expects the last delay again
		{"Bertier", NewBertier(), 4, 0.5 + 0.0005 + 0.05 + 4*0.05}, // γ·0.5 in both
		{"ED", NewED(), 2, 2 * math.Ln10 * 1.0005},
	} {
		var at time.Duration
		for i := range 2000 {
			at = time.Duration(i) * time.Second
			if i == 1999 {
				at += time.Second / 2
			}
			c.d.Heartbeat(Beat{uint64(i), at, at, time.Second})
		}
		if got := (c.d.Deadline(c.threshold) - at).Seconds(); math.Abs(got-c.want) > 2e-3 {
			t.Errorf("%s: time-out %v after a late heartbeat, want %v", c.name, got, c.want)
		}
	}
}

// The same seed gives the same trace; loss and stalls are what they say.
func TestTraces(t *testing.T) {
	for i, l := range Links() {
		a, b := l.Generate(20_000, 7), Links()[i].Generate(20_000, 7)
		lost := 0
		for j := range a.Beats {
			if a.Beats[j] != b.Beats[j] {
				t.Fatalf("%s: heartbeat %d differs", l.Name, j)
			}
			if a.Beats[j].Arrived == Lost {
				lost++
			} else if a.Beats[j].Arrived < a.Beats[j].Sent {
				t.Fatalf("%s: heartbeat %d arrives before it was sent", l.Name, j)
			}
		}
		if want, ok := map[string]float64{"loss 1 %": 0.01, "loss 5 %": 0.05, "loss 20 %": 0.2, "quiet LAN": 0}[l.Name]; ok {
			if got := float64(lost) / 20_000; math.Abs(got-want) > 0.2*want {
				t.Errorf("%s: lost %v", l.Name, got)
			}
		}
	}
}
