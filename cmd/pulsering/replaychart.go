package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"github.com/charmbracelet/x/term"

	"github.com/pulsering/pulsering/internal/level"
	"github.com/pulsering/pulsering/phiaccrual"
)

// curve is φ over time: the highest in each of so many equal parts.
type curve struct {
	highest []float64
	length  time.Duration
}

// newCurve puts the recording through an estimator.
func newCurve(rec *recording, cfg phiaccrual.Config, parts int) (*curve, error) {
	e, err := phiaccrual.New(cfg)
	if err != nil {
		return nil, err
	}
	c := &curve{make([]float64, parts), rec.arrivals[len(rec.arrivals)-1].at}
	if c.length <= 0 {
		return nil, errNoCurve
	}
	start := time.Unix(0, 0)
	look := func(at time.Duration, part int) { c.highest[part] = max(c.highest[part], e.Phi(start.Add(at))) }
	part := 0
	for _, a := range rec.arrivals {
		for ; part < parts-1 && c.end(part) <= a.at; part++ {
			look(c.end(part), part)
		}
		look(a.at, part)
		if rec.numbered {
			e.HeartbeatSeq(start.Add(a.at), a.seq)
		} else {
			e.Heartbeat(start.Add(a.at))
		}
	}
	return c, nil
}

// end is when a part ends.
func (c *curve) end(part int) time.Duration {
	return time.Duration(float64(c.length) * float64(part+1) / float64(len(c.highest)))
}

// highestShown cuts the picture off: a silence of minutes would make all else flat.
const highestShown = 16

// top is the end of the scale of φ.
func (c *curve) top(threshold float64) (top float64, cut bool) {
	top = threshold
	for _, phi := range c.highest {
		top = max(top, phi)
	}
	if limit := max(highestShown, threshold); top > limit {
		return limit, true
	}
	return max(1, top), false
}

const (
	chartRows   = 12
	chartMargin = 7 // for the scale
)

// chartColumns is how wide a picture may be.
func chartColumns(con console) int {
	const usual = 80
	return min(200, max(20, width(con.out, usual)-chartMargin-1))
}

// width is that of the terminal in columns.
func width(w io.Writer, otherwise int) int {
	if f, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(f.Fd()); err == nil && columns > 0 {
			return columns
		}
	}
	return otherwise
}

var eighths = []rune(" ▁▂▃▄▅▆▇█")

// chart draws the curve in a terminal.
func (c *curve) chart(threshold float64, rows int, color bool) []string {
	top, cut := c.top(threshold)
	lines := make([]string, 0, rows+2)
	limit := int(math.Ceil(threshold/top*float64(rows))) - 1 // the row of the threshold, from below
	for row := rows - 1; row >= 0; row-- {
		label := ""
		switch {
		case row == limit:
			label = level.Phi(threshold).String() + " ┤"
		case row == rows-1 && cut:
			label = fmt.Sprintf("≥%.0f ┤", top)
		case row == rows-1:
			label = fmt.Sprintf("%.1f ┤", top)
		case row == 0:
			label = "φ 0 ┤"
		default:
			label = "│"
		}
		line := fmt.Sprintf("%*s", chartMargin, label)
		var body strings.Builder
		for _, phi := range c.highest {
			full := math.Min(phi, top) / top * float64(rows)
			eighth := int(math.Round(math.Min(1, math.Max(0, full-float64(row))) * 8))
			switch {
			case eighth == 0 && row == limit:
				body.WriteRune('╌')
			default:
				body.WriteRune(eighths[eighth])
			}
		}
		text := strings.TrimRight(body.String(), " ")
		if color && row >= limit {
			text = yellow.on(text)
		} else if color {
			text = cyan.on(text)
		}
		lines = append(lines, line+text)
	}
	from, to := "0", spell(c.length)
	axis := fmt.Sprintf("%*s%s%*s", chartMargin, "", from, len(c.highest)-len(from), to)
	return append(lines, fmt.Sprintf("%*s%s", chartMargin, "└", strings.Repeat("─", len(c.highest))), axis)
}
