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
//	go test ./internal/qos -run '^TestResults$' -timeout 0 -v -args -out=$PWD/docs/results
var out = flag.String("out", "", "directory for the published results; none are made without")

// TestResults writes the published tables and pictures.
func TestResults(t *testing.T) {
	if *out == "" {
		t.Skip("writes files; run with -out=DIRECTORY")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# φ, promised and measured\n\n"+
		"Made by `go test ./internal/qos -run '^TestResults$' -timeout 0 -v -args -seeds=%s -out=$PWD/docs/results`\n"+
		"(with `-full` for φ = 5) from seeded traces; every figure can be had again to the last digit. The traces\n"+
		"are described in `internal/qos/traces.go`, the measures in `internal/qos/qos.go`. Interval 100 ms unless\n"+
		"the trace changes it. The first 1,000 heartbeats train and are not counted. All traces are made up; no public\n"+
		"trace of real senders was available.\n\n", *seedList)
	t.Run("calibration", func(t *testing.T) { writeCalibration(t, &b) })
	t.Run("turning", func(t *testing.T) { writeTurning(t, &b) })
	t.Run("field", func(t *testing.T) { writeField(t, &b) })
	write(t, "phi.md", b.String())
}

// writeCalibration writes what φ does on each link.
func writeCalibration(t *testing.T, b *strings.Builder) {
	const beats = 400_000
	header := "| trace | φ | mistakes | share [95 %] | optimism: median, worst | time-out, s | × best fixed [95 %]; worst |\n|---|---|---|---|---|---|---|\n"
	table := func(beats int, numbered bool, phis ...float64) {
		b.WriteString(header)
		for i, l := range Links() {
			for _, rs := range replicate(t, i, beats, numbered, phis...) {
				calibrationRow(b, l.Name, rs)
				t.Log(l.Name, "numbered:", numbered, rs)
			}
		}
	}
	fmt.Fprintf(b, "## Calibrated\n\n"+
		"Share of heartbeats that arrive after φ was crossed; by how many decades that is more (+) or less than promised; and the\n"+
		"mean time-out as a multiple of the best constant one (chosen with hindsight, with as few mistakes on the same trace).\n"+
		"%d heartbeats a trace, under each of the seeds %s: mistakes, share, time-out and its multiple are of all of them\n"+
		"together, medians and worst over the seeds. Mistakes cluster, in bursts and spells, so intervals of shares are by the means of\n"+
		"30 blocks, or Wilson's where that is wider; those of the multiple are by the block bootstrap. The constants of the model\n"+
		"were chosen on seeds 1 to 3; the others confirm them.\n\n", beats, *seedList)
	table(beats, true, 1, 2, 3, 4)
	b.WriteString("\n### Without numbers\n\nThe same where losses are inferred from silences.\n\n")
	table(beats, false, 1, 2, 3, 4)
	if *full {
		b.WriteString("\n### φ = 5, on 5,000,000 heartbeats a trace and seed\n\n")
		table(5_000_000, true, 5)
	}
}

func calibrationRow(b *strings.Builder, name string, rs replicas) {
	k, n := rs.mistakes()
	share := PooledShare(rs...)
	timeout, ratio := rs.average(func(r Result) Estimate { return r.Timeout }), rs.average(Result.Ratio)
	_, longest := rs.spread(timesBest)
	fmt.Fprintf(b, "| %s | %v | %d of %d | %.2g [%.2g, %.2g] | %s | %.4f ± %.4f | %.2f [%.2f, %.2f]; %.2f |\n", name, rs[0].Threshold, k, n,
		share.Value, share.Low, share.High, rs.optimism(), timeout.Value, timeout.High-timeout.Value, ratio.Value, ratio.Low, ratio.High, longest)
}

// writeTurning writes how φ follows a link that changes.
func writeTurning(t *testing.T, b *strings.Builder) {
	fmt.Fprintf(b, "\n## A link that turns bad and good\n\n"+
		"%d heartbeats without loss and with a jitter of 1 ms, then %d with 10 %% loss and a jitter of 20 ms, 100 times over,\n"+
		"under each of the seeds. By heartbeats since the turn: measured φ, which is the decades of the share of mistakes, and mean\n"+
		"time-outs in ms, both with their 95 %% intervals.\n\n"+
		"| phase | since | φ = 1 | φ = 2 | φ = 3 | φ = 4 |\n|---|---|---|---|---|---|\n", turnGood, turnBad)
	phases := turn(t, 100, seeds(t)...)
	for i := range phases {
		p := &phases[i]
		fmt.Fprintf(b, "| %s | %d … %d |", map[bool]string{true: "bad", false: "good"}[p.bad], p.from, p.to)
		for k := range 4 {
			timeout := p.timeout(k)
			fmt.Fprintf(b, " %s, %.0f ± %.1f |", decades(p.mistakes(k)), 1000*timeout.Value, 1000*(timeout.High-timeout.Value))
		}
		b.WriteString("\n")
	}
}

// decades shows a share as the φ it amounts to.
func decades(e Estimate) string {
	low, high := -math.Log10(e.High), -math.Log10(e.Low)
	switch {
	case e.Value == 0:
		return fmt.Sprintf("> %.1f", low)
	case e.Low == 0:
		return fmt.Sprintf("%.2f [%.2f, –]", -math.Log10(e.Value), low)
	}
	return fmt.Sprintf("%.2f [%.2f, %.2f]", -math.Log10(e.Value), low, max(0, high)) // no −0
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
	fmt.Fprintf(&b, "# Quality of service\n\nMade by `go test ./internal/qos -run '^TestQuality$' -v -args -out=$PWD/docs/results`: the measures of Chen,\n"+
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
	b.WriteString("# Time-outs\n\nMade by `go test ./internal/qos -run '^TestTimeouts$' -v -args -out=$PWD/docs/results`. " +
		"All in intervals of the sender,\ncounted from the last heartbeat that was heard; the models have their defaults.\n\n")
	header := func(first string) {
		fmt.Fprintf(&b, "| %s |", first)
		for _, phi := range phis {
			fmt.Fprintf(&b, " φ = %v |", phi)
		}
		b.WriteString("\n|---|" + strings.Repeat("---|", len(phis)) + "\n")
	}
	b.WriteString("## Known links\n\nMean over the second half of 100,000 heartbeats (interval 100 ms) of each trace, and its 95 % interval.\n\n")
	for _, model := range []phiaccrual.Model{phiaccrual.Calibrated, phiaccrual.Normal, phiaccrual.Exponential} {
		fmt.Fprintf(&b, "### %v\n\n", model)
		header("link")
		for _, l := range Links() {
			if l.Interval != nil {
				continue // intervals differ
			}
			fmt.Fprintf(&b, "| %s |", l.Name)
			for _, r := range Run(l.Generate(100_000, 1), mustAccrual(t, phiaccrual.Config{Model: model}, true), 50_000, phis...) {
				fmt.Fprintf(&b, " %.2f ± %.2f |", r.Timeout.Value/0.1, (r.Timeout.High-r.Timeout.Value)/0.1)
			}
			b.WriteString("\n")
		}
		b.WriteString("\n")
		t.Log(model)
	}
	b.WriteString("## A new peer\n\nCalibrated, after so many heartbeats on the dot and without loss: a link that may turn out to be anything. Computed, not sampled.\n\n")
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
