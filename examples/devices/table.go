package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/pulsering/pulsering/detector/link"
)

// picture is what the table shows of one moment.
type picture struct {
	at       time.Duration // since the beginning
	starting string        // what is not ready yet
	here     map[string]int
	center   map[string]int
	rows     []row
	traffic  string
	wills    []string // the latest
	score    string
}

// row is one device.
type row struct {
	name    string
	state   link.State
	cause   link.Cause
	since   time.Duration
	phi     float64
	center  string
	there   float64 // φ at the center
	every   time.Duration
	carried []byte
}

const worstRows = 8

// worst returns the rows that deserve a look: those with the highest φ, wherever it is higher, and
// among equals those that are not up.
func worst(rows []row) []row {
	slices.SortStableFunc(rows, func(a, b row) int {
		return cmp.Or(
			cmp.Compare(max(b.phi, b.there), max(a.phi, a.there)),
			cmp.Compare(b.state, a.state),
		)
	})
	return rows[:min(len(rows), worstRows)]
}

// lines are the picture for a terminal.
func (p picture) lines() []string {
	list := []string{
		fmt.Sprintf("%7s          up   suspect      away      gone", clock(p.at)) + "   " + p.starting,
		"gateway    " + counts(p.here),
		"center     " + counts(p.center),
		p.traffic,
		p.score,
		"",
		fmt.Sprintf("%-10s %-8s %-7s %7s %7s  %-8s %7s %7s %8s %8s",
			"device", "state", "cause", "since", "φ", "center", "φ there", "every", "battery", "reading"),
	}
	for _, r := range p.rows {
		battery, reading := "", ""
		if s, err := decodeState(r.carried); err == nil {
			battery, reading = fmt.Sprintf("%d %%", s.Battery), fmt.Sprintf("%.1f °C", s.Reading)
		}
		list = append(list, fmt.Sprintf("%-10.10s %-8s %-7s %7s %7s  %-8s %7s %7s %8s %8s",
			plain(r.name), r.state, r.cause, clock(r.since), level(r.phi), r.center, level(r.there),
			clock(r.every), battery, reading))
	}
	if len(p.wills) > 0 {
		list = append(list, "", "last wills")
		list = append(list, p.wills...)
	}
	return list
}

// line is the picture where there is no terminal.
func (p picture) line() string {
	return strings.TrimSpace(fmt.Sprintf("%s gateway: %s; center: %s; %s %s",
		clock(p.at), words(p.here), words(p.center), p.traffic, p.starting))
}

var stateOrder = []string{"unknown", "up", "suspect", "away", "gone"}

func counts(n map[string]int) string {
	return fmt.Sprintf("%10d%10d%10d%10d", n["up"]+n["unknown"], n["suspect"], n["away"], n["gone"])
}

func words(n map[string]int) string {
	var list []string
	for _, state := range stateOrder {
		if n[state] > 0 {
			list = append(list, fmt.Sprintf("%d %s", n[state], state))
		}
	}
	if len(list) == 0 {
		return "nobody"
	}
	return strings.Join(list, ", ")
}

// plain is a text that others chose, without what would draw.
func plain(s string) string { return strings.Trim(fmt.Sprintf("%+q", s), `"`) }

func clock(d time.Duration) string {
	if d < 10*time.Minute {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

func level(phi float64) string {
	if phi >= 100 {
		return "> 99"
	}
	return fmt.Sprintf("%.1f", phi)
}

// screen shows pictures: on a terminal in the place of the one before, elsewhere as lines, one when
// numbers have changed.
type screen struct {
	out   io.Writer
	live  bool
	drawn int
	last  string
	err   error // of the first write that failed
}

func (s *screen) show(p picture) {
	if !s.live {
		if now := words(p.here) + words(p.center) + p.starting; now != s.last {
			s.last = now
			s.write(p.line() + "\n")
		}
		return
	}
	list := p.lines()
	// Lines are cut at the edge, so that their number is known.
	text := s.erase() + "\x1b[?7l" + strings.Join(list, "\n") + "\n\x1b[?7h"
	s.drawn = len(list)
	s.write(text)
}

// say writes a line that stays.
func (s *screen) say(format string, args ...any) {
	s.write(s.erase() + fmt.Sprintf(format, args...) + "\n")
}

func (s *screen) erase() string {
	if s.drawn == 0 {
		return ""
	}
	n := s.drawn
	s.drawn = 0
	return fmt.Sprintf("\x1b[%dA\r\x1b[J", n)
}

func (s *screen) write(text string) {
	if s.err == nil {
		_, s.err = io.WriteString(s.out, text)
	}
}
