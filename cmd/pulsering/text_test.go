package main

import (
	"strings"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster"
)

func TestEventText(t *testing.T) {
	e := newEventLine(someEvent())
	got := eventText(e, false)
	for _, want := range []string{e.Time.Local().Format("15:04:05.000"), "down", "b ", "10.0.0.2:7946", "silent", "φ 9.1", "zone=a", "2 earlier changes"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q does not say %q", got, want)
		}
	}
	if strings.Contains(got, "\x1b") {
		t.Errorf("colours in %q", got)
	}
	if got := eventText(e, true); !strings.Contains(got, "\x1b[31mdown") {
		t.Errorf("no red in %q", got)
	}
}

// What other machines call themselves cannot play with the terminal.
func TestTextIsPrintable(t *testing.T) {
	e := newEventLine(someEvent())
	e.Member, e.Tags = "\x1b[2J", map[string]string{"a": "x\ny"}
	if got := eventText(e, false); strings.ContainsAny(got, "\x1b\n") || !strings.Contains(got, `"x\ny"`) {
		t.Errorf("%q", got)
	}
	for _, s := range []string{"\xff", "\u202e", "\u0007"} {
		if got := printable(s); got == s {
			t.Errorf("%q is left as it is", s)
		}
	}
	if got := printable("zürich-1"); got != "zürich-1" {
		t.Errorf("%q", got)
	}
}

func TestMemberTable(t *testing.T) {
	now := noon
	members := []memberLine{
		{Member: cluster.Member{Name: "a", Addr: "10.0.0.1:7946", Boot: 7, Epoch: 2, State: cluster.StateUp, Since: now.Add(-3 * time.Hour)}, Self: true},
		{Member: cluster.Member{Name: "büro", Addr: "10.0.0.2:7946", State: cluster.StateUp, Since: now.Add(-90 * time.Second), Observed: true,
			Phi: 0.25, LastHeard: now.Add(-120 * time.Millisecond), RTT: 420 * time.Microsecond, Tags: map[string]string{"zone": "a", "rack": "7"}}},
		{Member: cluster.Member{Name: "c", Addr: "10.0.0.3:7946", State: cluster.StateDown, Since: now.Add(-72 * time.Hour)}},
		{Member: cluster.Member{Name: "d", Addr: "10.0.0.4:7946", State: cluster.StateDown, Since: now.Add(-time.Minute), Observed: true,
			Phi: 505, LastHeard: now.Add(-time.Minute), RTT: time.Millisecond}},
	}
	got := strings.Join(memberTable(members, now, false), "\n")
	const want = `as a sees them (boot 7, epoch 2)
MEMBER  STATE  ADDRESS        φ    HEARD      RTT     SINCE      TAGS
a       up     10.0.0.1:7946       (itself)           3 h ago
büro    up     10.0.0.2:7946  0.2  0.1 s ago  0.4 ms  1 min ago  rack=7 zone=a
c       down   10.0.0.3:7946                          3 d ago
d       down   10.0.0.4:7946  –    1 min ago  1.0 ms  1 min ago`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	members[0].Isolated = true
	got = strings.Join(memberTable(members[:1], now, false), "\n")
	const alone = `as a sees them (boot 7, epoch 2)
a is isolated: it hears none of the others, so what it says of them is old
MEMBER  STATE  ADDRESS        φ  HEARD               RTT  SINCE    TAGS
a       up     10.0.0.1:7946     (itself, isolated)       3 h ago`
	if got != alone {
		t.Errorf("got\n%s\nwant\n%s", got, alone)
	}
	if got := strings.Join(memberTable(members[:1], now, true), "\n"); !strings.Contains(got, "\x1b[33ma is isolated") {
		t.Errorf("no colour in %q", got)
	}
}

// What decided a down is in its line, and from when one was accused.
func TestEventTextOfItsKind(t *testing.T) {
	e := someEvent()
	e.Threshold, e.By = 8.3, []string{"a", "\x1b[2J"}
	if got, want := eventText(newEventLine(e), false), `φ 9.1 of 8.3  by a, "\x1b[2J"`; !strings.Contains(got, want) {
		t.Errorf("%q does not say %q", got, want)
	}
	e = cluster.Event{Kind: cluster.Accused, Member: cluster.Member{Name: "b", Epoch: 4}, At: noon, Since: noon}
	if got, want := eventText(newEventLine(e), false), "since "+noon.Local().Format("15:04:05.000")+"  epoch 4"; !strings.Contains(got, want) {
		t.Errorf("%q does not say %q", got, want)
	}
}

// So is of what a member died, and how its service is.
func TestEventTextOfAnExit(t *testing.T) {
	e := someEvent()
	e.Reason, e.Detail, e.Member.Health, e.Phi = cluster.ReasonExited, "exit status 3\x1b", cluster.HealthWedged, 0
	if got, want := eventText(newEventLine(e), false), `exited: "exit status 3\x1b"  wedged`; !strings.Contains(got, want) {
		t.Errorf("%q does not say %q", got, want)
	}
}

func TestTableColoursDoNotCount(t *testing.T) {
	rows := [][]cell{header("A", "B"), {{"up", green}, {"x", plain}}}
	colored := table(rows, true)[1]
	if want := "\x1b[32mup\x1b[0m  x"; colored != want {
		t.Errorf("%q; want %q", colored, want)
	}
}

func TestAgo(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:            "0.0 s ago",
		1200 * time.Millisecond: "1.2 s ago",
		42 * time.Second:        "42 s ago",
		5 * time.Minute:         "5 min ago",
		47 * time.Hour:          "47 h ago",
		49 * time.Hour:          "2 d ago",
	} {
		if got := ago(noon, noon.Add(-d)); got != want {
			t.Errorf("%v: %q; want %q", d, got, want)
		}
	}
	if got := ago(noon, time.Time{}); got != "" {
		t.Errorf("zero time: %q", got)
	}
}
