package qos

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pulsering/pulsering/phiaccrual"
)

// out is where TestResults writes its tables and pictures:
//
//	go test ./phiaccrual/qos -run '^TestResults$' -timeout 0 -v -args -out=$PWD/docs/results
var out = flag.String("out", "", "directory for the published results; none are made without")

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

// decades shows a share as the φ it amounts to.
func decades(e Estimate) string {
	if e.Value == 0 {
		return fmt.Sprintf("none (> %.1f)", -math.Log10(e.High))
	}
	return fmt.Sprintf("%.2f", -math.Log10(e.Value))
}

// TestResults writes the published tables and pictures.
func TestResults(t *testing.T) {
	if *out == "" {
		t.Skip("writes files; run with -out=DIRECTORY")
	}
	beats := 400_000
	seed := seeds(t)[0]
	var b strings.Builder
	fmt.Fprintf(&b, "# φ, promised and measured\n\n"+
		"Made by `go test ./phiaccrual/qos -run '^TestResults$' -timeout 0 -v -args -seeds=%s -out=$PWD/docs/results`\n"+
		"(with `-full` for φ = 5) from seeded traces; every figure can be had again to the last digit. The traces\n"+
		"are described in `phiaccrual/qos/traces.go`, the measures in `phiaccrual/qos/qos.go`. Interval 100 ms unless\n"+
		"the trace changes it. The first 1,000 heartbeats train and are not counted. All traces are made up; no public\n"+
		"trace of real senders was available.\n\n", *seedList)
	header := "| trace | φ | mistakes | share [95 %] | optimism: median, worst | time-out, s | × best fixed: median, worst |\n|---|---|---|---|---|---|---|\n"
	fmt.Fprintf(&b, "## Calibrated\n\n"+
		"Share of heartbeats that arrive after φ was crossed; by how many decades that is more (+) or less than promised; and the\n"+
		"mean time-out as a multiple of the best constant one (chosen with hindsight, with as few mistakes on the same trace).\n"+
		"%d heartbeats a trace, under each of the seeds %s: mistakes, share and time-out are of all of them together, medians\n"+
		"and worst over the seeds. Mistakes cluster, in bursts and spells, so intervals of shares are by the means of 30 blocks, or\n"+
		"Wilson's where that is wider. The constants of the model were chosen on seeds 1 to 3; the others confirm them.\n\n%s",
		beats, *seedList, header)
	for i, l := range Links() {
		for _, rs := range replicate(t, i, beats, true, 1, 2, 3, 4) {
			calibrationRow(&b, l.Name, rs)
			t.Log(l.Name, rs)
		}
	}
	b.WriteString("\n### Without numbers\n\nOptimism, median and worst, and × best fixed, worst, where losses are inferred from silences.\n\n" +
		"| trace | φ = 1 | φ = 2 | φ = 3 | φ = 4 |\n|---|---|---|---|---|\n")
	for i, l := range Links() {
		fmt.Fprintf(&b, "| %s |", l.Name)
		for _, rs := range replicate(t, i, beats, false, 1, 2, 3, 4) {
			_, longest := rs.spread(Result.Ratio)
			fmt.Fprintf(&b, " %s; %.2f |", rs.optimism(), longest)
			t.Log(l.Name, "without numbers", rs)
		}
		b.WriteString("\n")
	}
	if *full {
		b.WriteString("\n### φ = 5, on 5,000,000 heartbeats a trace and seed\n\n" + header)
		for i, l := range Links() {
			rs := replicate(t, i, 5_000_000, true, 5)[0]
			calibrationRow(&b, l.Name, rs)
			t.Log(l.Name, rs)
		}
	}

	b.WriteString("\n## A link that turns bad and good\n\n" +
		fmt.Sprintf("%d heartbeats without loss and with a jitter of 1 ms, then %d with 10 %% loss and a jitter of 20 ms, 100 times over,\n"+
			"under each of the seeds. Measured φ (decades of the share of mistakes; in brackets the least under any one seed), and\n"+
			"mean time-outs in ms, by heartbeats since the turn.\n\n", turnGood, turnBad) +
		"| phase | since | φ = 1 | φ = 2 | φ = 3 | φ = 4 |\n|---|---|---|---|---|---|\n")
	var turns [][]phase
	for _, seed := range seeds(t) {
		turns = append(turns, turn(t, 100, seed))
	}
	for i, p := range turns[0] {
		fmt.Fprintf(&b, "| %s | %d … %d |", map[bool]string{true: "bad", false: "good"}[p.bad], p.from, p.to)
		for k := range 4 {
			beats, mistakes, timeout, most := 0, 0, 0.0, 0
			for _, phases := range turns {
				beats += phases[i].beats
				mistakes += phases[i].mistakes[k]
				most = max(most, phases[i].mistakes[k])
				timeout += phases[i].timeout[k] / float64(len(turns))
			}
			measured := fmt.Sprintf("> %.1f", math.Log10(float64(beats)/3))
			if mistakes > 0 {
				measured = fmt.Sprintf("%.2f (%.2f)", math.Log10(float64(beats)/float64(mistakes)), math.Log10(float64(p.beats)/float64(most)))
			}
			fmt.Fprintf(&b, " %s, %.0f |", measured, 1000*timeout)
		}
		b.WriteString("\n")
	}

	beats = 200_000
	results := map[string]map[string][]Result{} // by trace, detector
	for _, l := range Links() {
		results[l.Name] = map[string][]Result{}
		trace := l.Generate(beats, seed)
		for _, c := range field() {
			coarse := Run(trace, c.new(t), 1000, c.thresholds...)
			// Once more between the thresholds that bracket each rate.
			var fine []float64
			for _, rate := range rates {
				low, high := 0.0, math.Inf(1)
				for _, r := range coarse {
					if r.Share.Value > rate {
						low = max(low, r.Threshold)
					} else {
						high = min(high, r.Threshold)
					}
				}
				if low > 0 && !math.IsInf(high, 1) && low < high {
					fine = append(fine, steps(low, high, 12)[1:11]...)
				}
			}
			results[l.Name][c.name] = append(coarse, Run(trace, c.new(t), 1000, fine...)...)
		}
		t.Log(l.Name, "field")
	}
	fmt.Fprintf(&b, "\n## The field, side by side\n\nEach as published, on the same traces, %d heartbeats each, seed %d.\n\n"+
		"### What φ promises, and what it does\n\nMeasured decades at the promised φ; one that means what it says shows φ, or a little more.\n\n"+
		"| trace |", beats, seed)
	var names []string
	for _, c := range field() {
		if c.accrual {
			names = append(names, c.name)
			for _, phi := range []int{2, 4, 8} {
				if phi < 8 || c.name != "calibrated" {
					fmt.Fprintf(&b, " %s φ = %d |", c.name, phi)
				}
			}
		}
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", 3*len(names)-1) + "\n")
	for _, l := range Links() {
		fmt.Fprintf(&b, "| %s |", l.Name)
		for _, name := range names {
			for _, k := range []int{1, 3, 4} {
				if k < 4 || name != "calibrated" {
					fmt.Fprintf(&b, " %s |", decades(results[l.Name][name][k].Share))
				}
			}
		}
		b.WriteString("\n")
	}
	for _, target := range rates {
		fmt.Fprintf(&b, "\n### Mean detection time at no more than one mistake in %.0f heartbeats\n\n"+
			"Milliseconds from a crash right after a heartbeat was sent, at the lowest threshold tried that holds the\n"+
			"rate on this trace: hindsight, for all of them alike. –: none tried does.\n\n| trace |", 1/target)
		for _, c := range field() {
			fmt.Fprintf(&b, " %s |", c.name)
		}
		b.WriteString("\n|---|" + strings.Repeat("---|", len(field())) + "\n")
		for _, l := range Links() {
			fmt.Fprintf(&b, "| %s |", l.Name)
			for _, c := range field() {
				best := math.Inf(1)
				for _, r := range results[l.Name][c.name] {
					if r.Share.Value <= target {
						best = min(best, 1000*r.DetectionTime.Value)
					}
				}
				if math.IsInf(best, 1) {
					b.WriteString(" – |")
				} else {
					fmt.Fprintf(&b, " %.0f |", best)
				}
			}
			b.WriteString("\n")
		}
	}
	b.WriteString("\n![promised and measured φ](phi-promised.svg)\n")
	for i, name := range []string{"loss 5 %", "stalls, Pareto", "day and night"} {
		file := fmt.Sprintf("phi-field-%d.svg", i+1)
		fmt.Fprintf(&b, "\n![detection time against mistakes, %s](%s)\n", name, file)
		var series []line
		for _, c := range field() {
			s := line{name: c.name}
			for _, r := range results[name][c.name] {
				if r.Mistakes > 0 && r.DetectionTime.Value < 1.5 {
					s.points = append(s.points, point{1000 * r.DetectionTime.Value, math.Log10(r.Share.Value)})
				}
			}
			series = append(series, s)
		}
		write(t, file, chart(name, "mean detection time, ms", "log10 of mistakes per heartbeat", series))
	}
	var promised []line
	for _, c := range field() {
		if !c.accrual {
			continue
		}
		// The worst trace at each φ.
		s := line{name: c.name}
		for k, phi := range c.thresholds {
			worst := math.Inf(1)
			for _, l := range Links() {
				worst = min(worst, -math.Log10(results[l.Name][c.name][k].Share.Value))
			}
			if phi <= 8 && !math.IsInf(worst, 1) {
				s.points = append(s.points, point{phi, worst})
			}
		}
		promised = append(promised, s)
	}
	promised = append(promised, line{name: "as promised", points: []point{{0, 0}, {5, 5}}})
	write(t, "phi-promised.svg", chart("φ on the worst of the traces", "promised φ", "measured φ", promised))
	write(t, "phi.md", b.String())
}

func calibrationRow(b *strings.Builder, name string, rs replicas) {
	k, n := rs.mistakes()
	share := PooledShare(rs...)
	ratio, longest := rs.spread(Result.Ratio)
	var timeout Estimate
	for _, r := range rs {
		timeout.Value += r.Timeout.Value / float64(len(rs))
		timeout.High = math.Hypot(timeout.High, (r.Timeout.High-r.Timeout.Value)/float64(len(rs)))
	}
	fmt.Fprintf(b, "| %s | %v | %d of %d | %.2g [%.2g, %.2g] | %s | %.4f ± %.4f | %.2f, %.2f |\n", name, rs[0].Threshold, k, n,
		share.Value, share.Low, share.High, rs.optimism(), timeout.Value, timeout.High, ratio, longest)
}

func write(t *testing.T, name, text string) {
	if err := os.MkdirAll(*out, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*out, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestQuality writes the other measures of Chen, Toueg and Aguilera, of Calibrated.
func TestQuality(t *testing.T) {
	if *out == "" {
		t.Skip("writes a file; run with -out=DIRECTORY")
	}
	const beats, seed = 200_000, 1
	var b strings.Builder
	fmt.Fprintf(&b, "# Quality of service\n\nMade by `go test ./phiaccrual/qos -run '^TestQuality$' -v -args -out=$PWD/docs/results`: the measures of Chen,\n"+
		"Toueg and Aguilera (IEEE TC 51(5), 2002, section 2) of Calibrated as it is by default. %d heartbeats of each trace, seed %d; the\n"+
		"first 1,000 train and are not counted. λ_M is the rate of mistakes about a live peer, E(T_MR) the time from one to the\n"+
		"next, E(T_M) how long one lasts, 1 − P_A the share of time in which the live peer is wrongly suspected; T_D the time from a crash\n"+
		"right after a heartbeat was sent until it is suspected, mean and 99.9 %% quantile. In brackets the 95 %% interval, by batch\n"+
		"means where mistakes come in clusters. Interval 100 ms unless the trace changes it.\n\n"+
		"| trace | φ | λ_M, 1/h | E(T_MR), s | E(T_M), ms | 1 − P_A | T_D, ms | T_D 99.9 %%, ms |\n|---|---|---|---|---|---|---|---|\n", beats, seed)
	for _, l := range Links() {
		for _, r := range Run(l.Generate(beats, seed), mustAccrual(t, phiaccrual.Config{}, true), 1000, 2, 3, 4) {
			cell := func(format string, by float64, e Estimate) string {
				return fmt.Sprintf(format+" ["+format+", "+format+"]", by*e.Value, max(0, by*e.Low), by*e.High)
			}
			recurrence, duration, wrong := "–", "–", "0"
			if r.Mistakes > 0 {
				recurrence, duration = cell("%.3g", 1, r.MistakeRecurrence), cell("%.3g", 1000, r.MistakeDuration)
				pa := r.QueryAccuracy
				wrong = cell("%.2g", 1, Estimate{1 - pa.Value, 1 - pa.High, 1 - pa.Low})
			}
			fmt.Fprintf(&b, "| %s | %v | %s | %s | %s | %s | %s | %s |\n", l.Name, r.Threshold, cell("%.3g", 3600, r.MistakeRate),
				recurrence, duration, wrong, cell("%.0f", 1000, r.DetectionTime), cell("%.0f", 1000, r.DetectionTime999))
		}
		t.Log(l.Name)
	}
	write(t, "phi-qos.md", b.String())
}

// TestTimeouts writes what thresholds amount to in time: for links that are
// known, and for a new peer.
func TestTimeouts(t *testing.T) {
	if *out == "" {
		t.Skip("writes a file; run with -out=DIRECTORY")
	}
	phis := []float64{1, 2, 3, 4, 5, 6, 8, 10, 12}
	var b strings.Builder
	b.WriteString("# Time-outs\n\nMade by `go test ./phiaccrual/qos -run '^TestTimeouts$' -v -args -out=$PWD/docs/results`. " +
		"All in intervals of the sender,\ncounted from the last heartbeat that was heard; the models have their defaults.\n\n")
	header := func(first string) {
		fmt.Fprintf(&b, "| %s |", first)
		for _, phi := range phis {
			fmt.Fprintf(&b, " φ = %v |", phi)
		}
		b.WriteString("\n|---|" + strings.Repeat("---|", len(phis)) + "\n")
	}
	b.WriteString("## Known links\n\nMean over the second half of 100,000 heartbeats (interval 100 ms) of each trace.\n\n")
	for _, model := range []phiaccrual.Model{phiaccrual.Calibrated, phiaccrual.Normal, phiaccrual.Exponential} {
		fmt.Fprintf(&b, "### %v\n\n", model)
		header("link")
		for _, l := range Links() {
			if l.Interval != nil {
				continue // intervals differ
			}
			fmt.Fprintf(&b, "| %s |", l.Name)
			for _, r := range Run(l.Generate(100_000, 1), mustAccrual(t, phiaccrual.Config{Model: model}, true), 50_000, phis...) {
				fmt.Fprintf(&b, " %.2f |", r.Timeout.Value/0.1)
			}
			b.WriteString("\n")
		}
		b.WriteString("\n")
		t.Log(model)
	}
	b.WriteString("## A new peer\n\nCalibrated, after so many heartbeats on the dot and without loss: a link that may turn out to be anything.\n\n")
	header("heartbeats heard")
	for heard := 1; heard <= 100_000; heard *= 10 {
		a := mustAccrual(t, phiaccrual.Config{}, true)
		for i := range heard {
			at := time.Duration(i) * 100 * time.Millisecond
			a.Heartbeat(Beat{uint64(i), at, at, 100 * time.Millisecond})
		}
		fmt.Fprintf(&b, "| %d |", heard)
		for _, phi := range phis {
			timeout, _ := a.estimator.Timeout(phi)
			fmt.Fprintf(&b, " %.2f |", timeout.Seconds()/0.1)
		}
		b.WriteString("\n")
	}
	write(t, "phi-timeouts.md", b.String())
}
