package phiaccrual

import (
	"testing"
	"time"
)

// busy returns an estimator that heard 20,000 heartbeats over a link with 2 %
// loss, jitter and stalls.
func busy(b *testing.B, m Model) (e *Estimator, at time.Time, seq uint64) {
	e = mustNew(b, Config{Model: m, Interval: 100 * time.Millisecond})
	at = time.Now() // with a monotonic reading, as users should
	for i := range 20_000 {
		seq++
		if i%50 == 7 {
			seq++
			at = at.Add(e.interval)
		}
		late := time.Duration(i*7919%5000) * time.Microsecond
		if i%1000 == 3 {
			late = 150 * time.Millisecond
		}
		e.HeartbeatSeq(at.Add(late), seq)
		at = at.Add(e.interval)
	}
	return e, at, seq
}

func benchModels(b *testing.B, f func(b *testing.B, m Model)) {
	for _, m := range models {
		b.Run(m.String(), func(b *testing.B) {
			b.ReportAllocs()
			f(b, m)
		})
	}
}

func BenchmarkHeartbeatSeq(b *testing.B) {
	benchModels(b, func(b *testing.B, m Model) {
		e, at, seq := busy(b, m)
		for b.Loop() {
			at = at.Add(e.interval)
			seq++
			e.HeartbeatSeq(at, seq)
		}
	})
}

func BenchmarkPhi(b *testing.B) {
	benchModels(b, func(b *testing.B, m Model) {
		e, at, _ := busy(b, m)
		at = at.Add(e.interval / 4)
		for b.Loop() {
			e.Phi(at)
		}
	})
}

func BenchmarkReaches(b *testing.B) {
	benchModels(b, func(b *testing.B, m Model) {
		e, _, _ := busy(b, m)
		for b.Loop() {
			e.Reaches(8)
		}
	})
}
