package phiaccrual

import (
	"encoding/csv"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"
)

var (
	epoch  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	models = []Model{Calibrated, Normal, Exponential}
)

func mustNew(t interface{ Fatal(...any) }, cfg Config) *Estimator {
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// steady returns an estimator that heard n numbered heartbeats on the dot, and
// the time of the last.
func steady(t interface{ Fatal(...any) }, cfg Config, n int) (*Estimator, time.Time) {
	e := mustNew(t, cfg)
	at := epoch
	for i := range n {
		if i > 0 {
			at = at.Add(e.interval)
		}
		e.HeartbeatSeq(at, uint64(i))
	}
	return e, at
}

func TestNormalPhiReference(t *testing.T) {
	f, err := os.Open("testdata/phi_normal.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comment = '#'
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	ms := func(s string) time.Duration {
		d, err := time.ParseDuration(s + "ms")
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	worst := 0.0
	for _, row := range rows[1:] {
		want, err := strconv.ParseFloat(row[3], 64)
		if err != nil {
			t.Fatal(err)
		}
		got := NormalPhi(ms(row[2]), ms(row[0]), ms(row[1]))
		diff := math.Abs(got - want)
		if want != 0 {
			diff /= want
		}
		if worst = max(worst, diff); !(diff <= 1e-13) {
			t.Errorf("NormalPhi(%s, %s, %s) = %v, want %v", row[2], row[0], row[1], got, want)
		}
	}
	t.Logf("%d rows, worst relative error %.2g", len(rows)-1, worst)
}

// The tail series takes over from math.Erfc without a step.
func TestNormalPhiContinuous(t *testing.T) {
	below := math.Nextafter(asymptoticFrom*math.Sqrt2, 0)
	a, _ := normalPhi(below, 1)
	b, _ := normalPhi(asymptoticFrom*math.Sqrt2, 1)
	if math.Abs(a-b) > 1e-12 {
		t.Errorf("φ just below and at the change of method: %.15g, %.15g", a, b)
	}
}

func TestModelsAsPublished(t *testing.T) {
	e, last := steady(t, Config{Model: Normal, MinStdDev: 100 * time.Millisecond, Pause: 3 * time.Second}, 5000)
	// Akka's defaults: threshold 8 after 1000 + 3000 + 5.612·100 ms; φ = 8 of the
	// exact normal tail is at 5.612 standard deviations.
	if got := e.Reaches(8).Sub(last).Seconds(); math.Abs(got-4.5612) > 1e-3 {
		t.Errorf("normal, Akka's settings: φ = 8 after %v s", got)
	}
	e, last = steady(t, Config{Model: Exponential}, 5000)
	// Cassandra's: 8·ln 10 = 18.42 means.
	if got := e.Reaches(8).Sub(last).Seconds(); math.Abs(got-8*math.Ln10) > 1e-3 {
		t.Errorf("exponential: φ = 8 after %v s", got)
	}
}

// Mean and variance follow the published window: samples, not assumptions.
func TestNormalLearns(t *testing.T) {
	e := mustNew(t, Config{Model: Normal, Interval: time.Second, MinStdDev: time.Nanosecond})
	at := epoch
	for i := range 20000 {
		e.Heartbeat(at)
		at = at.Add(1100*time.Millisecond + time.Duration(i%2)*200*time.Millisecond)
	}
	mean, sd := float64(e.mean)+1e9, math.Sqrt(float64(e.variance))
	if math.Abs(mean-1.2e9) > 1e6 || math.Abs(sd-1e8) > 1e6 {
		t.Errorf("mean %.4g s, deviation %.4g s, want 1.2 and 0.1", mean/1e9, sd/1e9)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		want []string // in the error; none: no error
	}{
		{Config{}, nil},
		{Config{Interval: 24 * time.Hour, MinStdDev: 1, Pause: 24 * time.Hour, Window: 1, Model: Exponential}, nil},
		{Config{Interval: -1}, []string{"Interval", "-1ns", "24h"}},
		{Config{Interval: 999}, []string{"Interval", "999ns", "1µs"}},
		{Config{Interval: 25 * time.Hour}, []string{"Interval", "25h", "24h"}},
		{Config{MinStdDev: -time.Second}, []string{"MinStdDev", "-1s", "24h"}},
		{Config{Pause: -time.Second}, []string{"Pause", "-1s", "24h"}},
		{Config{Window: -1}, []string{"Window", "-1", "49000"}},
		{Config{Window: 49_001}, []string{"Window", "49001", "49000"}},
		{Config{Window: 1_000_001, Model: Normal}, []string{"Window", "1000001", "1000000"}},
		{Config{Model: 3}, []string{"Model", "3", "Exponential"}},
	} {
		e, err := New(c.cfg)
		if (e == nil) != (err != nil) || (err != nil) != (c.want != nil) {
			t.Errorf("New(%+v) = %v, %v", c.cfg, e, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("New(%+v): %q does not name %s", c.cfg, err, w)
			}
		}
	}
	if err := mustNew(t, Config{}).SetInterval(0); err == nil {
		t.Error("SetInterval(0) is no error")
	}
}

func TestBeforeFirstHeartbeat(t *testing.T) {
	for _, m := range models {
		e := mustNew(t, Config{Model: m})
		e.Alive(epoch)
		if phi, at := e.Phi(epoch), e.Reaches(1); phi != 0 || !at.IsZero() {
			t.Errorf("%v: φ = %v, reaches 1 at %v", m, phi, at)
		}
	}
}

// Reaches is a fixpoint, φ finite, never negative and monotone, whatever was
// heard before: gaps, bursts, steps of the clock, old numbers, other intervals.
func TestReaches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := mustNew(t, Config{
			Interval:  time.Duration(rapid.Int64Range(1e6, 4e10).Draw(t, "interval")),
			Model:     rapid.SampledFrom(models).Draw(t, "model"),
			Pause:     time.Duration(rapid.SampledFrom([]int64{0, 0, 1, 4e8}).Draw(t, "pause")),
			MinStdDev: time.Duration(rapid.SampledFrom([]int64{0, 1, 1e8}).Draw(t, "minStdDev")),
			Window:    rapid.SampledFrom([]int{0, 1, 2, 100}).Draw(t, "window"),
		})
		at, seq := epoch, uint64(1000)
		e.HeartbeatSeq(at, seq)
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			at = at.Add(time.Duration(rapid.Float64Range(-0.5, 4).Draw(t, "elapsed") * float64(e.interval)))
			switch rapid.IntRange(0, 7).Draw(t, "what") {
			case 0:
				e.Heartbeat(at)
			case 1:
				e.Alive(at)
			case 2:
				if err := e.SetInterval(time.Duration(rapid.Int64Range(1e6, 4e10).Draw(t, "next"))); err != nil {
					t.Fatal(err)
				}
			case 3:
				at = at.Add(-time.Duration(rapid.Int64Range(0, 1e13).Draw(t, "back")))
			case 4:
				e.Reset()
				e.Heartbeat(at)
			default:
				seq += rapid.Uint64Range(0, 4).Draw(t, "gap")
				e.HeartbeatSeq(at, seq)
			}
		}
		before := 0.0
		xs := []float64{0.01, 0.1, rapid.Float64Range(0.01, 300).Draw(t, "x"), 300}
		for range 20 { // what φ is at some instant, and a bit more
			if x := e.Phi(at.Add(time.Duration(rapid.Float64Range(0, 20).Draw(t, "silence") * float64(e.interval)))); x >= 0.01 {
				xs = append(xs, x, math.Nextafter(x, 301))
			}
		}
		for _, x := range xs {
			r := e.Reaches(x)
			if r.IsZero() {
				t.Fatalf("never reaches %v", x)
			}
			if got := e.Phi(r); !(got >= x) || math.IsInf(got, 0) {
				t.Fatalf("Phi(Reaches(%v)) = %v", x, got)
			}
			if got := e.Phi(r.Add(-1)); !(got <= x) {
				t.Fatalf("Phi(Reaches(%v) - 1ns) = %v", x, got)
			}
		}
		for range 40 {
			at = at.Add(time.Duration(rapid.Float64Range(0, 3).Draw(t, "wait") * float64(e.interval)))
			phi := e.Phi(at)
			if !(phi >= 0) || phi < before-1e-9*(1+before) || math.IsInf(phi, 0) {
				t.Fatalf("φ went from %v to %v", before, phi)
			}
			before = phi
		}
		if phi := e.Phi(at.Add(90 * 365 * 24 * time.Hour)); !(phi >= before) || math.IsInf(phi, 0) {
			t.Fatalf("φ after 90 years = %v", phi)
		}
	})
}

func TestReachesNever(t *testing.T) {
	for _, m := range models {
		e, last := steady(t, Config{Model: m}, 10)
		if got := e.Reaches(math.NaN()); !got.IsZero() {
			t.Errorf("%v: NaN reached at %v", m, got)
		}
		if got := e.Reaches(math.Inf(1)); !got.IsZero() {
			t.Errorf("%v: +Inf reached at %v", m, got)
		}
		if got := e.Reaches(0); !got.Equal(last) {
			t.Errorf("%v: 0 reached at %v, want at the last heartbeat", m, got)
		}
	}
}

func TestOddNumbersAndClocks(t *testing.T) {
	for _, m := range models {
		e, last := steady(t, Config{Model: m}, 100)
		want := *e
		e.HeartbeatSeq(last.Add(time.Second), 99) // duplicate
		e.HeartbeatSeq(last.Add(time.Second), 7)  // old
		e.Heartbeat(last)                         // duplicate by time
		e.Heartbeat(last.Add(-time.Second))       // reported late
		e.Alive(last.Add(-time.Hour))
		e.Alive(last.Add(e.interval - 1))
		if *e != want {
			t.Errorf("%v: changed by what is old:\n%+v\n%+v", m, *e, want)
		}
		// The clock is set back by an hour: the schedule goes on from there.
		for i := range 10 {
			last = epoch.Add(-time.Hour + time.Duration(i)*time.Second)
			e.Heartbeat(last)
		}
		if got := e.Phi(last.Add(time.Minute)); got < 8 {
			t.Errorf("%v: φ = %v a minute after the last heartbeat", m, got)
		}
		e.Reset()
		e.HeartbeatSeq(last, 0)
		if !e.last.Equal(last) {
			t.Errorf("%v: number 0 is old after Reset", m)
		}
	}
}

// An outage is no sample: a time-out learnt before it holds after it.
func TestOutage(t *testing.T) {
	for _, m := range models {
		e, last := steady(t, Config{Model: m}, 2000)
		before := e.Reaches(8).Sub(last)
		for i := range 10 {
			last = last.Add(time.Hour)
			e.HeartbeatSeq(last, uint64(2000+i))
		}
		if after := e.Reaches(8).Sub(last); after != before {
			t.Errorf("%v: time-out %v before, %v after ten hours of outage", m, before, after)
		}
	}
}

// An outage begins where Calibrated's buckets end.
func TestOutageBeginsAtSixteenIntervals(t *testing.T) {
	for _, m := range models {
		for _, c := range []struct {
			silence time.Duration
			learns  bool
		}{{16 * time.Second, true}, {16*time.Second + 1, false}} {
			e, last := steady(t, Config{Model: m}, 100)
			before, _ := e.Timeout(8)
			e.HeartbeatSeq(last.Add(c.silence), 100)
			if after, _ := e.Timeout(8); (after > before) != c.learns {
				t.Errorf("%v: after a silence of %v the time-out is %v, and %v before", m, c.silence, after, before)
			}
		}
	}
}

func TestAlive(t *testing.T) {
	for _, m := range models {
		e, last := steady(t, Config{Model: m}, 1000)
		moved := *e
		moved.Alive(last.Add(3500 * time.Millisecond))
		if got := moved.Reaches(0); !got.Equal(last.Add(3 * time.Second)) {
			t.Errorf("%v: base of silence is %v after the last heartbeat, want 3s", m, got.Sub(last))
		}
		again := moved
		again.Alive(last.Add(2 * time.Second)) // older evidence
		if again != moved {
			t.Errorf("%v: older evidence moved the base", m)
		}
		if was, is := e.Phi(last.Add(4*time.Second)), moved.Phi(last.Add(4*time.Second)); is >= was {
			t.Errorf("%v: φ %v without evidence of life, %v with", m, was, is)
		}
		// What comes due after the evidence still counts.
		if phi := moved.Phi(last.Add(60 * time.Second)); phi < 8 {
			t.Errorf("%v: φ = %v long after the last sign of life", m, phi)
		}
		// The next heartbeat is a sample as if there had been no evidence.
		moved.HeartbeatSeq(last.Add(4*time.Second), 1003)
		e.HeartbeatSeq(last.Add(4*time.Second), 1003)
		if moved != *e {
			t.Errorf("%v: evidence changed what was learnt:\n%+v\n%+v", m, moved, *e)
		}
	}
}

// The interval may change at any time; what was learnt stays.
func TestSetInterval(t *testing.T) {
	for _, m := range models {
		e, last := steady(t, Config{Model: m, MinStdDev: 20 * time.Millisecond}, 5000)
		for _, interval := range []time.Duration{10 * time.Second, 100 * time.Millisecond, time.Second} {
			if err := e.SetInterval(interval); err != nil {
				t.Fatal(err)
			}
			seq := e.seq
			for i := range 5 {
				last = last.Add(interval)
				if phi := e.Phi(last); phi > 0.5 {
					t.Errorf("%v: φ = %v at a heartbeat on the dot, %d after a change to %v", m, phi, i, interval)
				}
				e.HeartbeatSeq(last, seq+uint64(i)+1)
			}
			fresh, at := steady(t, Config{Model: m, Interval: interval, MinStdDev: 20 * time.Millisecond}, 5000)
			got, want := e.Reaches(3).Sub(last), fresh.Reaches(3).Sub(at)
			if r := float64(got) / float64(want); r < 0.9 || r > 1.2 {
				t.Errorf("%v: time-out %v after a change to %v, %v when that was so from the beginning", m, got, interval, want)
			}
		}
	}
}

// A new peer can be told dead soon, and is not told dead for one lost
// heartbeat; at every interval and for the thresholds of small and large
// clusters.
func TestFirstTimeouts(t *testing.T) {
	for _, interval := range []time.Duration{125 * time.Millisecond, time.Second, 2 * time.Second} {
		for _, pause := range []time.Duration{0, 400 * time.Millisecond} {
			for beats := 1; beats <= 20000; beats *= 10 {
				e, last := steady(t, Config{Interval: interval, Pause: pause}, beats)
				for _, phi := range []float64{8, 9, 11} {
					n := float64(e.Reaches(phi).Sub(last)-pause) / float64(interval)
					t.Logf("%v, %v: φ = %v after %d heartbeats: %.2f intervals", interval, pause, phi, beats, n)
					if n < 2.5 || n > 7.5 {
						t.Errorf("time-out is %.2f intervals", n)
					}
				}
			}
		}
	}
}

func TestNoAllocation(t *testing.T) {
	for _, m := range models {
		e, at := steady(t, Config{Model: m}, 10)
		seq := e.seq
		if n := testing.AllocsPerRun(100, func() {
			at, seq = at.Add(time.Second), seq+1
			e.HeartbeatSeq(at, seq)
			e.Phi(at.Add(time.Minute))
			e.Reaches(9)
		}); n != 0 {
			t.Errorf("%v: %v allocations", m, n)
		}
	}
}

// The arithmetic knows no clock, no lock and no network: it imports nothing
// beyond this list and asks package time for no present instant.
func TestPure(t *testing.T) {
	allowed := []string{"errors", "fmt", "math", "math/bits", "strconv", "time", "github.com/pulsering/pulsering/internal/pace"}
	clock := []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"}
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("../internal/pace/*.go")
	if err != nil || len(more) == 0 {
		t.Fatalf("internal/pace: %v, %v", more, err)
	}
	names = append(names, more...)
	files := 0
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		files++
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range file.Imports {
			if path, _ := strconv.Unquote(imp.Path.Value); !slices.Contains(allowed, path) {
				t.Errorf("%s imports %s", name, path)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clock, sel.Sel.Name) {
					t.Errorf("%s uses time.%s", name, sel.Sel.Name)
				}
			}
			return true
		})
	}
	if files == 0 {
		t.Fatal("no file checked")
	}
}

// However quiet the link was, MinStdDev bounds what a lateness can mean.
func TestMinStdDev(t *testing.T) {
	for _, m := range []Model{Calibrated, Normal} {
		e, last := steady(t, Config{Model: m, MinStdDev: 200 * time.Millisecond}, 40_000)
		for _, late := range []time.Duration{1, 1e8, 2e8, 5e8, 8e8} {
			want := NormalPhi(late, 0, 200*time.Millisecond)
			if got := e.Phi(last.Add(time.Second + late)); got > want+0.01 {
				t.Errorf("%v: φ = %v at a lateness of %v, want at most %v", m, got, late, want)
			}
		}
	}
}

// Beyond furthest φ goes on as it came: at the rate of the slower prior, which two
// long stalls, or MinStdDev, stretch.
func TestBeyondFurthest(t *testing.T) {
	stalled := func(stall time.Duration, loss int) *Estimator {
		e, last := steady(t, Config{}, 300)
		for i := range 10 {
			for range 100 {
				last = last.Add(time.Second)
				e.HeartbeatSeq(last, e.seq+1)
			}
			if i < 2 {
				last = last.Add(stall)
				e.HeartbeatSeq(last, e.seq+1)
			}
			last = last.Add(time.Duration(loss+1) * time.Second)
			e.HeartbeatSeq(last, e.seq+1+uint64(loss))
		}
		return e
	}
	coarse, _ := steady(t, Config{MinStdDev: 10 * time.Second}, 1000)
	quiet, _ := steady(t, Config{}, 1000)
	for name, e := range map[string]*Estimator{
		"quiet": quiet, "two stalls": stalled(15*time.Second, 0), "runs of losses": stalled(0, 12), "MinStdDev": coarse,
	} {
		phi := func(intervals int) float64 { return e.PhiAfter(time.Duration(intervals) * e.interval) }
		before, after := phi(furthest)-phi(furthest-1), phi(furthest+1)-phi(furthest)
		t.Logf("%s: φ = %.2f, %.3f more an interval before, %.3f after", name, phi(furthest), before, after)
		if after < before/2 || after > before*1.2 {
			t.Errorf("%s: φ grows by %v an interval until %d intervals, and by %v then", name, before, furthest, after)
		}
		if further := (phi(3*furthest) - phi(2*furthest)) / furthest; math.Abs(further-after) > 1e-9 {
			t.Errorf("%s: φ grows by %v an interval at first, and by %v later", name, after, further)
		}
	}
}

// MinStdDev of many intervals: silence is short for it long after furthest.
func TestMinStdDevOfManyIntervals(t *testing.T) {
	const deviation = 100 * time.Millisecond
	e, _ := steady(t, Config{Interval: time.Millisecond, MinStdDev: deviation}, 5000)
	for late := time.Duration(0); late < 10*deviation; late += deviation / 10 {
		want := NormalPhi(late, 0, deviation)
		if got := e.PhiAfter(e.interval + late); got > want+0.01 {
			t.Errorf("φ = %v at a lateness of %v, want at most %v", got, late, want)
		}
	}
	if timeout, _ := e.Timeout(8); timeout < 560*time.Millisecond {
		t.Errorf("φ = 8 after %v, want at least 5.6 deviations", timeout)
	}
}

// Without numbers, losses are inferred from silences of whole intervals.
func TestUnnumbered(t *testing.T) {
	for _, c := range []struct{ elapsed, lost int }{{1000, 0}, {1700, 0}, {1800, 1}, {2000, 1}, {2490, 1}, {2510, 2}, {3100, 2}, {100, 0}} {
		e := mustNew(t, Config{})
		e.Heartbeat(epoch)
		e.Heartbeat(epoch.Add(time.Duration(c.elapsed) * time.Millisecond))
		if got := int(e.learnt.long.lost); got != c.lost {
			t.Errorf("after %d ms of 1000: %d lost, want %d", c.elapsed, got, c.lost)
		}
	}
	// A numbered heartbeat after an unnumbered one: the gap in the numbers says
	// nothing of the silence.
	e := mustNew(t, Config{})
	e.HeartbeatSeq(epoch, 1)
	e.Heartbeat(epoch.Add(time.Second))
	e.HeartbeatSeq(epoch.Add(2*time.Second), 3)
	if e.learnt.long.lost != 0 || e.learnt.long.late[0] != 2 {
		t.Errorf("%+v", e.learnt.long)
	}
}

// A sender stalls for 3.3 intervals and then sends four heartbeats at once. In
// whatever order they come, and however often, what is learnt is a stall, and what
// did not come is a loss.
func TestOvertaken(t *testing.T) {
	for _, order := range [][]uint64{{1, 2, 3, 4}, {4, 3, 2, 1}, {4, 1, 2, 3}, {2, 1, 4, 3}, {2, 3, 4, 1}, {3, 3, 1, 4, 1, 2}, {4, 2, 3}, {3, 4, 2}, {4}} {
		e, last := steady(t, Config{}, 1000)
		before, sent := e.learnt, e.seq
		at := last.Add(4300 * time.Millisecond)
		first, highest := uint64(4), uint64(0)
		for _, n := range order {
			e.HeartbeatSeq(at, sent+n)
			at = at.Add(time.Millisecond)
			first = min(first, n)
			highest = max(highest, n)
		}
		if e.seq != sent+highest || e.Phi(at) != 0 {
			t.Fatalf("%v: seq %d, φ = %v", order, e.seq-sent, e.Phi(at))
		}
		for name, got := range map[string][2]int{
			"long":   {int(e.learnt.long.lost - before.long.lost), int(e.learnt.long.starts - before.long.starts)},
			"medium": {int(e.learnt.medium.lost - before.medium.lost), int(e.learnt.medium.starts - before.medium.starts)},
			"short":  {int(e.learnt.short.lost - before.short.lost), int(e.learnt.short.starts - before.short.starts)},
		} {
			if want := [2]int{int(first - 1), int(min(1, first-1))}; got != want {
				t.Errorf("%v: %s memory: lost and starts %v, want %v", order, name, got, want)
			}
		}
		// Late by 3.3, 2.3, 1.3, 0.3 intervals; corrected ones may be a bucket off.
		b := e.learnt.bucket(4.3e9 - float64(first)*1e9)
		if m := e.learnt.long; m.late[b] != 1 || m.late[min(buckets-1, b+2)] != 0 {
			t.Errorf("%v: a stall counted in buckets %v, want %d", order, m.late, b)
		}
	}
}

// What comes long after its gap, or after the numbers began anew, is old news.
func TestOvertakenLate(t *testing.T) {
	e, at := steady(t, Config{}, 100)
	sent := e.seq
	at = at.Add(3 * time.Second)
	e.HeartbeatSeq(at, sent+3)
	for n := range uint64(300) {
		at = at.Add(time.Second)
		e.HeartbeatSeq(at, sent+4+n)
	}
	for old := range e.seq {
		e.HeartbeatSeq(at, old)
	}
	if got := e.learnt.long.lost; got != 2 {
		t.Errorf("%d lost, want 2", got)
	}
	// A silence that an unnumbered heartbeat ended is not that of the next number.
	e.HeartbeatSeq(at.Add(3*time.Second), e.seq+3)
	e.Heartbeat(at.Add(4 * time.Second))
	e.HeartbeatSeq(at.Add(7*time.Second), e.seq+4)
	e.HeartbeatSeq(at.Add(7*time.Second), e.seq-1)
	if got := e.learnt.long.lost; got != 6 {
		t.Errorf("%d lost, want 6", got)
	}
	e.HeartbeatSeq(at.Add(7*time.Second), e.seq-5)
	if got := e.learnt.long.lost; got != 5 {
		t.Errorf("%d lost, want 5", got)
	}
}

// What is overtaken across a change of the interval stays lost: the gap was counted
// on another part of the grid.
func TestOvertakenAcrossSetInterval(t *testing.T) {
	e, last := steady(t, Config{}, 100)
	e.HeartbeatSeq(last.Add(4300*time.Millisecond), e.seq+4)
	if err := e.SetInterval(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	before := *e
	e.HeartbeatSeq(last.Add(4301*time.Millisecond), e.seq-3)
	if *e != before {
		t.Errorf("%+v\nwas\n%+v", *e, before)
	}
}

// One long stall, after which all is well, stretches the time-outs of large φ to
// about its own length, not to many times that; two make it a habit.
func TestSingleStall(t *testing.T) {
	e, last := steady(t, Config{}, 300)
	stall := 10 * time.Second
	for stalls := range 2 {
		last = last.Add(stall)
		e.HeartbeatSeq(last, e.seq+1)
		for range 30 {
			last = last.Add(time.Second)
			e.HeartbeatSeq(last, e.seq+1)
		}
		timeout, _ := e.Timeout(8)
		t.Logf("φ = 8 after %v", timeout)
		if timeout < stall || stalls == 0 && timeout > 17*time.Second || stalls == 1 && timeout < 20*time.Second {
			t.Errorf("φ = 8 after %v, with %d stalls of %v", timeout, stalls+1, stall)
		}
	}
}

// A million peers are watched by some: an Estimator is one block of memory
// without anything behind it but the time zone that all share.
func TestSize(t *testing.T) {
	var e Estimator
	if got := unsafe.Sizeof(e); got > 192 {
		t.Errorf("an Estimator takes %d bytes, want at most 192", got)
	}
	// The last that a heartbeat on time touches is in the first two cache lines.
	if got := unsafe.Offsetof(e.learnt) + unsafe.Offsetof(e.learnt.long) + unsafe.Offsetof(e.learnt.long.late) + unsafe.Sizeof(e.learnt.long.late[0]); got > 128 {
		t.Errorf("the total of the long memory ends at byte %d, want at most 128", got)
	}
	t.Logf("%d bytes, %d of them what Calibrated learnt", unsafe.Sizeof(e), unsafe.Sizeof(e.learnt))
}

// The zero value is an estimator of the zero Config, whatever is called first.
func TestZeroEstimator(t *testing.T) {
	var e Estimator
	for name, f := range map[string]func(e *Estimator) any{
		"Phi":      func(e *Estimator) any { return e.Phi(epoch) },
		"Reaches":  func(e *Estimator) any { return e.Reaches(8) },
		"Timeout":  func(e *Estimator) any { d, ok := e.Timeout(8); return fmt.Sprint(d, ok) },
		"PhiAfter": func(e *Estimator) any { return e.PhiAfter(time.Minute) },
		"Evidence": func(e *Estimator) any { return e.Evidence() },
		"Last":     func(e *Estimator) any { return e.Last() },
		"Alive":    func(e *Estimator) any { e.Alive(epoch); return e.Phi(epoch.Add(time.Hour)) },
		"Reset":    func(e *Estimator) any { e.Reset(); return nil },
		"SetInterval": func(e *Estimator) any {
			if err := e.SetInterval(0); err == nil {
				t.Error("SetInterval(0) is no error")
			}
			return e.SetInterval(100 * time.Millisecond)
		},
		"Heartbeat":    func(e *Estimator) any { e.Heartbeat(epoch); return nil },
		"HeartbeatSeq": func(e *Estimator) any { e.HeartbeatSeq(epoch, 7); return nil },
	} {
		zero, made := e, *mustNew(t, Config{})
		if got, want := f(&zero), f(&made); got != want {
			t.Errorf("%s of the zero value: %v, want %v", name, got, want)
		}
		for i := range 200 {
			at := epoch.Add(time.Duration(i+1) * time.Second)
			if i%2 == 0 {
				zero.Heartbeat(at)
				made.Heartbeat(at)
			} else {
				zero.HeartbeatSeq(at, uint64(100+i))
				made.HeartbeatSeq(at, uint64(100+i))
			}
		}
		if zero != made {
			t.Errorf("after %s:\n%+v, want\n%+v", name, zero, made)
		}
		if timeout, ok := zero.Timeout(8); !ok || timeout < zero.interval {
			t.Errorf("after %s: φ = 8 after %v, %v", name, timeout, ok)
		}
	}
}

func TestLast(t *testing.T) {
	e, last := steady(t, Config{}, 10)
	e.Alive(last.Add(time.Minute))
	e.HeartbeatSeq(last.Add(time.Second), 3)
	if !e.Last().Equal(last) {
		t.Errorf("the last heartbeat was at %v, want %v", e.Last(), last)
	}
	if e.Reset(); !e.Last().IsZero() {
		t.Errorf("the last heartbeat was at %v after Reset", e.Last())
	}
}
