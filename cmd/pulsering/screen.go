package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// screen shows a story: lines that stay, and below them a picture that is drawn anew. Without a terminal only what
// stays is written, and the picture when it is asked for.
type screen struct {
	w     io.Writer
	live  bool // a terminal: the picture can be redrawn
	color bool
	began time.Time
	drawn int   // lines of the picture that stand at the bottom
	err   error // the first failed write
}

// say writes a line that stays, with the time since the beginning.
func (s *screen) say(mark string, p paint, format string, args ...any) {
	s.write(s.erase() + fmt.Sprintf("%6.1f s  %s %s\n", time.Since(s.began).Seconds(), s.paint(p, mark), fmt.Sprintf(format, args...)))
}

// text writes lines that stay as they are.
func (s *screen) text(lines ...string) {
	s.write(s.erase() + strings.Join(lines, "\n") + "\n")
}

// draw replaces the picture. Lines are cut at the edge of the terminal, so that their number is known.
func (s *screen) draw(lines []string) {
	if s.live {
		s.write(s.erase() + "\x1b[?7l" + strings.Join(lines, "\n") + "\n\x1b[?7h")
		s.drawn = len(lines)
	}
}

// snapshot writes the picture where it cannot be drawn anew.
func (s *screen) snapshot(lines []string) {
	if !s.live {
		s.text(lines...)
	}
}

// erase goes back to where the picture begins.
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
		_, s.err = io.WriteString(s.w, text)
	}
}

func (s *screen) paint(p paint, text string) string {
	if s.color {
		return p.on(text)
	}
	return text
}
