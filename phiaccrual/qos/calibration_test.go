package qos

import (
	"flag"
	"fmt"
	"math"
	"testing"

	"github.com/pulsering/pulsering/phiaccrual"
)

// full runs the calibration at the size that is published: some minutes.
var full = flag.Bool("full", false, "calibrate on 400,000 heartbeats a trace, and φ = 5 on 5,000,000")

func mustAccrual(t testing.TB, cfg phiaccrual.Config, numbered bool) *Accrual {
	a, err := NewAccrual(cfg, numbered)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// φ means what it says: of the heartbeats on any link, at most 10^(−φ+0.2)
// arrive after φ was crossed, and no constant time-out chosen with hindsight
// that makes as few mistakes is much shorter. The small version fails only on
// what cannot be chance.
func TestCalibration(t *testing.T) {
	beats := 12_000
	phis := []float64{1, 2, 3}
	if *full {
		beats, phis = 400_000, []float64{1, 2, 3, 4}
	}
	for _, numbered := range []bool{true, false} {
		for i, l := range Links() {
			if !numbered && !*full && i%4 != 3 {
				continue // a few will do
			}
			t.Run(fmt.Sprintf("numbered=%v/%s", numbered, l.Name), func(t *testing.T) {
				trace := l.Generate(beats, 1)
				for _, r := range Run(trace, mustAccrual(t, phiaccrual.Config{}, numbered), 1000, phis...) {
					t.Logf("φ = %v: %d of %d, %.2g [%.2g, %.2g]; time-out %.4f s, %.2f × the best fixed one",
						r.Threshold, r.Mistakes, r.Beats, r.Share.Value, r.Share.Low, r.Share.High, r.Timeout.Value, r.Ratio())
					bound, share := math.Pow(10, -r.Threshold+0.2), r.Share.Low
					if *full {
						share = r.Share.Value
					}
					if share > bound {
						t.Errorf("φ = %v: the share of mistakes is %v %+v, want at most %.3g", r.Threshold, share, r.Share, bound)
					}
					most := 1.2
					if r.Threshold > 3 || !*full && r.Threshold > 2 {
						most = 1.5
					}
					if r.Ratio() > most {
						t.Errorf("φ = %v: time-out %.2f × the best fixed one, want at most %v", r.Threshold, r.Ratio(), most)
					}
				}
			})
		}
	}
}

// φ = 5 is not optimistic by more than half a decade.
func TestCalibrationFar(t *testing.T) {
	if !*full {
		t.Skip("takes minutes; run with -full")
	}
	for _, l := range Links() {
		t.Run(l.Name, func(t *testing.T) {
			r := Run(l.Generate(5_000_000, 1), mustAccrual(t, phiaccrual.Config{}, true), 1000, 5)[0]
			t.Logf("%d of %d, %.2g [%.2g, %.2g]; time-out %.4f s, %.2f × the best fixed one",
				r.Mistakes, r.Beats, r.Share.Value, r.Share.Low, r.Share.High, r.Timeout.Value, r.Ratio())
			if bound := math.Pow(10, -4.5); r.Share.Value > bound {
				t.Errorf("the share of mistakes is %+v, want at most %.3g", r.Share, bound)
			}
		})
	}
}

// phase is a stretch of a cycle of a link that turns bad and good.
type phase struct {
	bad      bool
	from, to int // heartbeats since the turn
	beats    int
	mistakes [4]int     // at φ = 1 … 4
	timeout  [4]float64 // mean, s
}

const turnGood, turnBad = 8000, 2000

// turn replays cycles of the link that turns, less the first, and returns what
// happened at φ = 1 … 4 in each phase.
func turn(t testing.TB, cycles int, numbered bool) []phase {
	phases := []phase{}
	for _, edges := range [][]int{{0, 50, 100, 200, 300, 500, 1000, turnBad}, {0, 100, 300, 1000, 2000, 3000, 4000, 5000, 6000, turnGood}} {
		for i, from := range edges[:len(edges)-1] {
			phases = append(phases, phase{bad: edges[len(edges)-1] == turnBad, from: from, to: edges[i+1]})
		}
	}
	trace := Turning(turnGood, turnBad).Generate(cycles*(turnGood+turnBad), 1)
	a := mustAccrual(t, phiaccrual.Config{}, numbered)
	var last *Beat
	var deadline [4]float64
	for _, b := range trace.arrivals() {
		if last != nil && last.Seq > turnGood+turnBad {
			since := int(last.Seq % (turnGood + turnBad))
			bad := since >= turnGood
			if bad {
				since -= turnGood
			}
			for i := range phases {
				if p := &phases[i]; p.bad == bad && p.from <= since && since < p.to {
					p.beats++
					for k := range deadline {
						p.timeout[k] += (deadline[k] - last.Arrived.Seconds() - p.timeout[k]) / float64(p.beats)
						if b.Arrived.Seconds() > deadline[k] {
							p.mistakes[k]++
						}
					}
				}
			}
		}
		a.Heartbeat(*b)
		last = b
		for k := range deadline {
			deadline[k] = a.Deadline(float64(k + 1)).Seconds()
		}
	}
	return phases
}

// A link that turns bad is believed at once, one that turns good within 5,000
// heartbeats.
func TestTurning(t *testing.T) {
	cycles := 4
	if *full {
		cycles = 100
	}
	phases := turn(t, cycles, true)
	// What the same link needs that never turned bad.
	good := Run(Turning(20_000, 0).Generate(20_000, 1), mustAccrual(t, phiaccrual.Config{}, true), 10_000, 1, 2)
	steady := []float64{good[0].Timeout.Value, good[1].Timeout.Value}
	for _, p := range phases {
		t.Logf("bad=%v %d…%d: %d heartbeats, mistakes %v, time-outs %.3f s", p.bad, p.from, p.to, p.beats, p.mistakes, p.timeout)
		excess := math.Log10(float64(p.mistakes[1])/float64(p.beats)) + 2
		switch {
		case p.bad && p.from >= 300 && excess > 0.5, p.bad && p.from >= 50 && excess > 1:
			t.Errorf("φ = 2 is optimistic by %.2f decades, %d heartbeats after the turn", excess, p.from)
		case !p.bad && p.from >= 5000:
			for k := range 2 {
				if ratio := p.timeout[k] / steady[k]; ratio > 1.2 {
					t.Errorf("φ = %d: time-out %.2f × that of a good link, %d heartbeats after the turn", k+1, ratio, p.from)
				}
			}
		}
	}
}
