package lab

import (
	"errors"
	"flag"
	"io/fs"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

// The instrument is tested too: these tests say nothing about any system.

func TestQuantile(t *testing.T) {
	values := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for q, want := range map[float64]float64{0: 1, 0.05: 1, 0.1: 1, 0.11: 2, 0.5: 5, 0.51: 6, 0.99: 10, 1: 10} {
		if got := quantile(values, q); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	s := summarize([]float64{3, 1, 2})
	if s.Count != 3 || *s.Min != 1 || *s.Median != 2 || *s.P99 != 3 || *s.Max != 3 {
		t.Errorf("summary %+v", s)
	}
	if s := summarize(nil); s != (summary{}) {
		t.Errorf("summary of nothing: %+v, want no figures", s)
	}
}

// The bounds are those of χ² tables: half the 95 % point with 2k+2 degrees of freedom.
func TestPoissonUpper(t *testing.T) {
	for k, want := range map[int]float64{0: 2.9957, 1: 4.7439, 2: 6.2958, 3: 7.7537, 10: 16.9622, 100: 118.0789} {
		if got := poissonUpper(k); math.Abs(got-want) > 0.0005 {
			t.Errorf("upper bound for %d events is %.4f, want %.4f", k, got, want)
		}
	}
	if perHour := poissonUpper(0) / 128; math.Abs(1/perHour-42.7) > 0.1 {
		t.Errorf("no event in 128 h: at most one in %.1f h, want 42.7", 1/perHour)
	}
}

// A run is made anew when its code has changed, not when somebody has explained it better.
func TestWriteCode(t *testing.T) {
	code := func(source string) string {
		var b strings.Builder
		writeCode(&b, []byte(source))
		return b.String()
	}
	plain := code("package a\n\nvar b = 1 + c\n")
	if got := code("// Package a explains.\npackage a\n\n\nvar b = 1 +   c // the sum\n"); got != plain {
		t.Errorf("comments and layout count:\n%s\nwant\n%s", got, plain)
	}
	if got := code("package a\n\nvar b = 2 + c\n"); got == plain {
		t.Errorf("another number does not count:\n%s", got)
	}
}

// diary is a ledger of a few members that all run and see each other, a minute after the start of time.
type diary struct {
	*ledger
	now time.Time
}

func newDiary(members int) *diary {
	d := &diary{now: time.Unix(0, 0)}
	d.ledger = newLedger(members, d.now)
	for i := range members {
		d.started(d.now, i, name(i))
	}
	for o := range members {
		for s := range members {
			d.says(o, s, viewUp)
		}
	}
	d.after(60)
	d.begin(d.now)
	return d
}

func (d *diary) after(seconds float64) { d.now = d.now.Add(time.Duration(seconds * 1e9)) }

func (d *diary) says(observer, subject int, v view) {
	d.told(news{at: d.now, observer: observer, subject: subject, view: v})
}

func (d *diary) wantAgreement(t *testing.T, want ...float64) {
	t.Helper()
	got, unsettled := d.agreement()
	if unsettled > 0 {
		got = append(got, math.Inf(1))
	}
	if !slices.Equal(got, want) {
		t.Errorf("agreement after %v s, want %v", got, want)
	}
}

func (d *diary) wantFalse(t *testing.T, all, unblocked int) {
	t.Helper()
	if d.falseAll != all || d.falseUnblocked != unblocked {
		t.Errorf("%d false downs, %d at unblocked members, want %d and %d", d.falseAll, d.falseUnblocked, all, unblocked)
	}
}

func TestLedgerDetection(t *testing.T) {
	d := newDiary(5)
	d.says(4, 0, viewDown) // before the fault: 4 has nothing to be told any more
	d.after(10)
	d.stopped(d.now, 0, 0, false)
	d.stopped(d.now, 1, 0, false)
	for _, victim := range []int{0, 1} {
		d.awaitDown(d.now, victim, nil)
	}
	d.ended(d.now, nil)
	d.after(0.5)
	d.says(2, 0, viewDown)
	d.says(0, 1, viewDown) // the dead say nothing
	d.after(0.25)
	d.says(3, 0, viewDown)
	d.says(2, 0, viewUp) // a relapse does not count twice
	d.after(0.25)
	d.says(2, 0, viewDown)
	d.says(2, 1, viewDown)
	d.says(3, 1, viewDown)

	if n := d.open(); n != 1 { // 3 knows of both, 2 too, 4 not of 1
		t.Errorf("%d pairs have yet to be told, want 1", n)
	}
	told, never, already := d.waited(false)
	slices.Sort(told)
	if !slices.Equal(told, []float64{0.5, 0.75, 1, 1}) || never != 1 || already != 1 {
		t.Errorf("told after %v s, %d never, %d already; want 0.5, 0.75, 1, 1; 1; 1", told, never, already)
	}
	d.after(5)
	d.says(4, 1, viewDown)
	d.after(5)
	d.end(d.now)
	d.wantAgreement(t, 6)
	d.wantFalse(t, 1, 1)
	if h := d.lived; h != 5*10*time.Second+3*11*time.Second {
		t.Errorf("members lived %v, want 83 s", h)
	}
}

// Who dies or begins anew has nothing to be told, and nothing to say.
func TestLedgerForgetsTheDead(t *testing.T) {
	d := newDiary(3)
	d.stopped(d.now, 0, 0, false)
	d.awaitDown(d.now, 0, nil)
	d.stopped(d.now, 1, 0, false)
	d.says(2, 0, viewDown)
	d.says(2, 1, viewDown)
	if told, never, _ := d.waited(false); len(told) != 1 || never != 0 {
		t.Errorf("%d told, %d never, want 1 and 0", len(told), never)
	}
	if n := d.disagreements(); n != 0 {
		t.Errorf("views of %d members differ with one member left", n)
	}
	d.started(d.now, 1, name(1))
	d.says(2, 1, viewUp)
	if n := d.disagreements(); n != 1 { // about 2, whom 1 does not know
		t.Errorf("views of %d members differ, want 1", n)
	}
	d.says(1, 2, viewUp)
	if n := d.disagreements(); n != 0 {
		t.Errorf("views of %d members differ, want 0", n)
	}
}

func TestLedgerAgreementMustLast(t *testing.T) {
	d := newDiary(3)
	d.ended(d.now, nil) // they agree at once, but not for a second
	d.after(0.5)
	d.says(1, 0, viewDown)
	d.after(0.5)
	d.says(1, 0, viewUp)
	d.after(0.5)
	d.says(1, 2, viewSuspect) // is not down
	d.after(0.499)
	d.says(2, 0, viewDown)
	d.says(2, 0, viewUp) // in no time: nobody can have seen it
	d.after(0.001)
	d.says(2, 0, viewDown) // when it has lasted
	d.after(5)
	d.says(2, 0, viewUp)
	d.end(d.now)
	d.wantAgreement(t, 1)

	d.after(1)
	d.ended(d.now, []int{0})
	d.says(1, 0, viewDown)
	d.after(1)
	d.end(d.now)
	d.wantAgreement(t, 1, math.Inf(1))
}

func TestLedgerFalseDowns(t *testing.T) {
	t.Run("blocked", func(t *testing.T) {
		d := newDiary(4)
		d.sick(d.now, 0, 400*time.Millisecond)
		d.after(0.399)
		d.says(1, 0, viewDown) // no stall so short excuses it
		d.wantFalse(t, 1, 1)
		d.after(0.001)
		d.says(2, 0, viewDown)
		d.says(0, 3, viewDown) // at a blocked member
		d.well(d.now, 0)
		d.after(1)
		d.says(3, 0, viewDown) // on its way
		d.wantFalse(t, 2, 1)
		d.after(0.001)
		d.says(1, 0, viewUp)
		d.says(1, 0, viewDown)
		d.wantFalse(t, 3, 2)
		if d.excused != 2 {
			t.Errorf("%d excused, want 2", d.excused)
		}
	})
	t.Run("blocked again", func(t *testing.T) {
		d := newDiary(4)
		for _, blocked := range []float64{0.4, 0.1} {
			d.sick(d.now, 0, 400*time.Millisecond)
			d.after(blocked)
			d.well(d.now, 0)
			d.after(0.1)
			d.sick(d.now, 0, 400*time.Millisecond)
			d.says(1, 0, viewDown) // on its way since the long one
			d.wantFalse(t, 0, 0)
			d.says(1, 0, viewUp)
			d.well(d.now, 0)
		}
		d.after(0.701)
		d.says(1, 0, viewDown)
		d.wantFalse(t, 1, 1)
	})
	t.Run("isolated", func(t *testing.T) {
		d := newDiary(4)
		d.sick(d.now, 0, 0)
		d.after(30)
		down := func(observer int) {
			d.told(news{at: d.now, observer: observer, subject: 3, view: viewDown, reason: cluster.ReasonIsolated})
			d.says(observer, 3, viewUp)
		}
		down(0)
		d.wantFalse(t, 0, 0)
		down(1) // nothing is wrong with it
		d.wantFalse(t, 1, 1)
		d.says(0, 3, viewDown) // for another reason
		d.wantFalse(t, 2, 1)
		d.lonely(d.now, 0)
		for range 3 {
			d.lonely(d.now, 1)
		}
		d.lonely(d.now, 2)
		if len(d.isolated) != 1 || !slices.Equal(d.alone, []int{0, 3, 1, 0}) {
			t.Errorf("isolated: %v; alone: %v, want one, and 0, 3, 1, 0", d.isolated, d.alone)
		}
	})
	t.Run("anomalous", func(t *testing.T) {
		d := newDiary(4)
		d.anomaly(0)
		d.says(1, 0, viewDown)
		d.says(0, 1, viewDown)
		d.wantFalse(t, 1, 0)
		if d.resumed != 1 {
			t.Errorf("%d resumed, want 1", d.resumed)
		}
	})
	t.Run("cut", func(t *testing.T) {
		d := newDiary(4)
		for i := range 4 {
			d.sided(d.now, i, i%2+1)
		}
		d.after(10)
		d.says(0, 1, viewDown)
		d.wantFalse(t, 0, 0)
		d.says(0, 2, viewDown) // on its own side
		d.wantFalse(t, 1, 1)
		for i := range 4 {
			d.sided(d.now, i, 0)
		}
		d.after(1)
		d.says(2, 3, viewDown) // on its way
		d.wantFalse(t, 1, 1)
		d.after(0.001)
		d.says(0, 3, viewDown)
		d.wantFalse(t, 2, 2)
	})
	t.Run("restarted and left", func(t *testing.T) {
		d := newDiary(4)
		d.stopped(d.now, 0, 100, false)
		d.started(d.now, 0, "elsewhere")
		d.awaitUp(d.now, 0)
		e := news{at: d.now, observer: 1, subject: 0, view: viewUp, boot: 100, addr: "elsewhere"}
		d.told(e) // the old life
		e.boot = 101
		for _, addr := range []string{"before", "elsewhere"} {
			e.addr, e.observer = addr, e.observer+1
			d.told(e)
		}
		if told, never, _ := d.waited(true); len(told) != 1 || never != 2 {
			t.Errorf("%d told of the return, %d not; want 1, 2", len(told), never)
		}
		e.view, e.boot = viewDown, 100
		d.told(e)
		d.wantFalse(t, 0, 0)
		e.boot = 101
		d.told(e)
		d.wantFalse(t, 1, 1)

		d.stopped(d.now, 3, 0, true)
		d.says(1, 3, viewDown)
		d.says(3, 2, viewDown)
		d.wantFalse(t, 1, 1)
		if d.leftAsDown != 1 || d.parting != 1 {
			t.Errorf("%d downs of the left, %d by it, want 1 and 1", d.leftAsDown, d.parting)
		}
	})
}

func TestLedgerLeavesTheIllOut(t *testing.T) {
	d := newDiary(4)
	d.sick(d.now, 0, 0)
	d.says(0, 1, viewDown) // does not count
	d.ended(d.now, nil)
	d.after(0.5)
	d.says(1, 0, viewDown)
	d.after(2)
	d.says(2, 0, viewDown) // only now 1, 2 and 3 agree about 0
	d.says(3, 0, viewDown)
	d.after(5)
	d.end(d.now)
	d.wantAgreement(t, 2.5)
	d.well(d.now, 0) // and now all of it is wrong
	if n := d.disagreements(); n != 2 {
		t.Errorf("views of %d members differ, want 2", n)
	}
	if c := d.changesOfIll(); c.Count != 3 || *c.Max != 1 {
		t.Errorf("changes of the ill: %+v, want 1 for each of 3 observers", c)
	}
}

func TestQuestions(t *testing.T) {
	if _, err := question("crush"); err == nil || !strings.Contains(err.Error(), "crash") {
		t.Errorf("unknown scenario: %v, want those that there are", err)
	}
	for _, test := range []struct{ scenario, args, want string }{
		{"crash", "-nodes=1", "-nodes=1: want 2 to 5000"},
		{"crash", "-loss=1.5", "-loss=1.5: want 0 to 0.9"},
		{"crash", "-nodes=8 -kill=8", "-kill=8: want 0 to 7"},
		{"crash", "-minutes=0", "-minutes=0: want 0.1 to 1440"},
		{"crash", "-minutes=NaN", "-minutes=NaN: want 0.1 to 1440"},
		{"crash", "-fault=-1s", "-fault=-1s: want 0s to 5m0s"},
		{"crash", "-heartbeats=loud", "-heartbeats=loud: want ring or probes"},
		{"crash", "-scenario=crush", "-scenario=crush: want one of block, burst, crash"},
		{"crash", "-systems=", `-systems=: "" is unknown: want any of pulsering`},
		{"crash", "-systems=pulsering,serf", `"serf" is unknown: want any of pulsering`},
		{"crash", "-systems=pulsering,memberlist,pulsering", `"pulsering" is there twice`},
		// Faults of no length, one right after the other, would fill the memory.
		{"stall", "-fault=0", "-fault=0s: want 50ms to 1h0m0s"},
		{"stall", "-between=0", "-between=0s: want 1s to 1h0m0s"},
		{"stall", "-least=301ms", "-least=301ms: want 0s to 300ms"},
		{"stall", "-least=-1ms", "-least=-1ms: want 0s to 300ms"},
		{"stall", "-least=300ms -churn=10", ""},
		{"crash", "-rate=-1", "-rate=-1: want 0 to 8e+06"},
		{"crash", "-rate=16", ""},
		{"cut", "-few=3", ""},
		{"oneway", "-between=0", "-between=0s: want 1s to 10m0s"},
		{"restart", "-between=999ms", "-between=999ms: want 1s to 5m0s"},
		{"restart", "-fault=0", ""},
		{"block", "-fault=0", "-fault=0s: want 1ms to 2m0s"},
		{"block", "-between=1ns", "-between=1ns: want 1ms to 2m0s"},
		{"block", "-between=0", ""}, // once, the Threshold experiment
		{"crash", "-nodes=16 -kill=2 -loss=0.1", ""},
	} {
		got, err := withArgs(t, test.scenario, test.args)
		switch {
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s %s: %v, want an error with %q", test.scenario, test.args, err, test.want)
		case test.want == "" && (err != nil || got.Scenario != test.scenario):
			t.Errorf("%s %s: %+v, %v", test.scenario, test.args, got, err)
		}
	}
	if p, _ := withArgs(t, "crash", "-nodes=16 -kill=2 -loss=0.1"); p.Nodes != 16 || p.Kill != 2 || p.Loss != 0.1 {
		t.Errorf("the flags make %+v", p)
	}
	for _, n := range scenarioNames() {
		p, _ := question(n)
		if err := p.validate(); err != nil {
			t.Errorf("defaults of %s: %v", n, err)
		}
	}
}

// withArgs is the question that a scenario and further flags put.
func withArgs(t *testing.T, scenario, args string) (params, error) {
	t.Helper()
	p, err := question(scenario)
	if err != nil {
		t.Fatal(err)
	}
	given := flag.NewFlagSet("", flag.ContinueOnError)
	new(params).define(given)
	if err := given.Parse(strings.Fields(args)); err != nil {
		t.Fatal(err)
	}
	return p.withFlags(given)
}

// What cluster.Config refuses, the lab refuses in the same words, before a cluster of members does.
func TestLimitsAreTheLibrarys(t *testing.T) {
	const ns = time.Nanosecond
	for _, test := range []struct {
		flag   string
		config cluster.Config
	}{
		{"-beat=-1ns", cluster.Config{Beat: -ns}},
		{"-beat=1ns", cluster.Config{Beat: ns}},
		{"-stall-allowance=-1ns", cluster.Config{StallAllowance: -ns}},
		{"-stall-allowance=1ns", cluster.Config{StallAllowance: ns}},
		{"-false-alarm-every=1ns", cluster.Config{FalseAlarmEvery: ns}},
		{"-observers=7", cluster.Config{Observers: 7}},
		{"-observers=-2", cluster.Config{Observers: -2}},
		{"-observers=66", cluster.Config{Observers: 66}},
	} {
		_, theirs := cluster.Join(t.Context(), test.config)
		_, ours := withArgs(t, "crash", test.flag)
		if theirs == nil || ours == nil {
			t.Errorf("%s: the library says %v, the lab %v", test.flag, theirs, ours)
			continue
		}
		if _, want, _ := strings.Cut(ours.Error(), ": want "); !strings.Contains(theirs.Error(), "want "+want) {
			t.Errorf("%s: the library says %v, the lab %v", test.flag, theirs, ours)
		}
	}
	for _, flag := range []string{"-beat=5ms", "-beat=10s", "-observers=64", "-observers=2", "-stall-allowance=1m", "-false-alarm-every=1m"} {
		if _, err := withArgs(t, "crash", flag); err != nil {
			t.Errorf("%s: %v", flag, err)
		}
	}
}

// A flag that a run would not look at is a mistake.
func TestLooksAt(t *testing.T) {
	given := flag.NewFlagSet("", flag.ContinueOnError)
	new(params).define(given)
	given.Bool("test.v", false, "")
	given.Bool("report", false, "")
	given.String("results", "here", "")
	if err := given.Parse([]string{"-test.v", "-report", "-nodes=-5", "-systems=pulsering"}); err != nil {
		t.Fatal(err)
	}
	err := looksAt(given, "report", "results")
	if err == nil || !strings.Contains(err.Error(), "-nodes=-5: ") || !strings.Contains(err.Error(), "-systems=pulsering: ") ||
		strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("%v, want -nodes and -systems named and no other", err)
	}
	if err := looksAt(given, append(questionFlags(), "report")...); err != nil {
		t.Error(err)
	}
}

func TestToMake(t *testing.T) {
	have := &runs{dir: t.TempDir()}
	all, err := jobs()
	if err != nil {
		t.Fatal(err)
	}
	if todo, err := toMake(all, have, "now", regexp.MustCompile("^crsh"), 0, false); err == nil || !strings.Contains(err.Error(), "-only=^crsh") {
		t.Errorf("an expression that no case matches: %d runs, %v", len(todo), err)
	}
	cut36 := regexp.MustCompile("^cut/36$")
	todo, err := toMake(all, have, "now", cut36, 3, false)
	if err != nil || len(todo) != 3 || todo[0].name != "cut/36" || todo[0].seed != 1 {
		t.Fatalf("%v, %v; want three seeds of cut/36", todo, err)
	}
	for i, build := range []string{"now", "before"} {
		j := todo[i]
		p, err := j.params(j.seed)
		if err != nil {
			t.Fatal(err)
		}
		if err := (&result{Params: p, Build: build}).write(have.file(j.name, j.seed)); err != nil {
			t.Fatal(err)
		}
	}
	for keep, want := range map[bool]int{false: 2, true: 1} {
		if left, err := toMake(all, have, "now", cut36, 3, keep); err != nil || len(left) != want {
			t.Errorf("keep %v: %v, %v; want %d runs", keep, left, err, want)
		}
	}
}

// -out names what is written, whatever it is: a link leads where it led, and a pipe, such as /dev/stdout may be, is written into.
func TestWriteLeavesWhatItIs(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	is := func(name string, want os.FileMode) {
		t.Helper()
		if info, err := os.Lstat(path(name)); err != nil || info.Mode().Type() != want {
			t.Errorf("%s was %v, and is now %v (%v)", name, want, info, err)
		}
	}
	for range 2 { // a file is replaced
		if err := (&result{}).write(path("file")); err != nil {
			t.Fatal(err)
		}
		is("file", 0)
	}

	if err := os.Symlink(path("target"), path("link")); err != nil {
		t.Skip(err)
	}
	for range 2 { // the target is not there at first
		if err := errors.Join(tryWrite(path("link")), (&result{}).write(path("link"))); err != nil {
			t.Fatal(err)
		}
		is("link", os.ModeSymlink)
		if r, err := read(path("target")); err != nil || r.Systems != nil {
			t.Errorf("where the link leads: %v, %v", r, err)
		}
	}

	socket, err := net.Listen("unix", path("socket"))
	if err != nil {
		t.Skip(err)
	}
	defer socket.Close()
	if tryWrite(path("socket")) == nil || (&result{}).write(path("socket")) == nil {
		t.Error("a socket was opened as a file")
	}
	is("socket", os.ModeSocket)

	if err := exec.Command("mkfifo", path("pipe")).Run(); err != nil {
		t.Skip("no named pipes:", err)
	}
	if err := tryWrite(path("pipe")); err != nil { // does not wait for a reader
		t.Error(err)
	}
	got := make(chan error, 1)
	go func() {
		_, err := read(path("pipe"))
		got <- err
	}()
	if err := (&result{}).write(path("pipe")); err != nil {
		t.Error(err)
	}
	if is("pipe", os.ModeNamedPipe); t.Failed() {
		return // nobody wrote into it, and the reader waits on
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// What cannot be written is known before the run, and to find out leaves nothing behind.
func TestTryWrite(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "new", "result.json")
	if err := tryWrite(file); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	if err := os.WriteFile(file, []byte("of before"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := tryWrite(file); err != nil {
		t.Error(err)
	}
	if buf, err := os.ReadFile(file); string(buf) != "of before" {
		t.Errorf("the file of before holds %q (%v)", buf, err)
	}
	for _, path := range []string{dir, filepath.Join(file, "result.json"), filepath.Join(dir, strings.Repeat("x", 255))} {
		if err := tryWrite(path); err == nil {
			t.Errorf("%s: no error", path)
		}
	}
}

func TestMerge(t *testing.T) {
	a := &systemResult{Detect: detection{First: number(1), Median: number(2), Max: number(5), Pairs: 10, Never: 1}, Packets: 8, Peak: 30}
	b := &systemResult{Detect: detection{First: number(2), Median: number(4), Max: number(9), Pairs: 10}, Packets: 10, Peak: 20, Unsettled: 1}
	c := &systemResult{Detect: detection{Pairs: 5, Never: 5}, Packets: 12}
	for _, r := range []*systemResult{a, b, c} {
		r.False.MemberHours = 10
	}
	a.False.All = 1
	m := merge([]*systemResult{a, b, c})
	if d := m.Detect; *d.First != 1 || *d.Median != 2 || *d.Max != 9 || d.P99 != nil || d.Pairs != 25 || d.Never != 6 {
		t.Errorf("detection %+v", d)
	}
	if f := m.False; f.All != 1 || f.MemberHours != 30 || math.Abs(f.PerHour95-4.7439/30) > 1e-4 {
		t.Errorf("false downs %+v", f)
	}
	if m.Packets != 10 || m.Peak != 30 || m.Agree != nil {
		t.Errorf("packets %v, peak %d, agree %v; want 10, 30, none", m.Packets, m.Peak, m.Agree)
	}
}

// The report says what the runs say, whichever of them there are.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	have := &runs{dir: dir}
	if err := writeReport(have); err == nil {
		t.Error("a report of nothing")
	}
	all, err := jobs()
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range all {
		if j.section == sectionStall || j.name == "loss/20" || j.section == sectionBlock && j.name != "block/threshold-C1-D128ms" {
			continue
		}
		p, err := j.params(j.seed)
		if err != nil {
			t.Fatal(err)
		}
		r := &result{Case: j.name, Build: "test", Seed: j.seed, Nodes: p.Nodes, Params: p, Systems: map[string]*systemResult{}}
		if j.name == "wan/60" && j.seed == 2 {
			r.Build = "old"
		}
		for i, name := range systemNames {
			s := &systemResult{Packets: 10, Bytes: 500, FormedS: number(1), False: falseDown{MemberHours: 100}}
			s.Detect = detection{First: number(i + 1), Median: number(i + 1), P99: number(i + 2), Max: number(i + 2), Pairs: 7}
			s.Agree, s.Settled = number(2), summarize([]float64{2})
			r.Systems[name] = s
		}
		r.Systems["memberlist"].False.All = 3
		if err := r.write(have.file(j.name, j.seed)); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeReport(have); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "lab.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"runs are missing. Of 66 cases there is none; ",
		" by test, 1 by old.",
		"| crash/1-of-8 | 8 | 10 | 1 / 2 / 3 | 2 / 3 / 4 | 0 / 0 / 0 of 70 | 0; 0 / 30; 0 / 0; 0 | 1000; ≤ 0.003 / 0.03 (≤ 0.041) / ≤ 0.003 |",
		"| crash at 10 % loss: median ≤ 1.2 s | 1 (crash/loss-10) | yes |",
		"| crash of 1 and 5, 8 to 1000 members: median ≤ 0.7 s | 1 (crash/1-of-8) | **no** |",
		"| … the median at 1000 within 1.3 times that at 8 | 1 (crash/1-of-1000) | yes |",
		"| stalls: no false down | – | not run |",
		"| loss of 1 to 20 %, bursts: no false down | 0 (loss/1) | so far: loss/20 has 0 of 2 seeds |",
		"| Lifeguard's experiments: no false down at unblocked members | 0 (block/threshold-C1-D128ms) | so far: 63 cases lack seeds |",
		"| cost: at most 15 packets per node and second | 10 (loss/none-8) | yes |",
		"](lab/detection-over-size.svg)",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	for _, file := range []string{"lab/detection-over-size.svg", "lab/detection-over-loss.svg", "lab/false-downs.svg", "lab/cost-over-size.svg"} {
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			t.Error(err)
		}
	}
}

// What must not be called kept: runs in which a promise is broken, or cannot be told.
func TestGoals(t *testing.T) {
	seconds := func(s float64) *float64 { return &s }
	told := func(after float64, pairs, never int) *systemResult {
		return &systemResult{Detect: detection{First: &after, Median: &after, P99: &after, Max: &after, Pairs: pairs, Never: never}}
	}
	broken, unformed, strangers := told(0.5, 99, 0), told(0.5, 99, 0), told(0.5, 1, 0)
	broken.ViewsDiffer, strangers.Detect.Already = 1, 98
	restarts := told(0.5, 980, 0)
	restarts.Back = returns{seconds(0.5), seconds(0.5), seconds(0.5), 0, 980}
	alone := &systemResult{Isolated: summarize([]float64{0.5})}
	apart := &systemResult{Apart: seconds(599), Agree: seconds(0)}
	leavers := &systemResult{False: falseDown{LeftAsDown: 1}}

	type runs map[string][]*systemResult // by case
	times := func(n int, r *systemResult) []*systemResult { return slices.Repeat([]*systemResult{r}, n) }
	for name, test := range map[string]struct {
		says string
		runs runs
		want string
	}{
		"kept":                      {"crash at 20 % loss", runs{"crash/loss-20": times(10, told(1, 99, 0))}, "yes"},
		"too late":                  {"crash at 20 % loss", runs{"crash/loss-20": times(10, told(1.9, 99, 0))}, "**no**"},
		"seeds that told nobody":    {"crash at 20 % loss", runs{"crash/loss-20": append(times(9, &systemResult{Detect: detection{Pairs: 99, Never: 99}}), told(1, 99, 0))}, "**no**"},
		"most never told":           {"three regions: median", runs{"wan/60": times(3, told(0.2, 99, 98))}, "**no**"},
		"missing seeds":             {"crash at 20 % loss", runs{"crash/loss-20": times(1, told(1, 99, 0))}, "so far: crash/loss-20 has 1 of 10 seeds"},
		"broken instrument":         {"crash at 20 % loss", runs{"crash/loss-20": append(times(9, told(1, 99, 0)), broken)}, "**no**: crash/loss-20: the instrument is broken"},
		"never formed":              {"crash at 20 % loss", runs{"crash/loss-20": append(times(9, told(1, 99, 0)), unformed)}, "**no**: crash/loss-20: the cluster did not form"},
		"strangers":                 {"crash at 20 % loss", runs{"crash/loss-20": append(times(9, told(1, 99, 0)), strangers)}, "**no**: crash/loss-20: some did not know of the victims"},
		"alone":                     {"isolated: Isolated", runs{"isolate/50": times(5, alone)}, "yes"},
		"alone and silent":          {"isolated: Isolated", runs{"isolate/50": append(times(4, &systemResult{}), alone)}, "**no**"},
		"restarts":                  {"restart: down", runs{"restart/50": times(5, restarts)}, "yes"},
		"restarts without a down":   {"restart: down", runs{"restart/50": times(5, &systemResult{Detect: detection{Pairs: 980, Never: 980}, Back: restarts.Back})}, "**no**"},
		"leavers":                   {"… and nobody down who said", runs{"restart/50": times(5, restarts), "join-storm/200": append(times(2, restarts), leavers)}, "**no**"},
		"views apart":               {"oneway, lossy-few: views", runs{"lossy-few/100": times(3, apart)}, "**no**"},
		"growth":                    {"… the median at 1000", runs{"crash/1-of-8": times(10, told(0.3, 7, 0)), "crash/1-of-1000": times(2, told(0.3, 999, 0)), "crash/5-of-8": times(10, told(0.3, 15, 0)), "crash/5-of-1000": times(2, told(0.3, 999, 0))}, "yes"},
		"growth with five of them":  {"… the median at 1000", runs{"crash/1-of-8": times(10, told(0.3, 7, 0)), "crash/1-of-1000": times(2, told(0.3, 999, 0)), "crash/5-of-8": times(10, told(0.3, 15, 0)), "crash/5-of-1000": times(2, told(0.69, 999, 0))}, "**no**"},
		"growth with seeds missing": {"… the median at 1000", runs{"crash/1-of-8": times(10, told(0.3, 7, 0)), "crash/1-of-1000": times(1, told(0.3, 999, 0))}, "so far: crash/1-of-1000 has 1 of 2 seeds, crash/5-of-8 has 0 of 10 seeds, crash/5-of-1000 has 0 of 2 seeds"},
	} {
		t.Run(name, func(t *testing.T) {
			var cases []*outcome
			for _, c := range series() {
				p, err := c.params(1)
				if err != nil {
					t.Fatal(err)
				}
				o := &outcome{Case: c.name, Section: c.section, Seeds: len(test.runs[c.name]), Of: c.seeds, Params: p, Systems: map[string]*systemResult{}}
				for _, r := range test.runs[c.name] {
					r.False.MemberHours = 1
					if r != unformed {
						r.FormedS = number(1)
					}
				}
				if o.Seeds > 0 {
					o.Systems["pulsering"] = merge(test.runs[c.name])
				}
				cases = append(cases, o)
			}
			i := slices.IndexFunc(goals, func(g goal) bool { return strings.HasPrefix(g.says, test.says) })
			if i < 0 {
				t.Fatalf("no goal begins with %q", test.says)
			}
			if got := goals[i].judge(cases); !strings.HasSuffix(got, "| "+test.want) {
				t.Errorf("%s: %s, want %s", goals[i].says, got, test.want)
			}
		})
	}
}

// A file of another question, or without all systems, is not a run of the case that it is named after.
func TestReportOfOtherQuestions(t *testing.T) {
	have := &runs{dir: t.TempDir()}
	all, err := jobs()
	if err != nil {
		t.Fatal(err)
	}
	for i, j := range all[:3] {
		p, err := j.params(j.seed)
		if err != nil {
			t.Fatal(err)
		}
		r := &result{Case: j.name, Seed: j.seed, Params: p, Systems: map[string]*systemResult{}}
		for _, name := range systemNames {
			r.Systems[name] = &systemResult{False: falseDown{MemberHours: 1}}
		}
		switch i {
		case 1:
			r.Params.Loss = 0.5
		case 2:
			delete(r.Systems, "pulsering")
		}
		if err := r.write(have.file(j.name, j.seed)); err != nil {
			t.Fatal(err)
		}
	}
	cases, _, err := gather(have)
	if err != nil || cases[0].Seeds != 1 {
		t.Errorf("%d runs of %s, %v; want the first of three", cases[0].Seeds, cases[0].Case, err)
	}
}

// Where a fault has no end, views are held against each other all the time.
func TestLedgerApart(t *testing.T) {
	d := newDiary(4)
	d.sick(d.now, 0, 0)
	d.after(1)
	d.says(1, 0, viewDown)
	d.after(2)
	d.says(2, 0, viewDown)
	d.says(3, 0, viewDown)
	d.after(10)
	for i, want := range []time.Duration{2 * time.Second, 7 * time.Second} { // it goes on, until the end
		if got := d.apart(); got != want {
			t.Errorf("views were apart for %v at most, want %v", got, want)
		}
		if i == 0 {
			d.says(1, 0, viewUp)
			d.after(7)
			d.end(d.now)
		}
	}
	d = newDiary(3) // what was before the measurement is not part of it
	d.says(1, 0, viewDown)
	d.after(60)
	d.begin(d.now)
	d.after(1)
	d.says(1, 0, viewUp)
	if got := d.apart(); got != time.Second {
		t.Errorf("views were apart for %v since the measurement began, want 1s", got)
	}
}

// Views that agree for a moment before the run ends have not agreed for a second.
func TestLedgerAgreementAtTheEnd(t *testing.T) {
	d := newDiary(3)
	d.says(1, 0, viewDown)
	d.ended(d.now, nil)
	d.after(100)
	d.says(1, 0, viewUp)
	d.after(0.9)
	d.end(d.now)
	d.wantAgreement(t, math.Inf(1))
}

// A member that runs and is said to have left is lost to the application just as one that is said to be down.
func TestLedgerFalseLeft(t *testing.T) {
	d := newDiary(4)
	for i := 1; i < 4; i++ {
		d.says(i, 0, viewNone)
	}
	d.wantFalse(t, 3, 3)
	d.stopped(d.now, 1, 0, true)
	d.says(2, 1, viewNone) // it did
	d.wantFalse(t, 3, 3)
}

// A suspicion of memberlist outlives Shutdown. What it comes to is not heard: the next life of the member speaks under its name.
func TestPlainMembersEndWithShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, err := clustertest.New(clustertest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer network.Close()
		plainly := plain("memberlist", memberlist.DefaultLANConfig)
		var heard heardViews
		var nodes []node
		for i := range 2 {
			tr, err := network.Transport(address(i, 0))
			if err != nil {
				t.Fatal(err)
			}
			n, err := plainly.start(t.Context(), i, name(i), tr, []string{address(0, 0)}[:i], &heard)
			if err != nil {
				t.Fatal(err)
			}
			nodes = append(nodes, n)
		}
		if err := network.Kill(address(1, 0)); err != nil {
			t.Fatal(err)
		}
		nodes[1].close()
		time.Sleep(3 * time.Second) // it is suspected, and not yet down
		if heard.downs.Load() > 0 {
			t.Fatal("down before the suspicion ended")
		}
		nodes[0].close()
		time.Sleep(time.Minute)
		if n := heard.downs.Load(); n > 0 {
			t.Errorf("%d downs were told by a member that had ended", n)
		}
	})
}

// heardViews counts those who were called down.
type heardViews struct{ downs atomic.Int64 }

func (h *heardViews) told(_ int, _ string, v view, _ uint64, _, _ string) {
	if v == viewDown {
		h.downs.Add(1)
	}
}

func (h *heardViews) lonely(int) {}

// The table of the short series says what is worse than all that others measured, and nothing else.
func TestCompare(t *testing.T) {
	write := func(dir, name string, seed uint64, edit func(*result)) {
		t.Helper()
		c, err := caseNamed(name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := c.params(seed)
		if err != nil {
			t.Fatal(err)
		}
		s := &systemResult{Packets: 10, Bytes: 500, Peak: 30}
		s.Detect = detection{Median: number(1), Max: number(2), Pairs: 7}
		r := &result{Params: p, Build: filepath.Base(dir), Systems: map[string]*systemResult{"pulsering": s}}
		edit(r)
		if err := r.write((&runs{dir: dir}).file(name, seed)); err != nil {
			t.Fatal(err)
		}
	}
	packets := func(n float64) func(*result) { return func(r *result) { r.Systems["pulsering"].Packets = n } }
	after := func(n float64) func(*result) {
		return func(r *result) { r.Systems["pulsering"].After = &aftermath{10, n, n} }
	}
	root := t.TempDir()
	dirs := map[string]string{}
	for _, name := range []string{"now", "before", "series"} {
		dirs[name] = filepath.Join(root, name)
	}
	for seed, n := range []float64{9, 11, 10} {
		write(dirs["series"], "crash/1-of-8", uint64(seed+1), packets(n))
	}
	write(dirs["before"], "crash/1-of-8", 1, packets(12))
	write(dirs["now"], "crash/1-of-8", 1, packets(12.1)) // within a hundredth of the worst
	write(dirs["before"], "crash/quiet-10", 1, after(90))
	write(dirs["before"], "crash/quiet-11", 1, after(12))
	write(dirs["now"], "crash/quiet-10", 1, after(11))
	write(dirs["now"], "crash/quiet-11", 1, after(105))
	write(dirs["now"], "crash/1-of-3", 1, packets(13.1)) // by a tenth at most
	write(dirs["before"], "crash/1-of-3", 1, packets(12))
	write(dirs["before"], "loss/none-100", 1, packets(10))
	write(dirs["now"], "loss/none-100", 1, packets(9))
	write(dirs["now"], "cut/36", 1, func(r *result) { r.Params.Loss = 0.5 }) // another question
	var sources []*source
	for _, name := range []string{"now", "before", "series"} {
		s, err := look(name, dirs[name], 10)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, s)
	}
	table := compare(sources)
	squeezed := regexp.MustCompile(` +`).ReplaceAllString(table, " ")
	for _, want := range []string{
		"series before now\n",
		"\n packets a node and second 9 to 11 12 12.1\n",
		"\n packets a node and second – 12 13.1 above\n",
		"\n packets of a survivor after the verdict – 12 to 90 11 to 105 worse, at crash/quiet-11\n",
		"\n packets a node and second – 10 9 better\n",
		"\nseries: 3 runs by series in ", "\nbefore: 5 runs by before in ", "\nnow: 5 runs by now in ",
		", 2 are above the spread of the others, 1 by more than a tenth\n crash/quiet-2 to 40: packets of a survivor after the verdict: 105, was 12 to 90, at crash/quiet-11\n",
	} {
		if !strings.Contains(squeezed, want) {
			t.Errorf("the table lacks %q", want)
		}
	}
	for _, dull := range []string{"cut/36", "pairs never told", "full queues"} {
		if strings.Contains(table, dull) {
			t.Errorf("the table has a line about %s", dull)
		}
	}
	if t.Failed() {
		t.Log(table)
	}
}

// The short series is what the series and the further cases have, without the controls.
func TestShort(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range short() {
		p, err := c.params(1)
		if err != nil || p.Systems != "pulsering" || seen[c.name] {
			t.Errorf("%s: systems %s, %v", c.name, p.Systems, err)
		}
		seen[c.name] = true
	}
	for _, c := range further() {
		if p, err := c.params(1); err != nil || p.Systems != common.Systems {
			t.Errorf("%s: systems %s, %v", c.name, p.Systems, err)
		}
	}
}

// A run is the same from its file and from the archive, a file is newer, and an archive depends on nothing but its runs.
func TestRunsArePacked(t *testing.T) {
	have := &runs{dir: t.TempDir(), packed: map[string]*result{}}
	all, err := jobs()
	if err != nil {
		t.Fatal(err)
	}
	all = all[:3]
	write := func(j job, build string) {
		t.Helper()
		p, err := j.params(j.seed)
		if err != nil {
			t.Fatal(err)
		}
		r := &result{Case: j.name, Seed: j.seed, Params: p, Build: build, Systems: map[string]*systemResult{"pulsering": {Agree: number(3)}}}
		if err := r.write(have.file(j.name, j.seed)); err != nil {
			t.Fatal(err)
		}
	}
	want := func(j job, build string) {
		t.Helper()
		r, err := have.read(j.name, j.seed)
		if err != nil || r.Build != build || r.Seed != j.seed || *r.Systems["pulsering"].Agree != 3 || r.Systems["pulsering"].FormedS != nil {
			t.Fatalf("%s, seed %d: %+v, %v; want one made by %s", j.name, j.seed, r, err, build)
		}
	}
	pack := func() []byte {
		t.Helper()
		if err := have.pack(all); err != nil {
			t.Fatal(err)
		}
		if have, err = openRuns(have.dir); err != nil {
			t.Fatal(err)
		}
		buf, err := os.ReadFile(archiveFile(have.dir))
		if err != nil {
			t.Fatal(err)
		}
		return buf
	}
	if _, err := have.read(all[0].name, 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
	write(all[0], "old")
	write(all[1], "old")
	pack()
	want(all[0], "old")
	if _, err := os.Stat(filepath.Join(have.dir, "lab", "runs")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is packed is there still: %v", err)
	}
	write(all[0], "new")
	write(all[2], "new")
	want(all[0], "new")
	first := pack()
	want(all[0], "new")
	want(all[1], "old")
	want(all[2], "new")
	write(all[2], "new")
	if again := pack(); string(again) != string(first) {
		t.Error("the same runs make another archive")
	}

	if err := os.WriteFile(archiveFile(have.dir), first[:len(first)-20], 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := openRuns(have.dir); err == nil || !strings.Contains(err.Error(), "runs.jsonl.gz: after ") {
		t.Errorf("an archive that was cut off: %v", err)
	}
}

// What a run under way says last is how far it has come.
func TestSaying(t *testing.T) {
	var s saying
	if got := s.last(); got != "" {
		t.Errorf("no run says %q", got)
	}
	s.begin()
	for _, said := range []string{"=== RUN\n", "cut, 9 members: forming, 10s of real time\n", "cut, 9 members: 5s of", " 1m, 20s of real ti"} {
		s.Write([]byte(said))
	}
	if got, want := s.last(), "cut, 9 members: forming, 10s of real time"; got != want {
		t.Errorf("%q, want %q: a line that is not whole is none", got, want)
	}
	s.Write([]byte("me\n    lab_test.go:7: so\n"))
	if got, want := s.last(), "cut, 9 members: 5s of 1m, 20s of real time"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if all := string(s.end()); !strings.HasPrefix(all, "=== RUN") || !strings.HasSuffix(all, "so\n") || s.last() != "" {
		t.Errorf("all: %q, then %q", all, s.last())
	}
}
