package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/pulsering/pulsering/cluster"
)

// room is how many lines each part of the screen has.
type room struct{ members, events int }

const topFrame = 4 // the title, the status, the names of columns and the keys

// room shares the lines out: members first, and what happened in at least a third where there is space.
func (m topModel) room() room {
	lines := max(1, m.height-topFrame)
	if lines < 6 {
		return room{members: lines}
	}
	events := max(lines/3, lines-1-len(m.rows())) // a line is between them
	events = max(2, min(events, lines/2))
	return room{lines - 1 - events, events}
}

// text is the screen.
func (m topModel) text() string {
	var lines []string
	switch {
	case m.help:
		lines = m.frame(helpText, "q quit, any other key goes back")
	case m.detail != "":
		all := m.detailLines()
		first := max(0, min(m.detailFirst, len(all)-1))
		lines = m.frame(all[first:], "Esc back  ↑↓ scroll  q quit")
	default:
		lines = m.overview()
	}
	for i, line := range lines {
		lines[i] = ansi.Truncate(line, m.width, "…")
	}
	return strings.Join(lines[:min(len(lines), m.height)], "\n")
}

// frame puts lines between the title and the keys.
func (m topModel) frame(body []string, keys string) []string {
	lines := append([]string{m.title(), m.status()}, body...)
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	return append(lines[:max(0, m.height-1)], m.paint(grey, keys))
}

var helpText = []string{
	"",
	"↑ ↓ PgUp PgDn Home End   choose a member, scroll",
	"Enter                    why the cluster thinks of it what it does",
	"s                        sort by φ, name, since or RTT; r turns it around",
	"/                        filter by name, state, address or tag: several words",
	"Esc                      show all, go back",
	"p, Space                 pause",
	"q, Ctrl-C                quit",
	"",
	"φ is how unlikely a silence is: 3 means that one heartbeat in 1000 is this late.",
	"The bar is full where a member would be called down; beside it φ of the last minute.",
	"Members without φ are heard by others: they say how it is.",
}

func (m topModel) paint(p paint, text string) string {
	if m.color {
		return p.on(text)
	}
	return text
}

// title says whose view it is, and how many are how.
func (m topModel) title() string {
	d := m.shown()
	count := map[string]int{}
	for _, one := range d.members {
		count[one.State.String()]++
	}
	var parts []string
	for _, state := range []string{"up", "suspect", "down", "left"} {
		if n := count[state]; n > 0 {
			parts = append(parts, m.paint(paintOf(state), fmt.Sprintf("%d %s", n, state)))
		}
	}
	left := fmt.Sprintf("%s  %d %s: %s", m.paint(bold, "as "+printable(d.self.Name)+" sees them"), len(d.members),
		plural(uint64(len(d.members)), "member"), strings.Join(parts, ", "))
	clock := m.now.Local().Format("15:04:05")
	if gap := m.width - ansi.StringWidth(left) - len(clock); gap > 1 {
		return left + strings.Repeat(" ", gap) + clock
	}
	return left
}

// status is the most important thing to know about the view.
func (m topModel) status() string {
	d := m.shown()
	switch {
	case !m.lost.IsZero():
		return m.paint(red, "lost connection "+ago(m.now, m.lost)+", trying again: ") + harmless(m.why)
	case m.frozen != nil:
		return m.paint(yellow, "paused at "+d.at.Local().Format("15:04:05")) + "  Space goes on"
	case d.self.Isolated:
		return m.paint(yellow, printable(d.self.Name)+" is isolated: it hears none of the others, so what it says of them is old")
	case m.typing:
		return "filter: " + m.filter + "▏"
	}
	sorted := "sorted by " + m.sort.String()
	if m.reverse {
		sorted += ", reversed"
	}
	if m.filter != "" {
		return fmt.Sprintf("%d of %d with %q (Esc shows all), %s", len(m.rows()), len(d.members), m.filter, sorted)
	}
	if d.threshold > 0 {
		sorted += fmt.Sprintf("; called down at φ %s", d.threshold)
	}
	return m.paint(grey, sorted)
}

// overview is the table of members, what happened, and the keys.
func (m topModel) overview() []string {
	d, r, rows := m.shown(), m.room(), m.rows()
	lines := []string{m.title(), m.status()}
	first := max(0, min(m.first, len(rows)-r.members))
	shown := rows[first:min(len(rows), first+r.members)]
	lines = append(lines, m.table(shown)...)
	for len(lines) < 3+r.members {
		lines = append(lines, "")
	}
	if r.events > 0 {
		lines = append(lines, m.rule(len(rows), first, len(shown)))
		events := d.events[max(0, len(d.events)-r.events):]
		for i := len(events) - 1; i >= 0; i-- { // the latest first, where the eye is
			lines = append(lines, m.event(events[i]))
		}
		if len(events) == 0 {
			lines = append(lines, m.paint(grey, "nothing has happened since this began"))
		}
	}
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	keys := "q quit  ? help  ↑↓ choose  Enter why  s sort  / filter  Space pause"
	if m.width < 68 {
		keys = "q quit  ? help"
	}
	return append(lines[:max(0, m.height-1)], m.paint(grey, keys))
}

// rule parts the members from what happened, and says how many members are above and below.
func (m topModel) rule(all, first, shown int) string {
	text := "── events "
	if shown < all {
		text = fmt.Sprintf("── %d to %d of %d ── events ", first+1, first+shown, all)
	}
	return m.paint(grey, text+strings.Repeat("─", max(0, m.width-ansi.StringWidth(text))))
}

func (m topModel) event(e eventLine) string {
	text := fmt.Sprintf("%s  %s  %s  %s", e.Time.Local().Format("15:04:05.0"), m.paint(paintOf(e.Kind), pad(printable(e.Kind), 9)),
		pad(printable(e.Member), 12), printable(e.Reason))
	if e.Detail != "" {
		text += ": " + harmless(e.Detail)
	}
	if e.Kind == "updated" && e.Health != cluster.HealthUnknown {
		text += " " + e.Health.String()
	}
	if e.Phi > 0 {
		text += "  φ " + e.Phi.String()
	}
	if e.Threshold > 0 {
		text += " of " + e.Threshold.String()
	}
	if len(e.By) > 0 {
		text += "  by " + nameList(e.By)
	}
	if e.Kind == "updated" && len(e.Tags) > 0 {
		text += "  " + tagList(e.Tags)
	}
	if e.Folded > 0 {
		text += fmt.Sprintf("  (%d left out)", e.Folded)
	}
	return text
}

// detailLines is the explanation of a member, as wide as the screen.
func (m topModel) detailLines() []string {
	e := m.explained
	switch {
	case e.name != m.detail:
		return []string{"", "asking about " + printable(m.detail) + " …"}
	case e.err != nil:
		return []string{"", "no explanation: " + harmless(e.err.Error())}
	}
	var lines []string
	for _, line := range slices.Concat([]string{""}, explained(e.self, e.why, e.at, m.color)) {
		lines = append(lines, strings.Split(ansi.Wrap(line, max(10, m.width), ""), "\n")...)
	}
	return lines
}
