package lab

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"go/scanner"
	"go/token"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// question of the series: a name that begins with its scenario, the section of the report it is for, and what differs from the
// scenario's defaults. Its seeds are 1 to seeds.
type seriesCase struct {
	name    string
	section string
	seeds   int
	edit    func(*params)
}

// The sections of the report, in its order.
const (
	sectionSize     = "Crash, over the size of the cluster"
	sectionFast     = "Crash, with a beat of 25 ms and a stall allowance of 100 ms"
	sectionMany     = "Many crashes at one instant"
	sectionLossy    = "Crash, over loss"
	sectionProbes   = "Crash, with memberlist's probes as the only heartbeats"
	sectionQuiet    = "Nobody crashes: what the network does"
	sectionStall    = "Stalls on every member"
	sectionBlock    = "Blocked members: Lifeguard's experiments"
	sectionCut      = "Cuts"
	sectionSick     = "Members with bad links: Rapid's experiments"
	sectionComeGo   = "Restarts, joins and leaves"
	sectionWAN      = "Three regions"
	sectionCost     = "Cost without a fault, over the size of the cluster"
	sectionCostLoss = "Cost at 10 % loss"
)

// series is everything behind docs/results/lab.md.
func series() []seriesCase {
	var all []seriesCase
	add := func(section, name string, seeds int, edit func(*params)) {
		all = append(all, seriesCase{name, section, seeds, edit})
	}
	// Large clusters cost time and have many pairs each: fewer seeds, and with a thousand members no more minutes than it takes
	// memberlist to tell of everybody (15 s for one crash), and some to spare.
	seedsOf := map[int]int{2: 10, 3: 10, 8: 10, 32: 5, 100: 5, 300: 3, 1000: 2}
	minutesOf := map[int]float64{2: 3, 3: 3, 8: 3, 32: 3, 100: 3, 300: 3, 1000: 1}

	for _, n := range []int{2, 3, 8, 32, 100, 300, 1000} {
		for _, kill := range []int{1, 5} {
			if kill < n-1 || kill == 1 {
				add(sectionSize, fmt.Sprintf("crash/%d-of-%d", kill, n), seedsOf[n], func(p *params) { p.Nodes, p.Kill, p.Minutes = n, kill, minutesOf[n] })
			}
		}
	}
	fastSeedsOf := map[int]int{8: 5, 32: 5, 100: 5, 300: 2, 1000: 1} // they beat five times as often
	for _, n := range []int{8, 32, 100, 300, 1000} {
		for _, kill := range []int{1, 5} {
			add(sectionFast, fmt.Sprintf("crash/fast-%d-of-%d", kill, n), fastSeedsOf[n], func(p *params) {
				p.Nodes, p.Kill, p.Minutes, p.Beat, p.StallAllowance = n, kill, minutesOf[n], 25*time.Millisecond, 100*time.Millisecond
			})
		}
	}
	add(sectionMany, "crash/30-of-100", 5, func(p *params) { p.Nodes, p.Kill, p.Minutes = 100, 30, 4 })
	add(sectionMany, "crash/300-of-1000", 1, func(p *params) { p.Nodes, p.Kill, p.Minutes = 1000, 300, 2 })
	add(sectionMany, "crash/observers-of-60", 5, func(p *params) { p.Nodes, p.KillObservers, p.Minutes = 60, true, 4 })
	for _, percent := range []int{5, 10, 20} {
		add(sectionLossy, fmt.Sprintf("crash/loss-%d", percent), 10, func(p *params) {
			p.Nodes, p.Kill, p.Minutes, p.Loss = 100, 1, 4, float64(percent)/100
		})
	}
	for _, n := range []int{3, 8, 32} {
		add(sectionProbes, fmt.Sprintf("crash/probes-%d", n), 10, func(p *params) { p.Nodes, p.Minutes, p.Heartbeats = n, 10, "probes" })
	}
	for _, percent := range []int{1, 5, 10, 20} {
		add(sectionQuiet, fmt.Sprintf("loss/%d", percent), 2, func(p *params) { p.Loss = float64(percent) / 100 })
	}
	for _, percent := range []int{2, 5} {
		add(sectionQuiet, fmt.Sprintf("burst/%d", percent), 2, func(p *params) { p.Loss = float64(percent) / 100 })
	}
	add(sectionStall, "stall/300ms", 2, func(*params) {})
	add(sectionStall, "stall/2s", 2, func(p *params) { p.Fault = 2 * time.Second })

	// A part of the paper's grid of C × D × I; the Threshold experiment has no I.
	ms := time.Millisecond
	for _, c := range []int{1, 4, 16, 32} {
		for _, d := range []time.Duration{128 * ms, 2048 * ms, 8192 * ms, 32768 * ms} {
			add(sectionBlock, fmt.Sprintf("block/threshold-C%d-D%v", c, d), 1, func(p *params) { p.Few, p.Fault, p.Between = c, d, 0 })
			for _, i := range []time.Duration{4 * ms, 256 * ms, 4096 * ms} {
				add(sectionBlock, fmt.Sprintf("block/interval-C%d-D%v-I%v", c, d, i), 1, func(p *params) { p.Few, p.Fault, p.Between = c, d, i })
			}
		}
	}
	add(sectionCut, "cut/36", 5, func(*params) {})
	add(sectionCut, "cut/100", 3, func(p *params) { p.Nodes = 100 })
	add(sectionCut, "isolate/50", 5, func(*params) {})
	for _, n := range []int{100, 300} {
		add(sectionSick, fmt.Sprintf("oneway/%d", n), 3, func(p *params) { p.Nodes = n })
		add(sectionSick, fmt.Sprintf("lossy-few/%d", n), 3, func(p *params) { p.Nodes = n })
	}
	add(sectionComeGo, "restart/50", 5, func(*params) {})
	add(sectionComeGo, "join-storm/200", 3, func(*params) {})
	add(sectionWAN, "wan/60", 3, func(*params) {})
	for _, n := range []int{8, 32, 100, 300, 1000} {
		// The news of a thousand joins takes three minutes to be gossiped out, at 15 packets a second; only then it is quiet.
		add(sectionCost, fmt.Sprintf("loss/none-%d", n), 1, func(p *params) { p.Nodes, p.Minutes, p.Settle, p.Loss = n, 3, 3*time.Minute, 0 })
	}
	for _, n := range []int{32, 300} {
		add(sectionCostLoss, fmt.Sprintf("loss/10-of-%d", n), 1, func(p *params) { p.Nodes, p.Minutes, p.Settle, p.Loss = n, 5, 2*time.Minute, 0.1 })
	}
	return all
}

// The sections of the cases beyond the series.
const (
	sectionTogether = "Faults together"
	sectionAfter    = "After a crash: quiet again, at every size"
	sectionSlow     = "Slow lines"
	sectionMass     = "Most of a cluster dies, or is cut off"
	sectionShort    = "Lifeguard's experiments, as the short series has them"
)

// further are cases beyond the series: one command each, and the short series has some of them.
func further() []seriesCase {
	var all []seriesCase
	add := func(section, name string, edit func(*params)) {
		all = append(all, seriesCase{name, section, 1, edit})
	}
	ms := time.Millisecond
	for _, percent := range []int{0, 1, 2, 5, 10} {
		add(sectionTogether, fmt.Sprintf("stall/395ms-loss-%d", percent), func(p *params) {
			p.Nodes, p.Least, p.Fault, p.Loss = 22, 395*ms, 395*ms, float64(percent)/100
		})
	}
	add(sectionTogether, "stall/395ms-churn", func(p *params) { p.Nodes, p.Minutes, p.Least, p.Fault, p.Churn = 22, 20, 395*ms, 395*ms, 10 })
	add(sectionTogether, "block/loss-5", func(p *params) { p.Loss = 0.05 })
	for n := 2; n <= 40; n++ {
		add(sectionAfter, fmt.Sprintf("crash/quiet-%d", n), func(p *params) { p.Nodes, p.Minutes = n, 1.5 })
	}
	for _, rate := range []int{16, 64} {
		add(sectionSlow, fmt.Sprintf("loss/%dkbit-12", rate), func(p *params) { p.Nodes, p.Minutes, p.Loss, p.Rate = 12, 5, 0, rate })
		add(sectionSlow, fmt.Sprintf("crash/%dkbit-12", rate), func(p *params) { p.Nodes, p.Minutes, p.Rate = 12, 5, rate })
	}
	for _, c := range [][2]int{{95, 100}, {90, 100}, {50, 60}} {
		add(sectionMass, fmt.Sprintf("crash/%d-of-%d", c[0], c[1]), func(p *params) { p.Kill, p.Nodes, p.Minutes = c[0], c[1], 20 })
	}
	add(sectionMass, "cut/3-of-50", func(p *params) { p.Few, p.Nodes, p.Minutes, p.Fault = 3, 50, 7, 5*time.Minute })
	add(sectionShort, "block/D700ms", func(p *params) { p.Fault = 700 * ms })
	return all
}

func (c seriesCase) params(seed uint64) (params, error) {
	p, err := question(scenarioOf(c.name))
	if err != nil {
		return p, err
	}
	c.edit(&p)
	p.Seed = seed
	return p, p.validate()
}

// caseNamed finds a case of the series, or a further one.
func caseNamed(name string) (seriesCase, error) {
	for _, c := range append(series(), further()...) {
		if c.name == name {
			return c, nil
		}
	}
	return seriesCase{}, fmt.Errorf("lab: -case: %q is not in the series, see series_test.go", name)
}

// job is one run of the series.
type job struct {
	seriesCase
	seed    uint64
	systems string
	cost    float64 // in virtual member-seconds, forming included, to guess how long the rest takes
}

// jobs are the runs of the series.
func jobs() ([]job, error) { return jobsOf(series(), 0) }

// jobsOf are the runs of cases, with so many seeds of each; 0: as many as it has.
func jobsOf(cases []seriesCase, seeds uint64) ([]job, error) {
	var all []job
	for _, c := range cases {
		for seed := uint64(1); seed <= or(seeds, uint64(c.seeds)); seed++ {
			p, err := c.params(seed)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			// A member that takes in another and gossips about it costs about as much as a second of its life.
			cost := float64(p.Nodes) * (p.length().Seconds() + p.Settle.Seconds() + float64(p.Nodes))
			all = append(all, job{c, seed, p.Systems, cost})
		}
	}
	return all, nil
}

// toMake returns those of the jobs that were asked for and are not there yet, in the order in which to make them.
func toMake(all []job, have *runs, build string, only *regexp.Regexp, seeds uint64, keep bool) ([]job, error) {
	var todo []job
	matches := false
	for _, j := range all {
		if !only.MatchString(j.name) {
			continue
		}
		matches = true
		if seeds > 0 && j.seed > seeds {
			continue
		}
		want, err := j.params(j.seed)
		if err != nil {
			return nil, err
		}
		if r, err := have.read(j.name, j.seed); err != nil || r.Params != want || r.Build != build && !keep {
			todo = append(todo, j)
		}
	}
	if !matches {
		return nil, fmt.Errorf("lab: -only=%v: want what matches a case of the series, see series_test.go", only)
	}
	// One seed of everything before the next one of anything, so that a series that is stopped has something to say about
	// all cases; and the long ones first, so that no core idles at the end.
	slices.SortStableFunc(todo, func(a, b job) int {
		return cmp.Or(cmp.Compare(a.seed, b.seed), cmp.Compare(b.cost, a.cost))
	})
	return todo, nil
}

// runSeries makes all runs that are not there yet, each in a process of its own: so many at a time, with one core each, which
// is faster than to let the goroutines of one bubble wander over all. An interrupt ends those under way, and what they had begun
// to write; what is finished stays.
func runSeries(t *testing.T, all []job, have *runs, only *regexp.Regexp, seeds uint64, keep bool, atOnce int) {
	build, err := buildID()
	if err != nil {
		t.Fatal(err)
	}
	todo, err := toMake(all, have, build, only, seeds, keep)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt)
	defer stop()
	fmt.Fprintf(os.Stderr, "%d runs in %s, %d to make\n", len(all), have.dir, len(todo))
	if len(todo) > 0 {
		if err := cmp.Or(tryWrite(have.file(todo[0].name, todo[0].seed)), tryWrite(filepath.Join(have.dir, "lab.md"))); err != nil {
			t.Fatalf("lab: -results=%s: %v", have.dir, err)
		}
	}

	var (
		mu         sync.Mutex
		begin      = time.Now()
		left, done float64
		made       int
		wg         sync.WaitGroup
		queue      = make(chan job)
	)
	for _, j := range todo {
		left += j.cost
	}
	finished := make(chan struct{})
	underWay := make([]saying, atOnce)
	go tellProgress(underWay, finished)
	for i := range atOnce {
		wg.Go(func() {
			for j := range queue {
				took := time.Now()
				file := have.file(j.name, j.seed)
				output := &underWay[i]
				output.begin()
				err := child(ctx, j, file, build, output)
				said := output.end()
				if ctx.Err() != nil {
					os.Remove(file + ".part")
					return
				}
				mu.Lock()
				made++
				done, left = done+j.cost, left-j.cost
				rest := time.Duration(left / done * float64(time.Since(begin)))
				fmt.Fprintf(os.Stderr, "[%d/%d] %s, seed %d: %v; about %v to go\n", made, len(todo), j.name, j.seed,
					time.Since(took).Round(time.Second), rest.Round(time.Minute))
				if err != nil {
					t.Errorf("%s, seed %d: %v\n%s", j.name, j.seed, err, said)
				}
				mu.Unlock()
			}
		})
	}
feeding:
	for _, j := range todo {
		select {
		case queue <- j:
		case <-ctx.Done():
			break feeding
		}
	}
	close(queue)
	wg.Wait()
	close(finished)
	if ctx.Err() != nil {
		t.Fatalf("lab: interrupted after %d of %d runs; the same command goes on", made, len(todo))
	}
}

// child makes one run. It ends with its parent, as its standard input does.
func child(ctx context.Context, j job, file, build string, output io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	file, err = filepath.Abs(file)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "-test.run=^TestLab$", "-test.timeout=0", "-test.v",
		"-case="+j.name, "-systems="+j.systems, fmt.Sprintf("-seed=%d", j.seed), "-out="+file, "-build="+build, "-child")
	// A rarer collector, for memory that is there: a third less time. A thousand members take 2 GB while they form.
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=400", "GOMEMLIMIT=6GiB")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	defer stdin.Close()
	cmd.Stdout, cmd.Stderr = output, output
	return cmd.Run()
}

// saying is what a run under way says.
type saying struct {
	mu   sync.Mutex
	said []byte // nil: no run
}

func (s *saying) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = append(s.said, b...)
	return len(b), nil
}

func (s *saying) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = []byte{}
}

// end returns all that was said.
func (s *saying) end() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.said
	s.said = nil
	return all
}

// last is the last whole line that says how far the run has come; empty: none yet.
func (s *saying) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := strings.Split(string(s.said), "\n")
	for _, line := range slices.Backward(lines[:max(0, len(lines)-1)]) {
		if strings.Contains(line, " of real time") {
			return line
		}
	}
	return ""
}

// tellProgress shows twice a minute how far the runs under way have come.
func tellProgress(underWay []saying, finished <-chan struct{}) {
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-finished:
			return
		case <-tick.C:
		}
		for i := range underWay {
			if line := underWay[i].last(); line != "" {
				fmt.Fprintln(os.Stderr, "  "+line)
			}
		}
	}
}

// endWithParent ends this process when its standard input does.
func endWithParent() {
	go func() {
		io.Copy(io.Discard, os.Stdin) // however it ends, it ends
		os.Exit(1)
	}()
}

// buildID stands for all that can change what a run finds: the code of package cluster, of the network and of what they are made of,
// and of the lab but for what only chooses and shows runs (a run holds its own params). Comments do not count.
func buildID() (string, error) {
	const format = `{{with .Module}}{{if .Main}}{{range $.GoFiles}}{{$.ImportPath}}/{{.}}{{"\t"}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}` +
		`{{else}}{{.Path}} {{.Version}}{{"\n"}}{{end}}{{end}}`
	cmd := exec.Command("go", "list", "-deps", "-f", format, "..", "../clustertest")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("lab: go list: %w", err)
	}
	parts := strings.Split(strings.TrimSpace(string(out)), "\n")
	own, err := filepath.Glob("*_test.go")
	if err != nil {
		return "", err
	}
	for _, file := range own {
		switch file {
		case "series_test.go", "short_test.go", "runs_test.go", "report_test.go", "plots_test.go", "small_test.go", "instrument_test.go":
		default:
			parts = append(parts, file+"\t"+file)
		}
	}
	slices.Sort(parts)
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOARCH)
	for _, part := range slices.Compact(parts) {
		name, file, source := strings.Cut(part, "\t")
		fmt.Fprintln(h, name)
		if !source {
			continue
		}
		code, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		writeCode(h, code)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:6]), nil
}

// writeCode writes what is left of Go source without comments and layout.
func writeCode(w io.Writer, source []byte) {
	var s scanner.Scanner
	s.Init(token.NewFileSet().AddFile("", -1, len(source)), source, nil, 0)
	for {
		_, tok, text := s.Scan()
		if tok == token.EOF {
			return
		}
		fmt.Fprintf(w, "%v %q\n", tok, text)
	}
}
