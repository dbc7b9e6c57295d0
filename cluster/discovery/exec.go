package discovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/pulsering/pulsering/internal/command"
)

const (
	// maxSaid is how much of the end of a program's standard error is told.
	maxSaid = 512
	// grace is how long a program has to end once it was asked to, and how long the output of one
	// that has ended is waited for, where a process that it left behind keeps it open.
	grace = 500 * time.Millisecond
)

// program is a program and its arguments.
type program []string

func parseCommand(spec, line string) (Source, error) {
	argv, err := words(line)
	if err != nil {
		return nil, err
	}
	if len(argv) == 0 || argv[0] == "" {
		return nil, errors.New("has no command: want exec:COMMAND ARG…")
	}
	s := newTextSource(spec, program(argv).run)
	s.patience = 2 * grace // after the first it is killed, and then gone unless the system holds it up
	return s, nil
}

// words splits a line at white space outside quotes. The libraries for it take a backslash for an
// escape, as a shell does, which would break the paths of Windows.
func words(line string) ([]string, error) {
	var list []string
	var word strings.Builder
	var quote byte                   // the one that is open
	begun := false                   // so that '' is a word
	for _, c := range []byte(line) { // bytes: a path need not be UTF-8
		switch {
		case c == 0:
			return nil, errors.New("holds a zero byte, which no argument can")
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(c)
		case c == '\'' || c == '"':
			quote, begun = c, true
		case strings.IndexByte(" \t\r\n", c) >= 0:
			if begun {
				list = append(list, word.String())
				word.Reset()
			}
			begun = false
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("has a %c that is not closed", quote)
	}
	if begun {
		list = append(list, word.String())
	}
	return list, nil
}

// run runs the program to its end, and returns what it printed where that was with 0. See
// [command.Command] for what becomes of its process group.
func (p program) run(ctx context.Context) ([]byte, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	out := &head{full: stop}
	var said tail
	err := command.Command{Args: p, Grace: grace, Stdout: out, Output: said.add}.Run(ctx)
	switch {
	case out.long: // which ends it, unless it was quicker
		err = fmt.Errorf("printed more than %d bytes: want addresses, one a line", maxText)
	case errors.Is(err, exec.ErrNotFound):
		err = fmt.Errorf("%w: want a program in PATH, or one with its whole path", err)
	}
	if last := strings.TrimSpace(string(said)); err != nil && last != "" {
		err = fmt.Errorf("%w: it said %q", err, last)
	}
	return out.text, err
}

// head keeps what is written to it, up to maxText bytes.
type head struct {
	full func() // called when there is more
	text []byte
	long bool // there was
}

func (h *head) Write(b []byte) (int, error) {
	if len(b) > maxText-len(h.text) {
		h.long = true
		h.full()
		return 0, io.ErrShortWrite
	}
	h.text = append(h.text, b...)
	return len(b), nil
}

// tail keeps the last bytes of the lines that are added to it.
type tail []byte

func (t *tail) add(line string) {
	*t = append(append(*t, line...), '\n')
	*t = (*t)[max(0, len(*t)-maxSaid):]
}
