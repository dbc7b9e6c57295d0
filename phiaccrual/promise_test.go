package phiaccrual

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

const month = 30 * 24 * time.Hour

// The worked example of Chen, Toueg and Aguilera, section 4: a crash is to be
// noticed within 30 s, with at most one mistake a month; 1 % of the heartbeats
// are lost, delays are exponential with a mean of 0.02 s. Their procedure finds
// a heartbeat every 9.97 s. Promising a mistake a month at that interval, an
// estimator that has heard such a link must come to about the same 30 s.
func TestChenExample(t *testing.T) {
	const interval = 9970 * time.Millisecond
	phi := PhiFor(month, interval)
	if math.Abs(phi-5.4150) > 1e-4 {
		t.Fatalf("one mistake a month at %v is φ = %v", interval, phi)
	}
	e := mustNew(t, Config{Interval: interval})
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 100_000 {
		if r.Float64() >= 0.01 {
			e.HeartbeatSeq(epoch.Add(time.Duration(i)*interval+time.Duration(2e7*r.ExpFloat64())), uint64(i))
		}
	}
	timeout, ok := e.Timeout(phi)
	if !ok || math.Abs(timeout.Seconds()-30) > 0.6 {
		t.Errorf("time-out %v, want about 30 s", timeout)
	}
	// And back: what 30 s of silence promise.
	if got := Recurrence(e.PhiAfter(timeout), interval); math.Abs(got.Hours()/month.Hours()-1) > 0.01 {
		t.Errorf("after %v mistakes are %v apart, want a month", timeout, got)
	}
	if e.Evidence() < 4.4 || e.Evidence() > 4.73 {
		t.Errorf("evidence %v", e.Evidence())
	}
	t.Logf("φ = %.3f, time-out %v", phi, timeout)
}

func TestPromise(t *testing.T) {
	for _, c := range []struct {
		recurrence, interval time.Duration
		phi                  float64
	}{
		{time.Second, time.Second, 0}, {time.Millisecond, time.Second, 0}, {0, time.Second, 0}, {time.Hour, -1, 0},
		{100 * time.Second, time.Second, 2}, {month, time.Second, 6.413635},
	} {
		if got := PhiFor(c.recurrence, c.interval); math.Abs(got-c.phi) > 1e-6 {
			t.Errorf("PhiFor(%v, %v) = %v, want %v", c.recurrence, c.interval, got, c.phi)
		}
	}
	if got := Recurrence(3, time.Second); got != 1000*time.Second {
		t.Errorf("Recurrence(3, 1s) = %v", got)
	}
	for _, got := range []time.Duration{Recurrence(math.NaN(), time.Second), Recurrence(2, -time.Second), Recurrence(2, 0)} {
		if got != 0 {
			t.Errorf("Recurrence of what makes no sense is %v", got)
		}
	}
	if got := Recurrence(300, time.Second); got != math.MaxInt64 {
		t.Errorf("Recurrence(300, 1s) = %v", got)
	}
}

func TestEvidence(t *testing.T) {
	for _, m := range models {
		if got := mustNew(t, Config{Model: m}).Evidence(); got != 0 {
			t.Errorf("%v: evidence %v before any heartbeat", m, got)
		}
		e, _ := steady(t, Config{Model: m}, 1000)
		if got := e.Evidence(); math.Abs(got-3) > 0.01 {
			t.Errorf("%v: evidence %v after 1000 heartbeats, want 3", m, got)
		}
		e, _ = steady(t, Config{Model: m, Window: 1}, 1000)
		if got := e.Evidence(); !(got >= 0 && got < 0.5) {
			t.Errorf("%v: evidence %v of a window of one", m, got)
		}
	}
}
