package qos

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"gonum.org/v1/plot/plotter"

	"github.com/pulsering/pulsering/phiaccrual"
)

// contestant is a detector of the field with the thresholds it is tried at.
type contestant struct {
	name       string
	accrual    bool // thresholds are φ
	new        func(t testing.TB) Detector
	thresholds []float64
}

// steps returns n thresholds from lo to hi, each the same factor above the last.
func steps(lo, hi float64, n int) []float64 {
	xs := make([]float64, n)
	for i := range xs {
		xs[i] = lo * math.Pow(hi/lo, float64(i)/float64(n-1))
	}
	return xs
}

func field() []contestant {
	phis := append([]float64{1, 2, 3, 4, 8}, steps(0.3, 40, 17)...)
	margins := steps(0.001, 3, 22) // seconds, at an interval of 0.1
	fixed := make([]float64, len(margins))
	for i, m := range margins {
		fixed[i] = 0.1 + m
	}
	return []contestant{
		{"calibrated", true, func(t testing.TB) Detector { return mustAccrual(t, phiaccrual.Config{}, true) }, append([]float64{1, 2, 3, 4, 8}, steps(0.3, 6, 17)...)},
		{"fixed time-out", false, func(testing.TB) Detector { return &Fixed{} }, fixed},
		{"Chen NFD-E", false, func(testing.TB) Detector { return NewNFDE() }, margins},
		{"2W-FD", false, func(testing.TB) Detector { return New2WFD() }, margins},
		{"Bertier", false, func(testing.TB) Detector { return NewBertier() }, steps(0.5, 500, 22)},
		{"Satzger", true, func(testing.TB) Detector { return NewSatzger() }, phis},
		{"φ normal", true, func(testing.TB) Detector { return NewHayashibara() }, append(phis, 100, 300, 1000)},
		{"Akka", true, func(testing.TB) Detector { return NewAkka() }, phis},
		{"ED", true, func(testing.TB) Detector { return NewED() }, phis},
		{"Cassandra", true, func(testing.TB) Detector { return NewCassandra() }, phis},
	}
}

// rates are the shares of mistakes at which detection times are compared.
var rates = []float64{1e-3, 1e-4}

// fieldResults are those of each contestant's thresholds, in their order, then those of others.
type fieldResults map[string]map[string][]Result // by trace, contestant

// compare runs the field on every trace, at its thresholds and then between those that bracket each rate and the ends of its interval.
func compare(t *testing.T, beats int, seed uint64) fieldResults {
	all := fieldResults{}
	for _, l := range Links() {
		all[l.Name] = map[string][]Result{}
		trace := l.Generate(beats, seed)
		for _, c := range field() {
			found := Run(trace, c.new(t), 1000, c.thresholds...)
			var fine []float64
			for _, rate := range rates {
				for _, of := range []func(Result) float64{lowShare, middleShare, highShare} {
					low, high := 0.0, math.Inf(1)
					for _, r := range found {
						if of(r) > rate {
							low = max(low, r.Threshold)
						} else {
							high = min(high, r.Threshold)
						}
					}
					if low > 0 && !math.IsInf(high, 1) && low < high {
						fine = append(fine, steps(low, high, 12)[1:11]...)
					}
				}
			}
			found = append(found, Run(trace, c.new(t), 1000, fine...)...)
			for i := range found {
				found[i].mistaken, found[i].gaps = nil, nil // gigabytes, of all
			}
			all[l.Name][c.name] = found
		}
		t.Log(l.Name)
	}
	return all
}

func lowShare(r Result) float64    { return r.Share.Low }
func middleShare(r Result) float64 { return r.Share.Value }
func highShare(r Result) float64   { return r.Share.High }

// detection is the mean detection time, in ms, at the lowest threshold tried that makes at most one mistake in 1/rate heartbeats. Its
// interval is that of the time, and of the threshold too: from the lowest whose share of mistakes may well be as low as the rate to
// the lowest whose share is hardly above it. +Inf where none tried is.
func detection(results []Result, rate float64) (e Estimate) {
	e = Estimate{math.Inf(1), math.Inf(1), math.Inf(1)}
	for _, r := range results {
		d := r.DetectionTime
		if lowShare(r) <= rate {
			e.Low = min(e.Low, 1000*d.Low)
		}
		if middleShare(r) <= rate {
			e.Value = min(e.Value, 1000*d.Value)
		}
		if highShare(r) <= rate {
			e.High = min(e.High, 1000*d.High)
		}
	}
	return e
}

// writeField writes how the field does on the same traces, in tables and pictures.
func writeField(t *testing.T, b *strings.Builder) {
	const beats = 200_000
	seed := seeds(t)[0]
	results := compare(t, beats, seed)
	fmt.Fprintf(b, "\n## The field, side by side\n\nEach as published, on the same traces, %d heartbeats each, seed %d.\n\n"+
		"### What φ promises, and what it does\n\nMeasured decades at the promised φ, and their 95 %% interval; one that means what it says shows φ, or a\n"+
		"little more.\n", beats, seed)
	for _, k := range []int{1, 3, 4} { // of the thresholds, φ = 2, 4 and 8
		var columns []contestant
		for _, c := range field() {
			if c.accrual {
				columns = append(columns, c)
			}
		}
		tableHead(b, fmt.Sprintf("φ = %v", columns[0].thresholds[k]), columns)
		for _, l := range Links() {
			fmt.Fprintf(b, "| %s |", l.Name)
			for _, c := range columns {
				fmt.Fprintf(b, " %s |", decades(results[l.Name][c.name][k].Share))
			}
			b.WriteString("\n")
		}
	}
	for _, rate := range rates {
		fmt.Fprintf(b, "\n### Mean detection time at no more than one mistake in %.0f heartbeats\n\n"+
			"Milliseconds from a crash right after a heartbeat was sent, at the lowest threshold tried that holds the rate on\n"+
			"this trace: hindsight, for all of them alike. In brackets from the least that may well hold it (the 95 %% interval\n"+
			"of its mistakes reaches down to the rate) to the least that surely does. –: none tried does.\n", 1/rate)
		tableHead(b, "trace", field())
		for _, l := range Links() {
			fmt.Fprintf(b, "| %s |", l.Name)
			for _, c := range field() {
				d := detection(results[l.Name][c.name], rate)
				fmt.Fprintf(b, " %s |", strings.ReplaceAll(fmt.Sprintf("%.0f [%.0f, %.0f]", d.Value, d.Low, d.High), "+Inf", "–"))
			}
			b.WriteString("\n")
		}
	}
	b.WriteString("\n![promised and measured φ](phi-promised.svg)\n")
	for i, name := range []string{"loss 5 %", "stalls, Pareto", "day and night"} {
		file := fmt.Sprintf("phi-field-%d.svg", i+1)
		fmt.Fprintf(b, "\n![detection time against mistakes, %s](%s)\n", name, file)
		var lines []line
		for _, c := range field() {
			l := line{name: c.name}
			for _, r := range results[name][c.name] {
				if r.Mistakes > 0 && r.DetectionTime.Value < 1.5 {
					l.points = append(l.points, plotter.XY{X: 1000 * r.DetectionTime.Value, Y: r.Share.Value})
				}
			}
			lines = append(lines, l)
		}
		chart(t, file, name, "mean detection time, ms", "mistakes per heartbeat", false, true, lines)
	}
	var promised []line
	for _, c := range field() {
		if !c.accrual {
			continue
		}
		// The worst trace at each φ.
		l := line{name: c.name}
		for k, phi := range c.thresholds {
			worst := math.Inf(1)
			for _, link := range Links() {
				worst = min(worst, -math.Log10(results[link.Name][c.name][k].Share.Value))
			}
			if phi <= 8 && !math.IsInf(worst, 1) {
				l.points = append(l.points, plotter.XY{X: phi, Y: worst})
			}
		}
		promised = append(promised, l)
	}
	promised = append(promised, line{"as promised", plotter.XYs{{X: 0, Y: 0}, {X: 5, Y: 5}}})
	chart(t, "phi-promised.svg", "φ on the worst of the traces", "promised φ", "measured φ", false, false, promised)
}

func tableHead(b *strings.Builder, first string, columns []contestant) {
	fmt.Fprintf(b, "\n| %s |", first)
	for _, c := range columns {
		fmt.Fprintf(b, " %s |", c.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(columns)) + "\n")
}
