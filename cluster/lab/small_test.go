package lab

import (
	"runtime"
	"testing"
	"time"
)

// small is every scenario at a size for every day. Bounds are generous, as memberlist's luck cannot be seeded: they are there
// to notice that something broke, the series measures how good it is.
var small = []struct {
	name  string
	edit  func(*params)
	check func(*testing.T, bounds)
}{
	{"crash", func(p *params) { p.Nodes, p.Minutes, p.Kill = 12, 1.5, 2 }, func(t *testing.T, b bounds) {
		b.told(t, 4*time.Second)
		b.noFalse(t)
		b.agreed(t, 10*time.Second)
		if c := b.control; c != nil && (c.Detect.Pairs != 20 || c.Detect.Median == nil || *c.Detect.Median < 3 || *c.Detect.Median > 20) {
			t.Errorf("memberlist alone told of %+v: the lab's control should take 5 to 10 s", c.Detect)
		}
	}},
	{"crash/quiet", func(p *params) { p.Nodes, p.Minutes = 10, 1.5 }, func(t *testing.T, b bounds) {
		b.told(t, 2*time.Second)
		if a := b.ours.After; a == nil || a.Calm < 9 || a.Most > 2*a.Calm {
			t.Errorf("after a crash survivors send %+v packets a second, want at most twice as many as before", a)
		}
	}},
	{"crash/most", func(p *params) { p.Nodes, p.Minutes, p.Kill = 20, 3, 18 }, func(t *testing.T, b bounds) {
		b.told(t, time.Minute)
		b.noFalse(t)
	}},
	{"crash/slow", func(p *params) { p.Nodes, p.Minutes, p.Rate = 6, 2, 64 }, func(t *testing.T, b bounds) {
		b.told(t, 10*time.Second)
		b.noFalse(t)
	}},
	{"crash/probes", func(p *params) { p.Nodes, p.Minutes, p.Kill, p.Heartbeats = 3, 4, 1, "probes" }, func(t *testing.T, b bounds) {
		b.told(t, time.Minute)
	}},
	{"crash/fast", func(p *params) {
		p.Nodes, p.Minutes, p.Beat, p.StallAllowance = 8, 1, 25*time.Millisecond, 100*time.Millisecond
	}, func(t *testing.T, b bounds) {
		b.told(t, 2*time.Second)
	}},
	{"crash/observers", func(p *params) { p.Nodes, p.Minutes, p.KillObservers = 20, 1.5, true }, func(t *testing.T, b bounds) {
		b.told(t, 30*time.Second)
		if n := b.ours.Detect.Pairs; n < 5*15 { // observers by several rings may be the same
			t.Errorf("%d pairs of victim and survivor: a member's observers did not die with it", n)
		}
	}},
	{"loss", func(p *params) { p.Nodes, p.Minutes = 12, 2 }, func(t *testing.T, b bounds) {
		b.noFalse(t)
		if p := b.ours.Packets; p < 7 || p > 60 {
			t.Errorf("%v packets per node and second, want 7 to 60", p)
		}
	}},
	{"burst", func(p *params) { p.Nodes, p.Minutes = 12, 2 }, func(t *testing.T, b bounds) { b.noFalse(t) }},
	{"block", func(p *params) { p.Nodes, p.Minutes, p.Few = 12, 0.7, 2 }, func(t *testing.T, b bounds) {
		b.noFalse(t)
	}},
	{"stall", func(p *params) { p.Nodes, p.Minutes, p.Between = 12, 2, 10*time.Second }, func(t *testing.T, b bounds) {
		b.noFalse(t)
	}},
	{"stall/loss", func(p *params) {
		p.Nodes, p.Minutes, p.Least, p.Fault, p.Between, p.Loss = 12, 2, 395*time.Millisecond, 395*time.Millisecond, 10*time.Second, 0.02
	}, func(t *testing.T, b bounds) {
		b.noFalse(t)
		if b.ours.Changes.Count == 0 {
			t.Error("nobody stalled")
		}
	}},
	{"stall/churn", func(p *params) { p.Nodes, p.Minutes, p.Between, p.Churn = 12, 2, 10*time.Second, 12 }, func(t *testing.T, b bounds) {
		b.noFalse(t)
		if d := b.ours.Dials; d == 0 {
			t.Error("nobody joined")
		}
	}},
	{"block/loss", func(p *params) { p.Nodes, p.Minutes, p.Few, p.Loss = 12, 0.7, 2, 0.02 }, func(t *testing.T, b bounds) {
		b.noFalse(t)
	}},
	{"cut/few", func(p *params) { p.Nodes, p.Minutes, p.Few, p.Fault = 12, 2.5, 2, 20*time.Second }, func(t *testing.T, b bounds) {
		if n := b.ours.Detect.Pairs; n != 2*2*10 {
			t.Errorf("%d pairs across the cut, want 40", n)
		}
		b.told(t, 15*time.Second)
		b.agreed(t, time.Minute)
		b.noFalse(t)
	}},
	{"cut", func(p *params) { p.Nodes, p.Minutes, p.Fault = 12, 2.5, 20*time.Second }, func(t *testing.T, b bounds) {
		b.told(t, 15*time.Second)
		b.agreed(t, time.Minute)
	}},
	{"isolate", func(p *params) { p.Nodes, p.Minutes, p.Fault = 12, 2.5, 20*time.Second }, func(t *testing.T, b bounds) {
		b.told(t, 10*time.Second)
		b.agreed(t, time.Minute)
		b.noFalse(t)
		if i := b.ours.Isolated; i.Count == 0 || *i.Max > 10 {
			t.Errorf("the member that was alone said so after %+v", i)
		}
	}},
	{"oneway", func(p *params) { p.Nodes, p.Minutes = 12, 1.5 }, func(t *testing.T, b bounds) {
		b.illAre(t, 11)
		b.noFalse(t)
	}},
	{"lossy-few", func(p *params) { p.Nodes, p.Minutes = 12, 1 }, func(t *testing.T, b bounds) {
		b.illAre(t, 11)
		b.noFalse(t)
	}},
	{"restart", func(p *params) { p.Nodes, p.Minutes, p.Kill, p.Between = 8, 1.5, 4, 5*time.Second }, func(t *testing.T, b bounds) {
		b.told(t, 5*time.Second)
		b.noFalse(t)
		if r := b.ours.Back; r.Never > 0 || r.Pairs != 4*7 || *r.Max > 10 {
			t.Errorf("told of returns: %+v", r)
		}
	}},
	{"join-storm", func(p *params) { p.Nodes, p.Minutes, p.Churn = 24, 1, 20 }, func(t *testing.T, b bounds) {
		b.agreed(t, 30*time.Second)
		b.noFalse(t)
	}},
	{"wan", func(p *params) { p.Nodes, p.Minutes = 9, 1.5 }, func(t *testing.T, b bounds) {
		b.told(t, 10*time.Second)
		b.noFalse(t)
	}},
}

// bounds are what a small run is held against.
type bounds struct{ ours, control *systemResult }

func (b bounds) told(t *testing.T, most time.Duration) {
	t.Helper()
	if d := b.ours.Detect; d.Pairs == 0 || d.Never > 0 || *d.Max > most.Seconds() {
		t.Errorf("told of %d pairs, %d never, last after %s s; want all within %v", d.Pairs, d.Never, figures(d.Max), most)
	}
}

func (b bounds) noFalse(t *testing.T) {
	t.Helper()
	if f := b.ours.False; f.All > 0 || f.LeftAsDown > 0 {
		t.Errorf("%+v, want no false down", f)
	}
}

func (b bounds) agreed(t *testing.T, most time.Duration) {
	t.Helper()
	if a := b.ours.Agree; a == nil || *a > most.Seconds() {
		t.Errorf("views agree after %s s, want %v at most", figures(a), most)
	}
}

// illAre checks that the faults are done to somebody, who does not flap.
func (b bounds) illAre(t *testing.T, pairs int) {
	t.Helper()
	for _, s := range []*systemResult{b.ours, b.control} {
		if s.Changes.Count != pairs {
			t.Errorf("%d pairs of healthy observer and ill member, want %d", s.Changes.Count, pairs)
		}
	}
	// The promise is 4 in ten minutes, of which this is the worst: nothing is learnt yet. One run of some 300 has 6: docs/design.md,
	// section 10, says how.
	if m := b.ours.Changes.Max; m == nil || *m > 6 {
		t.Errorf("%s changes of an ill member for one of the others, want at most 6", figures(m))
	}
}

// everyDay runs all that is small.
func everyDay(t *testing.T) {
	for _, s := range small {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			p, err := question(scenarioOf(s.name))
			if err != nil {
				t.Fatal(err)
			}
			s.edit(&p)
			p.Systems, p.Settle = "pulsering,memberlist", 5*time.Second
			if err := p.validate(); err != nil {
				t.Fatal(err)
			}
			r := ask(t, p)
			for name, got := range r.Systems {
				if got.ViewsDiffer > 0 {
					t.Errorf("%s: %d pairs do not see what their events said", name, got.ViewsDiffer)
				}
				if want := float64(p.Nodes) * got.VirtualS / 3600; got.False.MemberHours > 1.5*want || got.False.MemberHours < want/3 {
					t.Errorf("%s: %v member-hours of about %v", name, got.False.MemberHours, want)
				}
				if got.Packets == 0 || got.Bytes < 20*got.Packets {
					t.Errorf("%s: %v packets, %v bytes", name, got.Packets, got.Bytes)
				}
			}
			s.check(t, bounds{r.Systems["pulsering"], r.Systems["memberlist"]})
			if t.Failed() {
				t.Logf("\n%s", r)
			}
			runtime.GC()
		})
	}
}
