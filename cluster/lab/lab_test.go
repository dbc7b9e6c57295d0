package lab

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	flags = func() *params {
		p := common
		p.define(flag.CommandLine)
		return &p
	}()
	out     = flag.String("out", "", "file for the result of one -scenario or -case, as JSON; a relative path begins in this package's folder")
	list    = flag.Bool("list", false, "list the scenarios")
	oneCase = flag.String("case", "", "one case of the series, such as crash/5-of-100; -seed and further flags change it")
	all     = flag.Bool("series", false, "make all runs of the series that -results does not have yet, then the report")
	only    = flag.String("only", "", "with -series: the cases that this regular expression matches")
	seeds   = flag.Uint64("seeds", 0, "with -series: no more than so many seeds of each case; 0: all; with -shortlist: so many; 0: one")
	brief   = flag.Bool("shortlist", false, "make all runs of the short series that -results does not have yet, then a table against the series in docs/results")
	against = flag.String("against", "", "with -shortlist: another folder of runs to show beside them, such as those before a change; a relative path begins in this package's folder")
	atOnce  = flag.Int("jobs", runtime.NumCPU(), "with -series, -shortlist: so many runs at a time, one core each, 1 to 1024")
	report  = flag.Bool("report", false, "make the report from the runs that -results has")
	keep    = flag.Bool("keep", false, "with -series: keep runs of other code than the present one")
	build   = flag.String("build", "", "what the result calls the code that made it; empty: its hash")
	results = flag.String("results", "", "folder for the series: runs in lab/runs.jsonl.gz and, in the making, in lab/runs, pictures in lab, lab.md; empty: docs/results, with -shortlist .lab-short, which git ignores")
	asChild = flag.Bool("child", false, "end when standard input does")
)

// seriesDir is where the series is in the tree.
const seriesDir = "../../docs/results"

func checkJobs(n int) error {
	if n < 1 || n > 1024 {
		return fmt.Errorf("lab: -jobs=%d: want 1 to 1024", n)
	}
	return nil
}

// runShort makes what dir lacks of the short series and returns the table of it beside other folders.
func runShort(t *testing.T, dir, other string, seeds uint64, only string, keep bool) (string, error) {
	chosen, err := regexp.Compile(only)
	if err != nil {
		return "", fmt.Errorf("lab: -only: %w", err)
	}
	var beside []*source
	if other != "" {
		before, err := look("before", other, 10)
		if err != nil {
			return "", err
		}
		if before.runs == 0 {
			return "", fmt.Errorf("lab: -against=%s: want a folder with runs of the short series", other)
		}
		beside = append(beside, before)
	}
	last, err := look("series", seriesDir, 10)
	if err != nil {
		return "", err
	}
	planned, err := jobsOf(short(), seeds)
	if err != nil {
		return "", err
	}
	have, err := openRuns(dir)
	if err != nil {
		return "", err
	}
	runSeries(t, planned, have, chosen, seeds, keep, *atOnce)
	now, err := look("now", dir, seeds)
	if err != nil {
		return "", err
	}
	return compare(append([]*source{now}, append(beside, last)...)), nil
}

// TestLab is the lab's only door: see the package comment.
func TestLab(t *testing.T) {
	if *asChild {
		endWithParent()
	}
	switch {
	case *list:
		if err := looksAt(flag.CommandLine, "list"); err != nil {
			t.Fatal(err)
		}
		t.Log(describe())
	case *brief:
		if err := looksAt(flag.CommandLine, "shortlist", "against", "results", "seeds", "only", "keep", "jobs"); err != nil {
			t.Fatal(err)
		}
		if err := checkJobs(*atOnce); err != nil {
			t.Fatal(err)
		}
		dir := or(*results, "../../.lab-short")
		table, err := runShort(t, dir, *against, or(*seeds, 1), *only, *keep)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(os.Stderr, table)
	case *all || *report:
		have, err := openRuns(or(*results, seriesDir))
		if err != nil {
			t.Fatal(err)
		}
		reads := []string{"report", "results"}
		if *all {
			reads = append(reads, "series", "only", "seeds", "keep", "jobs")
		}
		if err := looksAt(flag.CommandLine, reads...); err != nil {
			t.Fatal(err)
		}
		if *all {
			chosen, err := regexp.Compile(*only)
			if err != nil {
				t.Fatalf("lab: -only: %v", err)
			}
			if err := checkJobs(*atOnce); err != nil {
				t.Fatal(err)
			}
			planned, err := jobs()
			if err != nil {
				t.Fatal(err)
			}
			runSeries(t, planned, have, chosen, *seeds, *keep, *atOnce)
			if err := have.pack(planned); err != nil {
				t.Fatal(err)
			}
		}
		if err := writeReport(have); err != nil {
			t.Fatal(err)
		}
	case *oneCase != "" || flags.Scenario != "":
		if err := looksAt(flag.CommandLine, append(questionFlags(), "case", "out", "build", "child")...); err != nil {
			t.Fatal(err)
		}
		p, err := asked()
		if err != nil {
			t.Fatal(err)
		}
		if *out != "" {
			if err := tryWrite(*out); err != nil {
				t.Fatalf("lab: -out=%s: %v", *out, err)
			}
		}
		madeBy := *build
		if madeBy == "" {
			if madeBy, err = buildID(); err != nil {
				t.Fatal(err)
			}
		}
		r := ask(t, p)
		r.Build = madeBy
		t.Logf("\n%s", r)
		for name, s := range r.Systems {
			if s.ViewsDiffer > 0 {
				t.Errorf("the instrument is broken: at %s %d pairs do not see what their events said", name, s.ViewsDiffer)
			}
		}
		if *out != "" && !t.Failed() {
			if err := r.write(*out); err != nil {
				t.Fatalf("lab: -out=%s: %v", *out, err)
			}
		}
	default:
		if err := looksAt(flag.CommandLine); err != nil {
			t.Fatalf("%v\nlab: no -series, -report, -case or -scenario: want one of %s", err, strings.Join(scenarioNames(), ", "))
		}
		everyDay(t)
	}
}

// looksAt is an error if flags were given that a run does not look at, which are all but those named and those of testing.
func looksAt(given *flag.FlagSet, names ...string) error {
	var errs []error
	given.Visit(func(f *flag.Flag) {
		if !strings.HasPrefix(f.Name, "test.") && !slices.Contains(names, f.Name) {
			errs = append(errs, fmt.Errorf("lab: -%s=%v: has no effect with the other flags given", f.Name, f.Value))
		}
	})
	return errors.Join(errs...)
}

// questionFlags are the names of those that define makes.
func questionFlags() (names []string) {
	f := flag.NewFlagSet("", flag.ContinueOnError)
	new(params).define(f)
	f.VisitAll(func(d *flag.Flag) { names = append(names, d.Name) })
	return names
}

// asked is the question that the flags put.
func asked() (params, error) {
	if *oneCase == "" {
		p, err := question(flags.Scenario)
		if err != nil {
			return p, err
		}
		return p.withFlags(flag.CommandLine)
	}
	c, err := caseNamed(*oneCase)
	if err != nil {
		return params{}, err
	}
	p, err := c.params(1)
	if err != nil {
		return p, err
	}
	return p.withFlags(flag.CommandLine)
}

// scenarioOf is the scenario of a named case such as "crash/probes".
func scenarioOf(name string) string {
	scenario, _, _ := strings.Cut(name, "/")
	return scenario
}

// question is a scenario with its own defaults.
func question(scenario string) (params, error) {
	s, ok := scenarios[scenario]
	if !ok {
		return params{}, fmt.Errorf("lab: -scenario: %q is unknown: want one of %s", scenario, strings.Join(scenarioNames(), ", "))
	}
	p := common
	p.Scenario = scenario
	s.defaults(&p)
	return p, nil
}

func describe() string {
	var b strings.Builder
	for _, n := range scenarioNames() {
		p, _ := question(n)
		fmt.Fprintf(&b, "\n%s: %s\n   ", n, scenarios[n].doc)
		f := flag.NewFlagSet(n, flag.ContinueOnError)
		p.define(f)
		f.VisitAll(func(d *flag.Flag) {
			if v := d.DefValue; v != "0" && v != "0s" && v != "false" && d.Name != "scenario" && d.Name != "systems" {
				fmt.Fprintf(&b, " -%s=%s", d.Name, v)
			}
		})
	}
	return b.String()
}

// ask runs one scenario with each of the systems.
func ask(t *testing.T, p params) *result {
	systems, err := systemsFor(p)
	if err != nil {
		t.Fatal(err)
	}
	r := &result{
		Scenario: p.Scenario, Seed: p.Seed, Nodes: p.Nodes, Case: *oneCase, Params: p, Systems: map[string]*systemResult{},
	}
	var sh shared
	for _, s := range systems {
		begin := time.Now()
		stop := watch(p, s.name, &sh)
		r.Systems[s.name] = run(t, p, s, &sh)
		stop()
		if t.Failed() {
			t.FailNow()
		}
		r.Systems[s.name].WallS = *rounded(time.Since(begin).Seconds())
		runtime.GC()
	}
	return r
}

// watch prints how far a system has come every ten seconds of real time, where the tests talk at all.
func watch(p params, system string, sh *shared) (stop func()) {
	sh.at.Store(-1)
	done := make(chan struct{})
	go func() {
		begin := time.Now()
		tick := time.NewTicker(10 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			at := "forming"
			if d := time.Duration(sh.at.Load()); d >= 0 {
				at = fmt.Sprintf("%v of %v, views differ about %d", d.Round(time.Second), p.length(), sh.away.Load())
			}
			if testing.Verbose() {
				fmt.Fprintf(os.Stderr, "%s, %d members, %s: %s, %v of real time\n", p.Scenario, p.Nodes, system, at, time.Since(begin).Round(time.Second))
			}
		}
	}()
	return func() { close(done) }
}
