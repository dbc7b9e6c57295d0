package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mattn/go-isatty"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/internal/level"
)

// What people read: one line an event, tables of members.

// paint is the number of an ANSI colour; zero leaves the text as it is.
type paint uint8

const (
	plain  paint = 0
	bold   paint = 1
	red    paint = 31
	green  paint = 32
	yellow paint = 33
	cyan   paint = 36
	grey   paint = 90
)

func (p paint) on(s string) string {
	if p == plain {
		return s
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", p, s)
}

// paintOf is the colour of a state or of the kind of an event.
func paintOf(state string) paint {
	switch state {
	case "up", "connected", "joined", "resumed", "outage over":
		return green
	case "suspect", "isolated", "accused", "away":
		return yellow
	case "down", "outage":
		return red
	case "left", "gone", "unknown":
		return grey
	}
	return plain
}

// cell is one field of a table.
type cell struct {
	text  string
	paint paint
}

// header makes the first row of a table.
func header(names ...string) []cell {
	row := make([]cell, len(names))
	for i, name := range names {
		row[i] = cell{name, grey}
	}
	return row
}

// table lays rows out in columns, one string a row.
func table(rows [][]cell, color bool) []string {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	lines := make([]string, len(rows))
	for n, row := range rows {
		var line strings.Builder
		pad := 0
		for i, c := range row {
			if c.text != "" { // spaces are written before what follows them, never at the end of a line
				line.WriteString(strings.Repeat(" ", pad))
				pad = 0
				if color {
					line.WriteString(c.paint.on(c.text))
				} else {
					line.WriteString(c.text)
				}
			}
			pad += widths[i] - utf8.RuneCountInString(c.text) + 2
		}
		lines[n] = line.String()
	}
	return lines
}

// memberTable shows members as the asked node sees them, below a line that says which node that is.
func memberTable(members []memberLine, now time.Time, color bool) []string {
	var head []string
	rows := [][]cell{header("MEMBER", "STATE", "ADDRESS", "φ", "HEARD", "RTT", "SINCE", "TAGS")}
	for _, m := range members {
		state := m.State.String()
		shown := cell{state, paintOf(state)}
		if m.Health == cluster.HealthWedged {
			shown = cell{state + ", wedged", paintOf("suspect")}
		}
		row := []cell{{text: printable(m.Name)}, shown, {text: printable(m.Addr)}, {}, {}, {},
			{text: ago(now, m.Since)}, {text: tagList(m.Tags)}}
		if m.Self {
			row[4].text = "(itself)"
			head = append(head, fmt.Sprintf("as %s sees them (boot %d, epoch %d)", printable(m.Name), m.Boot, m.Epoch))
			if m.Isolated {
				note := fmt.Sprintf("%s is isolated: it hears none of the others, so what it says of them is old", printable(m.Name))
				if color {
					note = paintOf("isolated").on(note)
				}
				head = append(head, note)
				row[4] = cell{"(itself, isolated)", paintOf("isolated")}
			}
		} else if m.Observed {
			row[3].text = "–" // where it would only count how long ago one left or was called down
			if m.State == cluster.StateUp || m.State == cluster.StateSuspect {
				row[3].text = level.Phi(m.Phi).String()
			}
			row[4].text = ago(now, m.LastHeard)
			row[5].text = rtt(m.RTT)
		}
		rows = append(rows, row)
	}
	return append(head, table(rows, color)...)
}

// eventText is the line about an event, without its end.
func eventText(e eventLine, color bool) string {
	kind := fmt.Sprintf("%-9s", printable(e.Kind))
	if color {
		kind = paintOf(e.Kind).on(kind)
	}
	line := fmt.Sprintf("%s  %s  %-12s  %-21s  %s",
		e.Time.Local().Format("15:04:05.000"), kind, printable(e.Member), printable(e.Addr), printable(e.Reason))
	if e.Detail != "" {
		line += ": " + printable(e.Detail)
	}
	if e.Health != cluster.HealthUnknown {
		line += "  " + e.Health.String()
	}
	if e.Phi != 0 {
		line += "  φ " + e.Phi.String()
	}
	if e.Threshold != 0 {
		line += " of " + e.Threshold.String()
	}
	if len(e.By) > 0 {
		doubters := make([]string, len(e.By))
		for i, name := range e.By {
			doubters[i] = printable(name)
		}
		line += "  by " + strings.Join(doubters, ", ")
	}
	if !e.Since.IsZero() {
		line += "  since " + e.Since.Local().Format("15:04:05.000")
	}
	if e.Kind == "accused" {
		line += fmt.Sprintf("  epoch %d", e.Epoch)
	}
	if len(e.Tags) > 0 {
		line += "  " + tagList(e.Tags)
	}
	if e.Folded > 0 {
		line += fmt.Sprintf("  (%d earlier changes left out)", e.Folded)
	}
	return line
}

// ago tells how long before now t was; nothing for the zero time.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	d := max(0, now.Sub(t))
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s ago", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0f s ago", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d d ago", int(d.Hours())/24)
}

// rtt is a round-trip time; nothing for 0, which is: not measured yet.
func rtt(d time.Duration) string {
	ms := d.Seconds() * 1000
	switch {
	case d == 0:
		return ""
	case ms < 10:
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// seconds is a duration as people say it, milliseconds where it is short.
func seconds(d time.Duration) string {
	if d.Abs() < 100*time.Millisecond {
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

func tagList(tags map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		parts = append(parts, printable(k)+"="+printable(tags[k]))
	}
	return strings.Join(parts, " ")
}

// harmless is a text of another machine, such as an error, in which whatever could play with the terminal is escaped.
func harmless(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// printable quotes what could play with the terminal: names and tags come from other machines.
func printable(s string) string {
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return strconv.Quote(s)
		}
	}
	return s
}

func isTerminal(f *os.File) bool {
	return isatty.IsTerminal(f.Fd()) && os.Getenv("TERM") != "dumb" || isatty.IsCygwinTerminal(f.Fd())
}

// sameFile tells whether two files are one, such as both outputs of "pulsering node > log 2>&1".
func sameFile(a, b *os.File) bool {
	one, err := a.Stat()
	if err != nil {
		return false
	}
	other, err := b.Stat()
	return err == nil && os.SameFile(one, other)
}
