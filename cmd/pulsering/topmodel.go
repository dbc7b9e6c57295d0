package main

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/internal/level"
)

// topModel is all that top shows, and how. It is a value: a copy that is kept does not change.
type topModel struct {
	node *asked // to ask about one member
	ctx  context.Context

	live   topData
	frozen *topData // what is shown while it is paused
	lost   time.Time
	why    string // it was lost

	width, height int
	color         bool
	now           time.Time

	sort    topSort
	reverse bool
	filter  string
	typing  bool   // into filter
	cursor  string // the member that is chosen
	first   int    // the row at the top
	help    bool

	detail      string // the member that is explained; empty: none
	explained   explainedMember
	detailFirst int
}

// topData is what is known of the cluster. Its slices and maps are replaced, never changed.
type topData struct {
	at        time.Time     // of the last look, by this machine's clock
	ahead     time.Duration // is the node's of that
	self      memberLine
	members   []memberLine
	threshold level.Phi           // 0: not known yet
	history   map[string][]sample // by the node's clock
	events    []eventLine         // oldest first
}

const (
	topHistory = time.Minute
	topEvents  = 200
)

// topSort is an order of the members.
type topSort int

const (
	byPhi topSort = iota
	byName
	bySince
	byRTT
	topSorts // how many there are
)

func (s topSort) String() string { return [...]string{"φ", "name", "since", "RTT"}[s] }

func newTop(color bool, now time.Time) topModel {
	return topModel{color: color, now: now, width: 80, height: 24}
}

// there is the time at the node: what it says has times of its clock.
func (m topModel) there() time.Time { return m.now.Add(m.shown().ahead) }

// shown is the data on the screen.
func (m topModel) shown() topData {
	if m.frozen != nil {
		return *m.frozen
	}
	return m.live
}

// update returns the model after a message.
func (m topModel) update(msg tea.Msg) (topModel, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case ticked:
		m.now = time.Time(msg)
		return m, tea.Batch(tick(), m.explain())
	case looked:
		m.now = msg.at
		m.look(msg)
	case happened:
		events := append(slices.Clone(m.live.events), msg.eventLine)
		m.live.events = events[max(0, len(events)-topEvents):]
	case judged:
		m.live.threshold = level.Phi(msg.why.Threshold)
	case recalled:
		m.live.history = withSamples(m.live.history, msg.name, msg.history)
	case explainedMember:
		if msg.name == m.detail {
			m.explained = msg
		}
	case tea.PasteMsg:
		if m.typing {
			m.filter = typed(m.filter, msg.Content)
		}
	case tea.KeyPressMsg:
		return m.key(msg)
	}
	return m, nil
}

// look takes in what a look at the members has shown.
func (m *topModel) look(l looked) {
	if l.err != nil {
		if m.lost.IsZero() {
			m.lost = l.at
		}
		m.why = l.err.Error()
		return
	}
	m.lost, m.why = time.Time{}, ""
	m.live.at, m.live.ahead, m.live.members = l.at, l.ahead, l.members
	there := l.at.Add(l.ahead)
	history := make(map[string][]sample, len(m.live.history))
	for _, one := range l.members {
		if one.Self {
			m.live.self = one
		}
		if one.Observed && one.State != cluster.StateLeft {
			history[one.Name] = fresh(append(slices.Clip(m.live.history[one.Name]), sample{Time: there, Phi: level.Phi(one.Phi)}), there)
		}
	}
	m.live.history = history
}

// withSamples puts what a node remembers of a member before what was seen of it since.
func withSamples(all map[string][]sample, name string, older []sample) map[string][]sample {
	next := make(map[string][]sample, len(all)+1)
	for k, v := range all {
		next[k] = v
	}
	seen := all[name]
	var merged []sample
	for _, s := range older {
		if len(seen) == 0 || s.Time.Before(seen[0].Time) {
			merged = append(merged, s)
		}
	}
	merged = append(merged, seen...)
	if len(merged) > 0 {
		next[name] = fresh(merged, merged[len(merged)-1].Time)
	}
	return next
}

// fresh leaves out what is older than the history goes back.
func fresh(all []sample, now time.Time) []sample {
	i := 0
	for i < len(all) && now.Sub(all[i].Time) > topHistory {
		i++
	}
	return all[i:]
}

// chosen is the member under the cursor, if it is shown; without a cursor the one at the top.
func (m topModel) chosen() string {
	rows := m.rows()
	if slices.ContainsFunc(rows, func(o memberLine) bool { return o.Name == m.cursor }) {
		return m.cursor
	}
	if len(rows) == 0 {
		return ""
	}
	return rows[0].Name
}

// rows are the members that the filter lets through, in order.
func (m topModel) rows() []memberLine {
	var rows []memberLine
	words := strings.Fields(strings.ToLower(m.filter))
	for _, one := range m.shown().members {
		if matches(one, words) {
			rows = append(rows, one)
		}
	}
	slices.SortStableFunc(rows, func(a, b memberLine) int {
		c := m.sort.compare(a, b)
		if m.reverse {
			c = -c
		}
		return cmp.Or(c, cmp.Compare(a.Name, b.Name))
	})
	return rows
}

// matches tells whether each word is part of what is shown of the member.
func matches(one memberLine, words []string) bool {
	text := strings.ToLower(strings.Join([]string{one.Name, stateText(one), one.Addr, tagList(one.Tags)}, "\n"))
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
}

// compare orders two members; equal ones stay in the order of their names.
func (s topSort) compare(a, b memberLine) int {
	switch s {
	case byName:
		return 0
	case bySince:
		return b.Since.Compare(a.Since)
	case byRTT:
		return cmp.Compare(b.RTT, a.RTT)
	}
	return cmp.Or(cmp.Compare(trouble(a), trouble(b)), cmp.Compare(worry(b), worry(a)))
}

// trouble is the rank of a member by its state: what wants a look comes first.
func trouble(one memberLine) int {
	switch {
	case one.State == cluster.StateSuspect:
		return 0
	case one.State == cluster.StateDown:
		return 1
	case one.State == cluster.StateLeft:
		return 4
	case one.Health == cluster.HealthWedged:
		return 2
	}
	return 3
}

// worry is φ as far as it says something: below 1 it goes up and down with each heartbeat, and so would the rows.
func worry(one memberLine) float64 {
	if !one.Observed || one.Phi < 1 || one.State == cluster.StateDown {
		return 0
	}
	return one.Phi
}
