package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// paint is how a text looks on a terminal.
type paint string

const (
	normal paint = ""
	dim    paint = "\x1b[2m"
	good   paint = "\x1b[32m"
	bad    paint = "\x1b[31m"
	reset        = "\x1b[0m"
)

// screen prints what happens in lanes beside each other: what happens at about the same time is in
// one row.
type screen struct {
	out   io.Writer
	live  bool // a last line shows how time goes by
	color bool

	mu    sync.Mutex
	begun time.Time
	first time.Time // of what waits
	cells [lanes][]cell
	until time.Time // of the present pause
}

type cell struct {
	paint paint
	text  string
}

const (
	laneWidth = 25
	rowTime   = 60 * time.Millisecond // what happens within it is in one row
)

// begin prints the head, and shows rows until the function that it returns is called.
func (s *screen) begin() (end func()) {
	s.begun = time.Now()
	var head strings.Builder
	fmt.Fprintf(&head, "%7s", "")
	for _, name := range laneNames {
		fmt.Fprintf(&head, "  %-*s", laneWidth-2, name)
	}
	fmt.Fprintln(s.out, strings.TrimRight(head.String(), " "))
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(rowTime)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				s.tick(now)
			case <-over:
				return
			}
		}
	})
	return func() {
		close(over)
		wg.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.flush()
	}
}

func (s *screen) tick(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.first.IsZero() && now.Sub(s.first) >= rowTime {
		s.flush()
	}
	if left := s.until.Sub(now); s.live && left > 0 {
		text := fmt.Sprintf("%6.1fs  … %.0f s to go", now.Sub(s.begun).Seconds(), left.Seconds())
		fmt.Fprintf(s.out, "\r%s\x1b[K", s.on(dim, text))
	}
}

// tell puts a text into a lane.
func (s *screen) tell(i lane, p paint, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first.IsZero() {
		s.first = time.Now()
	}
	s.cells[i] = append(s.cells[i], cell{p, text})
}

// note prints a line about all lanes.
func (s *screen) note(p paint, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flush()
	s.line(time.Now(), "  "+s.on(p, "── "+fmt.Sprintf(format, args...)+" ──"))
}

// count shows how time goes by until then.
func (s *screen) count(until time.Time) {
	s.mu.Lock()
	s.until = until
	s.mu.Unlock()
}

// flush prints the rows that wait. It needs s.mu.
func (s *screen) flush() {
	for more := true; more; {
		more = false
		var row strings.Builder
		for i := range s.cells {
			var c cell
			if len(s.cells[i]) > 0 {
				c, s.cells[i] = s.cells[i][0], s.cells[i][1:]
				more = true
			}
			text := []rune(c.text)
			text = text[:min(len(text), laneWidth-3)]
			row.WriteString("  " + s.on(c.paint, string(text)) + strings.Repeat(" ", laneWidth-2-len(text)))
		}
		if more {
			s.line(s.first, strings.TrimRight(row.String(), " "))
		}
	}
	s.first = time.Time{}
}

// line prints a line with its time.
func (s *screen) line(at time.Time, text string) {
	clear := ""
	if s.live {
		clear = "\r\x1b[K"
	}
	fmt.Fprintf(s.out, "%s%6.1fs%s\n", clear, at.Sub(s.begun).Seconds(), text)
}

func (s *screen) on(p paint, text string) string {
	if !s.color || p == normal {
		return text
	}
	return string(p) + text + reset
}

// end prints what came of the messages.
func (s *screen) end(r result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flush()
	row := strings.Builder{}
	fmt.Fprintln(s.out, strings.Repeat("─", 7+int(lanes)*laneWidth))
	for i := range lanes {
		p, text := good, fmt.Sprintf("heard %d of %d", len(r.heard[i]), r.said)
		if len(r.heard[i]) < r.said {
			p = bad
		}
		row.WriteString("  " + s.on(p, text) + strings.Repeat(" ", laneWidth-2-len(text)))
	}
	s.line(time.Now(), strings.TrimRight(row.String(), " "))
}
