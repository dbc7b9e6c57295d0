package qos

import (
	"testing"
	"time"

	"gonum.org/v1/plot/plotter"

	"github.com/pulsering/pulsering/phiaccrual"
)

// TestTuning draws the curves of docs/tuning.md: what φ, the interval and a pause do.
func TestTuning(t *testing.T) {
	if *out == "" {
		t.Skip("writes files; run with -out=DIRECTORY")
	}
	const beats = 200_000
	links := map[string]Link{}
	for _, l := range Links() {
		links[l.Name] = l
	}

	var lines []line
	for _, name := range []string{"quiet LAN", "WAN, heavy tail", "loss 1 %", "loss 5 %", "loss 20 %", "loss in bursts", "stalls, exponential"} {
		l := line{name: name}
		for _, r := range Run(links[name].Generate(beats, 1), mustAccrual(t, phiaccrual.Config{}, true), 50_000, steps(0.5, 10, 60)...) {
			l.points = append(l.points, plotter.XY{X: r.Threshold, Y: r.Timeout.Value / 0.1})
		}
		lines = append(lines, l)
	}
	chart(t, "tuning-phi.svg", "What φ costs in time", "φ", "mean time-out, in intervals", false, true, lines)

	// The same networks and senders under other intervals: delays and stalls last as long, stalls are as rare in time.
	lines = nil
	for _, name := range []string{"WAN, heavy tail", "loss 5 %", "stalls, exponential"} {
		l := line{name: name}
		for _, interval := range []time.Duration{10, 20, 50, 100, 200, 500, 1000} {
			interval *= time.Millisecond
			link := links[name]
			link.Interval = func(int) time.Duration { return interval }
			if name == "stalls, exponential" {
				link.Stall = stalls(0.02*interval.Seconds(), exponential(0.15))
			}
			r := Run(link.Generate(beats, 1), mustAccrual(t, phiaccrual.Config{Interval: interval}, true), 50_000, 4)[0]
			l.points = append(l.points, plotter.XY{X: 1000 * interval.Seconds(), Y: 1000 * r.DetectionTime.Value})
		}
		lines = append(lines, l)
	}
	chart(t, "tuning-interval.svg", "What the interval costs in time, at φ = 4", "interval, ms", "mean detection time, ms", true, true, lines)

	// Two ways to fewer mistakes about senders that stall.
	trace := links["stalls, exponential"].Generate(2*beats, 1)
	at := func(r Result) plotter.XY {
		return plotter.XY{X: 1000 * r.DetectionTime.Value, Y: 3600 * r.MistakeRate.Value}
	}
	higher, pause := line{name: "φ from 1 to 4.5"}, line{name: "φ = 1, Pause to 0.8 s"}
	for _, r := range Run(trace, mustAccrual(t, phiaccrual.Config{}, true), 50_000, steps(1, 4.5, 15)...) {
		higher.points = append(higher.points, at(r))
	}
	for p := time.Duration(0); p <= 800*time.Millisecond; p += 50 * time.Millisecond {
		r := Run(trace, mustAccrual(t, phiaccrual.Config{Pause: p}, true), 50_000, 1)[0]
		if r.Mistakes > 0 {
			pause.points = append(pause.points, at(r))
		}
	}
	chart(t, "tuning-pause.svg", "A sender that stalls: a higher φ, or a pause", "mean detection time, ms", "mistakes an hour", false, true, []line{higher, pause})
}
