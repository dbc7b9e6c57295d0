package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster"
)

// doubted is an explanation with all that there can be.
func doubted(now time.Time) cluster.Explanation {
	return cluster.Explanation{
		Member:    cluster.Member{Name: "bee", State: cluster.StateSuspect, Phi: 3.2, Observed: true, Since: now.Add(-200 * time.Millisecond), Health: cluster.HealthPassing},
		Threshold: 8, StallThreshold: 4.3,
		Observers: []string{"ant", "cat", "dog"},
		LastAlive: now.Add(-900 * time.Millisecond), Excused: now.Add(50 * time.Millisecond),
		Path: &cluster.Path{
			Interval: 125 * time.Millisecond, Mean: 126 * time.Millisecond, Deviation: 1500 * time.Microsecond, Loss: 0.012,
			Heartbeats: 1200, Lost: 7, LastHeartbeat: now.Add(-900 * time.Millisecond), Overdue: now.Add(-700 * time.Millisecond), Reaches: now.Add(time.Second),
		},
		Inquiry: &cluster.Inquiry{
			Since: now.Add(-600 * time.Millisecond), Asked: 5, Unanswered: 3, Phi: 5.5, BeforeStall: 2,
			Doubts: []cluster.Doubt{{By: "ant", Phi: 3.2, BeforeStall: 1}, {By: "cat", Phi: 2.3, BeforeStall: 1}},
		},
		Verdict: &cluster.Verdict{Phi: 8.1, Threshold: 8, By: []string{"ant"}, Exit: "signal: killed"},
	}
}

func explainedText(t *testing.T, e cluster.Explanation, now time.Time) string {
	t.Helper()
	line, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var read explanation
	if err := json.Unmarshal(line, &read); err != nil {
		t.Fatal(err)
	}
	self := memberLine{Member: cluster.Member{Name: "ant"}, Self: true}
	return strings.Join(explained(self, read, now, false), "\n")
}

func TestExplanation(t *testing.T) {
	e := doubted(noon)
	e.Verdict = nil
	const want = `bee has been suspect for 0.2 s, as ant sees it.
  Of its service it says: passing.

Evidence
  The latest sign of life that anybody had: 0.9 s ago.
  ant listens to it: 1200 heartbeats arrived, 7 got lost, the last one came 0.9 s ago.
  They are due every 125 ms, come every 126 ms, and are 1.5 ms early or late on average.
  Of 100 packets on this path 1.2 are taken to get lost.
  The next one has been overdue for 0.70 s: φ is 3.2.
  ant has asked it 5 times since 0.6 s ago; 3 should have been answered by now, and were not.

Opinions
  WHO  φ                         BEYOND A STALL
  ant  3.2                       1.0
  cat  2.3                       1.0
  dog  no doubt, or no word yet
  sum  5.5 of 8.0                2.0 of 4.3
  No single one counts for more than its share. Of fewer than three only those count whom ant hears without a gap.

What would change it
  Up: any sign of life, to anybody.
  Down: a sum of doubts of 8.0 (2.5 more), of which 4.3 beyond a stall (2.3 more); not before 50 ms from now, as one stall may last that long.`
	if got := explainedText(t, e, noon); got != want {
		t.Errorf("%s", got)
	}
}

// Each state has its own words, and nothing that others wrote is obeyed by the terminal.
func TestExplanations(t *testing.T) {
	for _, test := range []struct {
		name  string
		shape func(e *cluster.Explanation)
		want  []string
	}{
		{"down", func(e *cluster.Explanation) { e.Member.State, e.Inquiry, e.Verdict.Exit = cluster.StateDown, nil, "" },
			[]string{"bee has been down for 0.2 s, as ant", "called down by a doubt of 8.1, of which 8.0 was enough, by ant", "the verdict stands", "Up: a heartbeat"}},
		{"exited", func(e *cluster.Explanation) {
			e.Member.State, e.Inquiry, e.Verdict.Exit = cluster.StateDown, nil, "\x1b]0;own\a"
		}, []string{`its service died: \x1b]0;own\a`}},
		{"up", func(e *cluster.Explanation) {
			e.Member.State, e.Inquiry, e.Verdict, e.Path.Overdue = cluster.StateUp, nil, nil, noon.Add(time.Second)
		}, []string{"there is no doubt", "The next one is not overdue", "alone comes to 8.0 in 1.00 s", "Suspect: a sum of doubts of about 4.0"}},
		{"left", func(e *cluster.Explanation) { e.Member.State, e.Inquiry, e.Verdict = cluster.StateLeft, nil, nil },
			[]string{"bee left 0.2 s ago, as ant sees it.\n", "it said goodbye", "up again when it joins again"}},
		{"unheard", func(e *cluster.Explanation) { e.Path, e.Verdict, e.LastAlive = nil, nil, time.Time{} },
			[]string{"No sign of life is known here", "ant does not listen to it"}},
		{"new", func(e *cluster.Explanation) { e.Path.Heartbeats = 0 }, []string{"has heard no heartbeat yet"}},
		{"itself", func(e *cluster.Explanation) { e.Member.Name = "ant" }, []string{"no doubt about itself", "Those who listen to it: ant, cat, dog"}},
		{"named", func(e *cluster.Explanation) {
			e.Member.Name, e.Observers, e.Inquiry.Doubts[0].By = "\x1b[2J", []string{"\u202e"}, "\x07"
		}, []string{`"\x1b[2J" has been suspect`, `"\a"`, `"\u202e"`}},
	} {
		e := doubted(noon)
		test.shape(&e)
		got := explainedText(t, e, noon)
		for _, want := range test.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in\n%s", test.name, want, got)
			}
		}
		if strings.ContainsAny(got, "\x1b\a\u202e") {
			t.Errorf("%s: control characters in %q", test.name, got)
		}
	}
}

func TestExplainCommand(t *testing.T) {
	lonely(t)
	r := newActingRing()
	r.members[1].Name = "b/.. %2F"
	addr, _ := serve(t, r)
	if code, out, stderr := pulsering(t, "explain", "b/.. %2F", "--http", addr); code != 0 || !strings.HasPrefix(out, "b/.. %2F is ") {
		t.Errorf("%d %q %q", code, out, stderr)
	}
	if code, out, _ := pulsering(t, "explain", "a", "--json", "--http", addr); code != 0 || !json.Valid([]byte(out)) || !strings.Contains(out, `"phi_history"`) {
		t.Errorf("%d %q", code, out)
	}
	for _, name := range []string{"nobody", "..", ".", "\x1b"} {
		code, out, stderr := pulsering(t, "explain", name, "--http", addr)
		if code != exitFailed || out != "" || !strings.Contains(stderr, "no member ") || !strings.Contains(stderr, "pulsering members") || strings.Contains(stderr, "\x1b") {
			t.Errorf("%q: %d %q %q", name, code, out, stderr)
		}
	}
	if code, _, stderr := pulsering(t, "explain", "--http", addr); code != exitUsage || !strings.Contains(stderr, "<name>") {
		t.Errorf("without a name: %d %q", code, stderr)
	}
}

func TestPing(t *testing.T) {
	lonely(t)
	r := newActingRing()
	rtts := []time.Duration{time.Millisecond, 0, 3 * time.Millisecond}
	n := 0
	r.ping = func(name string) (time.Duration, error) {
		n++
		if d := rtts[(n-1)%3]; d > 0 {
			return d, nil
		}
		return 0, errors.New("cluster: no answer")
	}
	flags := serveToken(t, r)
	code, out, stderr := pulsering(t, append([]string{"ping", "b", "-c", "3", "-i", "100ms"}, flags...)...)
	const want = "asking b from a (10.0.0.1:7946)\nb: seq=1 time=1.000 ms\nb: seq=2 no answer\nb: seq=3 time=3.000 ms\n" +
		"--- b: 3 asked, 2 answered, 33.3 % lost\nrtt min/avg/max/mdev = 1.000/2.000/3.000/1.000 ms\n"
	if code != 0 || out != want || stderr != "" {
		t.Errorf("%d %q %q", code, out, stderr)
	}
	r.ping = func(string) (time.Duration, error) { return 0, errors.New("cluster: no answer") }
	if code, out, stderr := pulsering(t, append([]string{"ping", "b", "-c", "2", "-i", "100ms"}, flags...)...); code != exitFailed ||
		!strings.Contains(out, "2 asked, 0 answered, 100 % lost") || !strings.Contains(stderr, "never answered") {
		t.Errorf("nobody: %d %q %q", code, out, stderr)
	}
	r.ping = func(name string) (time.Duration, error) { return 0, cluster.ErrNoMember }
	if code, _, stderr := pulsering(t, append([]string{"ping", "x"}, flags...)...); code != exitFailed || strings.Count(stderr, "error: ") != 1 {
		t.Errorf("unknown: %d %q", code, stderr)
	}
	for _, bad := range [][]string{{"-c", "0"}, {"-i", "1ms"}, {"-c", "x"}} {
		if code, _, stderr := pulsering(t, append([]string{"ping", "b"}, bad...)...); code != exitUsage || stderr == "" {
			t.Errorf("%v: %d %q", bad, code, stderr)
		}
	}
}

func TestLeaveCommand(t *testing.T) {
	lonely(t)
	r := newActingRing()
	if code, out, stderr := pulsering(t, append([]string{"leave"}, serveToken(t, r)...)...); code != 0 || out != "a has left\n" || stderr != "" {
		t.Errorf("%d %q %q", code, out, stderr)
	}
	if strings.Join(r.did, " ") != "leave" {
		t.Errorf("it did %q", r.did)
	}
}

func TestForgetRefused(t *testing.T) {
	lonely(t)
	r := newActingRing()
	r.refuses = errors.New("cluster: b is up: only members that are down or have left can be forgotten\x1b[2J")
	code, out, stderr := pulsering(t, append([]string{"forget", "b"}, serveToken(t, r)...)...)
	if code != exitFailed || out != "" || !strings.Contains(stderr, `b is up: only members that are down or have left can be forgotten\x1b`) {
		t.Errorf("%d %q %q", code, out, stderr)
	}
}
