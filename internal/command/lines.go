package command

import (
	"bytes"
	"sync"
	"time"
)

const (
	// MaxLine is how long a line of output may be, in bytes; the rest of a longer one is left out,
	// and "…" says so.
	MaxLine = 512
	// freeOutput is how much a command may print as fast as it can: more than any that does not
	// flood.
	freeOutput = 64 << 10
	// outputRate is how fast what follows is read, in bytes a second: one processor reads it in
	// passing.
	outputRate = 1 << 20
)

// lines is a writer that hands on what is written line by line.
type lines struct {
	emit func(line string) // nil: nobody

	mu    sync.Mutex
	line  []byte // the beginning of a line whose end is still to come, MaxLine at most
	cut   bool   // and more of it was left out
	total int    // bytes so far
	ended bool
}

// Write implements io.Writer. It never fails: a writer that did would end a command with SIGPIPE.
func (l *lines) Write(b []byte) (int, error) {
	if l.take(b) {
		time.Sleep(time.Duration(len(b)) * time.Second / outputRate)
	}
	return len(b), nil
}

// take hands on b and tells whether more than enough has come.
func (l *lines) take(b []byte) (flood bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return true
	}
	l.total = min(l.total+len(b), freeOutput+1)
	for {
		part, rest, whole := bytes.Cut(b, []byte("\n"))
		room := min(len(part), MaxLine-len(l.line))
		l.line = append(l.line, part[:room]...)
		l.cut = l.cut || room < len(part)
		if !whole {
			return l.total > freeOutput
		}
		l.flush()
		b = rest
	}
}

// flush hands on the line. It requires that l.mu is held.
func (l *lines) flush() {
	line := string(bytes.TrimSuffix(l.line, []byte("\r")))
	if l.cut {
		line += "…"
	}
	l.line, l.cut = l.line[:0], false
	if l.emit != nil {
		l.emit(line)
	}
}

// end hands on a last line that has no end. What is written later is dropped.
func (l *lines) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.line) > 0 && !l.ended {
		l.flush()
	}
	l.ended = true
}
