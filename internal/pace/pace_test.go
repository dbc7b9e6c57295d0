package pace

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

const interval = time.Second

func TestHeard(t *testing.T) {
	type beat struct {
		elapsed time.Duration
		n       uint64
		want    Verdict
	}
	const ms = time.Millisecond
	for name, beats := range map[string][]beat{
		"in time, and losses":         {{1000 * ms, 1, Explained}, {3000 * ms, 3, Explained}, {16_000 * ms, 16, Explained}},
		"a little early":              {{1300 * ms, 2, Explained}, {1200 * ms, 2, Jumped}, {1000 * ms, 1, Explained}},
		"a sleep":                     {{1000 * ms, 61, Jumped}, {1000 * ms, 1, Explained}, {1900 * ms, 3, Jumped}},
		"no count of heartbeats":      {{1000 * ms, 1e9, Jumped}, {1000 * ms, 1e9, Meaningless}, {1000 * ms, 1e9, Meaningless}},
		"and one again":               {{1000 * ms, 9, Jumped}, {1000 * ms, 9, Meaningless}, {1000 * ms, 1, Explained}, {1000 * ms, 9, Jumped}},
		"what piled up in a stall":    {{5000 * ms, 1, Explained}, {0, 1, Explained}, {0, 2, Explained}, {0, 1, Explained}, {1000 * ms, 1, Explained}},
		"not caught up with, at once": {{5000 * ms, 1, Explained}, {1000 * ms, 4, Explained}},
		"an outage":                   {{17_000 * ms, 1, Explained}, {1000 * ms, 4, Jumped}},
		"the clock set back":          {{5000 * ms, 1, Explained}, {-time.Hour, 1, Explained}, {1000 * ms, 1, Explained}, {1000 * ms, 4, Jumped}},
	} {
		var p Pace
		for i, b := range beats {
			if got := p.Heard(b.elapsed, interval, b.n); got != b.want {
				t.Errorf("%s: heartbeat %d is %v, want %v", name, i, got, b.want)
			}
		}
	}
}

// Whatever is heard, a sleep is known for one 40 heartbeats later.
func TestNoLastingMark(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p Pace
		for range rapid.IntRange(0, 30).Draw(t, "beats") {
			elapsed := time.Duration(rapid.Float64Range(-20, 40).Draw(t, "elapsed") * float64(interval))
			p.Heard(elapsed, interval, rapid.Uint64Range(1, 1<<rapid.IntRange(0, 63).Draw(t, "bits")).Draw(t, "n"))
			if !(p >= meaningless && p <= Pace(Outage*interval)) {
				t.Fatalf("%v", p)
			}
		}
		for range 40 {
			if got := p.Heard(interval, interval, 1); got != Explained {
				t.Fatalf("in time, and %v", got)
			}
		}
		if p != 0 {
			t.Fatalf("still %v behind", time.Duration(p))
		}
		if got := p.Heard(interval, interval, 3); got != Jumped {
			t.Fatalf("a sleep of two is %v", got)
		}
	})
}

// Drift of the clocks does not add up.
func TestDrift(t *testing.T) {
	for _, drift := range []float64{-0.1, -0.01, 0.01, 0.05} {
		var p Pace
		for range 100_000 {
			if got := p.Heard(time.Duration((1+drift)*float64(interval)), interval, 1); got != Explained {
				t.Fatalf("drift %v: %v", drift, got)
			}
		}
		if got := p.Heard(interval, interval, 3); got != Jumped {
			t.Errorf("drift %v: a sleep of two is %v", drift, got)
		}
	}
}

// OnTime is what Heard need not be called for.
func TestOnTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		elapsed := time.Duration(rapid.Int64Range(0, int64(2*interval)).Draw(t, "elapsed"))
		var p Pace
		verdict := p.Heard(elapsed, interval, 1)
		if p == 0 != OnTime(elapsed, interval) || verdict != Explained {
			t.Fatalf("%v, %v behind, on time: %v", verdict, p, OnTime(elapsed, interval))
		}
	})
}

func TestRetract(t *testing.T) {
	var p Pace
	if p.Retract() {
		t.Error("retracted where nothing jumped")
	}
	p.Heard(interval, interval, 1<<40)
	if !p.Retract() || p.Retract() {
		t.Error("a jump is not retracted once")
	}
	p.Heard(interval, interval, 1<<40)
	p.Heard(interval, interval, 1<<40)
	if p.Retract() {
		t.Error("numbers that mean nothing are not wrong")
	}
}
