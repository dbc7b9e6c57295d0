package discovery

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

const (
	// maxSaid is how much of the end of a program's standard error is told.
	maxSaid = 512
	// pipesOpen is how long the output of a program that has ended is waited for, where a process
	// that it left behind keeps it open.
	pipesOpen = 500 * time.Millisecond
)

// command is a source that runs a program at each ask.
type command struct {
	spec  string
	argv  []string
	limit time.Duration
}

func parseCommand(spec, line string) (Source, error) {
	argv, err := words(line)
	if err != nil {
		return nil, err
	}
	if len(argv) == 0 || argv[0] == "" {
		return nil, errors.New("has no command: want exec:COMMAND ARG…")
	}
	return command{spec, argv, limit}, nil
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

func (c command) String() string { return c.spec }

var (
	errLong = fmt.Errorf("printed more than %d bytes: want addresses, one a line", maxText)
	errLate = errors.New("took too long")
)

// Discover runs the program to its end, and then kills what it left behind in its process group.
// What it printed counts where it ended with 0.
func (c command) Discover(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.limit, errLate)
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	out := &head{most: maxText, full: func() { stop(errLong) }}
	var said tail
	cmd.Stdout, cmd.Stderr = out, &said
	cmd.WaitDelay = pipesOpen
	ownGroup(cmd)
	cmd.Cancel = func() error { return killGroup(cmd) }
	err := cmd.Run()
	if cmd.Process != nil {
		killGroup(cmd) // of which there may be nobody any more
	}
	switch cause := context.Cause(ctx); {
	case cause == errLate:
		err = fmt.Errorf("took longer than %v, and was killed: want a program that answers and ends", c.limit)
	case cause != nil:
		err = fmt.Errorf("%w: it was killed", cause)
	case errors.Is(err, exec.ErrWaitDelay): // it has ended well, but not what it began
		err = nil
	case errors.Is(err, exec.ErrNotFound):
		err = fmt.Errorf("%w: want a program in PATH, or one with its whole path", err)
	}
	if err != nil {
		if said.text != nil {
			err = fmt.Errorf("%w: it said %q", err, said.last())
		}
		return nil, told(c, []error{err})
	}
	addrs, errs := parseList(out.text)
	return addrs, told(c, errs)
}

// head keeps the first bytes of what is written to it.
type head struct {
	most int
	full func() // called when there is more
	text []byte
}

func (h *head) Write(b []byte) (int, error) {
	room := h.most - len(h.text)
	if len(b) > room {
		h.full()
		return 0, errLong
	}
	h.text = append(h.text, b...)
	return len(b), nil
}

// tail keeps the last bytes of what is written to it.
type tail struct{ text []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.text = append(t.text, b...)
	if extra := len(t.text) - maxSaid; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(b), nil
}

func (t *tail) last() string { return strings.TrimSpace(string(t.text)) }
