package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/pulsering/pulsering/cluster"
)

// key is a key that was pressed.
func key(name string) tea.KeyPressMsg {
	switch name {
	case "enter":
		return tea.KeyPressMsg{Code: tea.KeyEnter}
	case "esc":
		return tea.KeyPressMsg{Code: tea.KeyEscape}
	case "space":
		return tea.KeyPressMsg{Code: tea.KeySpace, Text: " "}
	case "backspace":
		return tea.KeyPressMsg{Code: tea.KeyBackspace}
	case "up":
		return tea.KeyPressMsg{Code: tea.KeyUp}
	case "down":
		return tea.KeyPressMsg{Code: tea.KeyDown}
	case "pgdown":
		return tea.KeyPressMsg{Code: tea.KeyPgDown}
	case "home":
		return tea.KeyPressMsg{Code: tea.KeyHome}
	case "end":
		return tea.KeyPressMsg{Code: tea.KeyEnd}
	case "ctrl+c":
		return tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}
	}
	r := []rune(name)
	return tea.KeyPressMsg{Code: r[0], Text: name}
}

// after is the model after messages; a string is keys with spaces between.
func (m topModel) after(messages ...tea.Msg) topModel {
	for _, msg := range messages {
		if keys, ok := msg.(string); ok {
			for name := range strings.FieldsSeq(keys) {
				m, _ = m.update(key(name))
			}
			continue
		}
		m, _ = m.update(msg)
	}
	return m
}

var morning = time.Date(2026, 7, 1, 9, 0, 0, 0, time.UTC)

// sixOf are members, seen at a time: one in doubt, one down, one wedged, one left.
func sixOf(at time.Time) looked {
	heard := func(name string, state cluster.State, phi float64) memberLine {
		return memberLine{Member: cluster.Member{
			Name: name, Addr: "10.0.0.1:7946", State: state, Phi: phi, Observed: true, LastHeard: at.Add(-200 * time.Millisecond),
			RTT: 400 * time.Microsecond, Since: morning.Add(-time.Hour), Tags: map[string]string{"zone": name[:1]},
		}}
	}
	self := memberLine{Member: cluster.Member{Name: "ant", State: cluster.StateUp}, Self: true}
	wedged := heard("dog", cluster.StateUp, 0.2)
	wedged.Health = cluster.HealthWedged
	return looked{at: at, members: []memberLine{
		self, heard("bee", cluster.StateUp, 0.1), heard("cat", cluster.StateSuspect, 4), wedged, heard("elk", cluster.StateDown, 30), heard("fox", cluster.StateLeft, 0),
	}}
}

func topOf(t *testing.T) topModel {
	t.Helper()
	before := time.Local
	time.Local = time.UTC
	t.Cleanup(func() { time.Local = before })
	m := newTop(false, morning).after(judged{explanation{Explanation: cluster.Explanation{Threshold: 8}}})
	for i := range 30 {
		l := sixOf(morning.Add(time.Duration(i) * time.Second))
		l.members[2].Phi = float64(i) / 6
		m = m.after(l)
	}
	at := morning.Add(29 * time.Second)
	return m.after(sixOf(at), happened{eventLineOf("suspect", "cat", at)})
}

func eventLineOf(kind, name string, at time.Time) (e eventLine) {
	e.Kind, e.Member, e.Time, e.Reason = kind, name, at, "silent"
	return e
}

// The screen as most terminals have it.
func TestTopScreen(t *testing.T) {
	m := topOf(t).after(tea.WindowSizeMsg{Width: 80, Height: 16})
	const want = `as ant sees them  6 members: 3 up, 1 suspect, 1 down, 1 left            09:00:29
sorted by φ; called down at φ 8.0
  MEMBER    STATE      φ                  LAST MINUTE         HEARD
  cat       suspect    4.0    █████·····           ▁▁▂▂▃▄▄▅▅  0.2 s ago
  elk       down       30.0   ██████████           █████████  0.2 s ago
  dog       up wedged  0.2    ▌·········           ▁▁▁▁▁▁▁▁▁  0.2 s ago
  ant       up         –                                      (itself)
  bee       up         0.1    ··········           ▁▁▁▁▁▁▁▁▁  0.2 s ago
  fox       left       –                                      0.2 s ago
── events ──────────────────────────────────────────────────────────────────────
09:00:29.0  suspect    cat           silent




q quit  ? help  ↑↓ choose  Enter why  s sort  / filter  Space pause`
	if got := m.text(); got != want {
		t.Errorf("\n%s", got)
	}
}

// On no terminal, however small, does a line leave the screen, and nothing that others wrote is obeyed there.
func TestTopFitsAnywhere(t *testing.T) {
	base := topOf(t)
	hostile := sixOf(morning.Add(30 * time.Second))
	hostile.members[1].Name = "\x1b[2J\x1b]0;own\a"
	hostile.members[2].Name = strings.Repeat("長", 200)
	hostile.members[2].Tags = map[string]string{"\x1b": "\r\n"}
	hostile.members[3].Addr = "\u202e\x00"
	bad := eventLineOf("down\x1b", "\x1b[2J", morning)
	bad.Reason, bad.Detail, bad.By = "\x1b[1m", "\x1b]8;;http://x\a", []string{"\x07"}
	for _, m := range []topModel{
		base, base.after(hostile, happened{bad}), base.after("?"), base.after("/ x"), base.after("down enter"),
		base.after(hostile, "down enter", explainedMember{name: "cat", why: explanation{Explanation: cluster.Explanation{Member: cluster.Member{Name: "\x1b"}}}}),
		base.after(looked{err: errors.New("it\x1b is gone"), at: morning}), newTop(false, morning),
		base.after(hostile, "down enter", explainedMember{name: base.after("down").cursor, err: errors.New("no\x1b")}),
	} {
		for width := 1; width <= 200; width += 1 + width/20 {
			for height := 1; height <= 60; height += 1 + height/8 {
				text := m.after(tea.WindowSizeMsg{Width: width, Height: height}).text()
				lines := strings.Split(text, "\n")
				if len(lines) > height {
					t.Fatalf("%d lines on %dx%d:\n%s", len(lines), width, height, text)
				}
				for _, line := range lines {
					if n := ansi.StringWidth(line); n > width {
						t.Fatalf("%d columns on %dx%d: %q", n, width, height, line)
					}
				}
				if strings.ContainsAny(text, "\x1b\a\r\x00\u202e") {
					t.Fatalf("control characters on %dx%d: %q", width, height, text)
				}
			}
		}
	}
}

func (m topModel) order() string {
	var names []string
	for _, one := range m.rows() {
		names = append(names, one.Name)
	}
	return strings.Join(names, " ")
}

func TestTopSortsAndFilters(t *testing.T) {
	m := topOf(t)
	for keys, want := range map[string]string{
		"":                      "cat elk dog ant bee fox",
		"r":                     "fox ant bee dog elk cat",
		"s":                     "ant bee cat dog elk fox",
		"s s s s":               "cat elk dog ant bee fox",
		"/ d o g":               "dog",
		"/ s u s p e c t":       "cat",
		"/ z o n e = b":         "bee",
		"/ w e d g e d":         "dog",
		"/ n o enter":           "",
		"/ x backspace e l k":   "elk",
		"/ x esc":               "cat elk dog ant bee fox",
		"/ d o g enter esc":     "cat elk dog ant bee fox",
		"/ q q":                 "",
		"/ d o w n space e l k": "elk",
	} {
		if got := m.after(keys).order(); got != want {
			t.Errorf("%q: %q; want %q", keys, got, want)
		}
	}
	if got := m.after("/", tea.PasteMsg{Content: "do\x1b[2Jg\n"}); got.filter != "do[2Jg" {
		t.Errorf("pasted: %q", got.filter)
	}
	// Rows do not jump while nobody is in doubt: φ between two heartbeats is no order.
	calm := sixOf(morning)
	for i := range calm.members {
		calm.members[i].State, calm.members[i].Health = cluster.StateUp, cluster.HealthUnknown
		calm.members[i].Phi = float64((i*7)%5) / 5.01
	}
	if got := m.after(calm).order(); got != "ant bee cat dog elk fox" {
		t.Errorf("calm: %q", got)
	}
}

func TestTopScrolls(t *testing.T) {
	many := looked{at: morning}
	for i := range 500 {
		many.members = append(many.members, aMember(fmt.Sprintf("m%03d", i), cluster.StateUp, 0))
	}
	m := newTop(false, morning).after(many, tea.WindowSizeMsg{Width: 80, Height: 24})
	if text := m.text(); !strings.Contains(text, "m000") || !strings.Contains(text, "── 1 to 13 of 500 ── events") {
		t.Errorf("\n%s", text)
	}
	for keys, want := range map[string]string{"down": "m000", "down down": "m001", "end": "m499", "end home": "m000", "end up": "m498", "down pgdown": "m013"} {
		got := m.after(keys)
		if got.cursor != want || !strings.Contains(got.text(), "▸ "+want) {
			t.Errorf("%q: %q\n%s", keys, got.cursor, got.text())
		}
	}
	if text := m.after(strings.Repeat("down ", 14)).text(); !strings.Contains(text, "── 2 to 14 of 500") {
		t.Errorf("one beyond the screen:\n%s", text)
	}
	if text := m.after("end").text(); !strings.Contains(text, "m487") || strings.Contains(text, "m486") {
		t.Errorf("at the end:\n%s", text)
	}
	if few := m.after("end", looked{at: morning, members: many.members[:3]}); !strings.Contains(few.text(), "m000") {
		t.Errorf("scrolled beyond the end:\n%s", few.text())
	}
}

func TestTopPauses(t *testing.T) {
	m := topOf(t).after("space")
	paused := m.text()
	later := sixOf(morning.Add(40 * time.Second))
	later.members[1].State = cluster.StateDown
	m = m.after(later, happened{eventLineOf("down", "bee", morning)})
	if text := m.text(); !strings.Contains(text, "paused at 09:00:29") || strings.Contains(text, "2 down") || strings.Count(text, "\n") != strings.Count(paused, "\n") ||
		strings.Contains(text, "down       bee") {
		t.Errorf("\n%s", text)
	}
	if text := m.after("space").text(); !strings.Contains(text, "2 down") || !strings.Contains(text, "down       bee") {
		t.Errorf("\n%s", text)
	}
}

func TestTopLosesConnection(t *testing.T) {
	m := topOf(t)
	gone := looked{at: morning.Add(30 * time.Second), err: errors.New("nothing listens")}
	m = m.after(gone, ticked(morning.Add(34*time.Second)))
	if text := m.text(); !strings.Contains(text, "lost connection 4.0 s ago, trying again: nothing listens") || !strings.Contains(text, "cat       suspect") {
		t.Errorf("\n%s", text)
	}
	if text := m.after(sixOf(morning.Add(35 * time.Second))).text(); strings.Contains(text, "lost") {
		t.Errorf("\n%s", text)
	}
	alone := sixOf(morning)
	alone.members[0].Isolated = true
	if text := m.after(alone).text(); !strings.Contains(text, "ant is isolated: it hears none of the others") {
		t.Errorf("\n%s", text)
	}
}

func TestTopQuits(t *testing.T) {
	for _, keys := range []string{"q", "ctrl+c", "? ctrl+c", "/ ctrl+c", "enter q", "enter ctrl+c", "space q", "? q", "/ q enter q"} {
		m := topOf(t)
		all := strings.Fields(keys)
		for _, name := range all[:len(all)-1] {
			var cmd tea.Cmd
			if m, cmd = m.update(key(name)); cmd != nil {
				t.Errorf("%q: %s does something", keys, name)
			}
		}
		if _, cmd := m.update(key(all[len(all)-1])); cmd == nil {
			t.Errorf("%q does not quit", keys)
		} else if _, quits := cmd().(tea.QuitMsg); !quits {
			t.Errorf("%q does not quit", keys)
		}
	}
}

func TestTopExplains(t *testing.T) {
	m := topOf(t).after("down enter")
	if m.detail != "cat" || !strings.Contains(m.text(), "asking about cat") {
		t.Errorf("%q\n%s", m.detail, m.text())
	}
	line, err := json.Marshal(doubted(morning))
	if err != nil {
		t.Fatal(err)
	}
	var why explanation
	if err := json.Unmarshal(line, &why); err != nil {
		t.Fatal(err)
	}
	m = m.after(explainedMember{name: "cat", self: m.live.self, why: why}, tea.WindowSizeMsg{Width: 60, Height: 12})
	if text := m.text(); !strings.Contains(text, "bee has been suspect") || strings.Contains(text, "What would change it") {
		t.Errorf("\n%s", text)
	}
	if text := m.after("end").text(); !strings.Contains(text, "beyond a stall (2.3 more)") {
		t.Errorf("\n%s", text)
	}
	if m := m.after("esc"); m.detail != "" || !strings.Contains(m.text(), "LAST") && !strings.Contains(m.text(), "MEMBER") {
		t.Errorf("\n%s", m.text())
	}
	if m := m.after(explainedMember{name: "dog"}); m.explained.name != "cat" {
		t.Error("an answer about another member is shown")
	}
}

// What the node remembers of φ comes before what was seen since, and nothing older than a minute stays.
func TestTopHistory(t *testing.T) {
	m := newTop(false, morning).after(sixOf(morning))
	older := []sample{{Time: morning.Add(-2 * time.Minute), Phi: 9}, {Time: morning.Add(-30 * time.Second), Phi: 2}, {Time: morning.Add(time.Second), Phi: 7}}
	m = m.after(recalled{"bee", older}, sixOf(morning.Add(time.Second)))
	var got []string
	for _, s := range m.live.history["bee"] {
		got = append(got, fmt.Sprintf("%.0f:%v", s.Time.Sub(morning).Seconds(), s.Phi))
	}
	if strings.Join(got, " ") != "-30:2.0 0:0.1 1:0.1" {
		t.Errorf("%v", got)
	}
	for i := range 200 {
		m = m.after(sixOf(morning.Add(time.Duration(i) * time.Second)))
	}
	if n := len(m.live.history["bee"]); n != 61 {
		t.Errorf("%d samples of a minute", n)
	}
	if spark := sparkline(m.live.history["bee"], m.live.at, 18, 8); spark != strings.Repeat("▁", 18) {
		t.Errorf("%q", spark)
	}
}

// Colours are only where they are wanted.
func TestTopColours(t *testing.T) {
	m := topOf(t)
	if text := m.text(); strings.Contains(text, "\x1b") {
		t.Errorf("%q", text)
	}
	m.color = true
	if text := m.text(); !strings.Contains(text, red.on("1 down")) {
		t.Errorf("%q", text)
	}
}

func TestTopWithoutTerminal(t *testing.T) {
	code, out, stderr := pulsering(t, "top")
	if code != exitUsage || out != "" || !strings.Contains(stderr, "pulsering members --watch") || strings.Count(stderr, "\n") != 2 {
		t.Errorf("%d %q %q", code, out, stderr)
	}
}

// The feeds tell what the node knows, and end with their context.
func TestTopFeeds(t *testing.T) {
	lonely(t)
	r := newActingRing()
	r.members[1].Observed = true
	addr, on := serve(t, r)
	node, err := (&askedNode{HTTP: text(addr)}).open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer node.http.CloseIdleConnections()
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan tea.Msg, 100)
	ended := make(chan struct{}, 2)
	go func() {
		followMembers(ctx, node, 10*time.Millisecond, func(m tea.Msg) { told <- m })
		ended <- struct{}{}
	}()
	go func() {
		followEvents(ctx, node, func(m tea.Msg) { told <- m })
		ended <- struct{}{}
	}()
	seen := map[string]bool{}
	for want := 3; len(seen) < want; {
		switch msg := (<-told).(type) {
		case looked:
			if msg.err == nil && len(msg.members) == 2 {
				seen["members"] = true
			}
		case judged:
			seen["threshold"] = msg.why.Threshold == 8
		case recalled:
			seen["history"] = msg.name == "b"
		}
	}
	on.close()
	for {
		if msg, ok := (<-told).(looked); ok && msg.err != nil {
			break
		}
	}
	cancel()
	for n := 0; n < 2; {
		select {
		case <-told:
		case <-ended:
			n++
		case <-time.After(20 * time.Second):
			t.Fatal("a feed goes on")
		}
	}
}

// A second goes by, and the screen says so.
func TestTopTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		msg, ok := tick()().(ticked)
		if !ok || time.Time(msg).Sub(began) != time.Second {
			t.Errorf("%v", msg)
		}
	})
}
