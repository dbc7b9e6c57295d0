package main

import (
	"math"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/internal/level"
)

// column is one of the table's.
type column struct {
	name  string
	width int
	cell  func(memberLine) (text string, p paint)
}

// columns are those that fit, the most important first.
func (m topModel) columns(rows []memberLine) (fit []column) {
	d := m.shown()
	widest := func(least, most int, of func(memberLine) string) int {
		for _, one := range rows {
			least = max(least, ansi.StringWidth(of(one)))
		}
		return min(least, most)
	}
	name := func(one memberLine) string { return printable(one.Name) }
	text := func(of func(memberLine) string) func(memberLine) (string, paint) {
		return func(one memberLine) (string, paint) { return of(one), plain }
	}
	heard := func(one memberLine) string {
		if one.Self {
			return "(itself)"
		}
		return ago(m.there(), one.LastHeard)
	}
	tagsOf := func(one memberLine) string { return tagList(one.Tags) }
	addr := func(one memberLine) string { return printable(one.Addr) }
	all := []column{
		{"MEMBER", widest(8, max(8, min(30, m.width/3)), name), text(name)},
		{"STATE", widest(7, 12, stateText), func(one memberLine) (string, paint) { return stateText(one), statePaint(one) }},
		{"φ", 5, func(one memberLine) (string, paint) { return m.phi(one), statePaint(one) }},
		{"", 10, func(one memberLine) (string, paint) { return m.bar(one, 10), statePaint(one) }},
		{"LAST MINUTE", 18, func(one memberLine) (string, paint) {
			return sparkline(d.history[one.Name], d.at.Add(d.ahead), 18, m.threshold()), cyan
		}},
		{"HEARD", 10, text(heard)},
		{"RTT", 7, text(func(one memberLine) string { return rtt(one.RTT) })},
		{"SINCE", 10, text(func(one memberLine) string { return ago(m.there(), one.Since) })},
		{"ADDRESS", widest(7, 40, addr), text(addr)},
		{"TAGS", widest(4, 60, tagsOf), text(tagsOf)},
	}
	used := 2 // the cursor
	for _, c := range all {
		if used += c.width + 1; used > m.width+1 && len(fit) > 1 {
			break
		}
		fit = append(fit, c)
		used++
	}
	return fit
}

// table is the names of the columns and a line for each member.
func (m topModel) table(rows []memberLine) []string {
	columns := m.columns(rows)
	var head strings.Builder
	head.WriteString("  ")
	for _, c := range columns {
		head.WriteString(pad(c.name, c.width) + "  ")
	}
	lines := []string{m.paint(grey, strings.TrimRight(head.String(), " "))}
	for _, one := range rows {
		line := "  "
		if one.Name == m.cursor {
			line = m.paint(bold, "▸ ")
		}
		for _, c := range columns {
			text, p := c.cell(one)
			line += m.paint(p, pad(text, c.width)) + "  "
		}
		lines = append(lines, strings.TrimRight(line, " "))
	}
	if len(rows) == 0 {
		lines = append(lines, "  no member is so")
	}
	return lines
}

func stateText(one memberLine) string {
	if one.Health == cluster.HealthWedged && one.State != cluster.StateLeft {
		return one.State.String() + " wedged"
	}
	return one.State.String()
}

func statePaint(one memberLine) paint {
	if one.Health == cluster.HealthWedged && one.State == cluster.StateUp {
		return yellow
	}
	return paintOf(one.State.String())
}

// listened tells whether φ of the member says something.
func listened(one memberLine) bool {
	return one.Observed && !one.Self && one.State != cluster.StateLeft
}

func (m topModel) phi(one memberLine) string {
	if !listened(one) {
		return "–"
	}
	return ansi.Truncate(level.Phi(one.Phi).String(), 5, "")
}

// threshold is where the bar is full.
func (m topModel) threshold() float64 {
	if t := float64(m.shown().threshold); t > 0 {
		return t
	}
	return 10
}

// bar is φ up to the threshold.
func (m topModel) bar(one memberLine, width int) string {
	if !listened(one) {
		return ""
	}
	halves := int(math.Round(math.Min(1, one.Phi/m.threshold()) * float64(2*width)))
	text := strings.Repeat("█", halves/2)
	if halves%2 == 1 {
		text += "▌"
	}
	return text + strings.Repeat("·", width-(halves+1)/2)
}

// sparkline is φ over the last minute, the highest of each part of it, on the scale of the bar.
func sparkline(all []sample, now time.Time, width int, threshold float64) string {
	highest := make([]float64, width)
	known := make([]bool, width)
	for _, s := range all {
		part := width - 1 - int(now.Sub(s.Time)*time.Duration(width)/topHistory)
		if part >= 0 && part < width {
			highest[part], known[part] = max(highest[part], float64(s.Phi)), true
		}
	}
	var text strings.Builder
	for i, phi := range highest {
		switch {
		case !known[i]:
			text.WriteByte(' ')
		default:
			step := int(math.Min(1, phi/threshold) * 7.999)
			text.WriteRune(eighths[1+step])
		}
	}
	return text.String()
}

// pad fills a text up with spaces, or cuts it off.
func pad(text string, width int) string {
	text = ansi.Truncate(text, width, "…")
	return text + strings.Repeat(" ", max(0, width-ansi.StringWidth(text)))
}
