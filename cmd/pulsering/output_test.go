package main

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/cluster"
)

// disk is an output that has room for so many bytes, and reports err beyond.
type disk struct {
	mu   sync.Mutex
	room int
	err  error
	text strings.Builder
}

func (d *disk) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := min(len(b), d.room)
	d.room -= n
	d.text.Write(b[:n])
	if n < len(b) {
		return n, d.err
	}
	return n, nil
}

// written returns what is on the disk, and makes room for more.
func (d *disk) written(more int) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room += more
	return d.text.String()
}

func (d *disk) lines() []string {
	return strings.Split(strings.TrimSuffix(d.text.String(), "\n"), "\n")
}

func joinedLine() eventLine { return newJoinedLine(cluster.Member{Name: "a"}, noon) }

// news is a sequence of events that the test feeds.
func news(events <-chan cluster.Event) iter.Seq[line] {
	return func(yield func(line) bool) {
		if !yield(joinedLine()) {
			return
		}
		for e := range events {
			if !yield(newEventLine(e)) {
				return
			}
		}
	}
}

// A disk that is full for a while: the node goes on, nothing is lost or cut in half, and it is told once, and once when it is over.
func TestPrinterOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		out := &disk{room: 200, err: &writeError{syscall.ENOSPC}} // the joined line, and a part of the next one
		p := &printer{out: out, json: true, leaveOn: "closed", log: hclog.New(&hclog.LoggerOptions{Output: &log})}
		events := make(chan cluster.Event, 10)
		done := make(chan struct{})
		go func() {
			defer close(done)
			if unprinted, err := p.run(t.Context(), news(events)); unprinted != 0 || err != nil {
				t.Errorf("%d unprinted, %v", unprinted, err)
			}
		}()
		for range 3 {
			events <- someEvent()
		}
		close(events)
		time.Sleep(time.Minute)
		if n := len(out.written(1000)); n != 200 {
			t.Errorf("%d bytes on a disk for 200", n)
		}
		<-done
		lines := out.lines()
		if len(lines) != 4 {
			t.Errorf("%d lines, want 4:\n%s", len(lines), out.text.String())
		}
		for _, line := range lines {
			if !strings.HasPrefix(line, `{"time":`) || !strings.HasSuffix(line, `}`) {
				t.Errorf("not a line: %q", line)
			}
		}
		if got := log.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "no space left") || !strings.Contains(got, "printing events again") {
			t.Errorf("logged:\n%s", got)
		}
	})
}

// A node that leaves does not wait for a full disk, and says how much was not printed.
func TestPrinterGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &printer{out: &disk{err: &writeError{syscall.ENOSPC}}, leaveOn: "never", log: hclog.NewNullLogger()}
		events := make(chan cluster.Event, 10)
		for range 3 {
			events <- someEvent()
		}
		close(events)
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		began := time.Now()
		unprinted, err := p.run(ctx, news(events))
		if unprinted != 4 || err != nil || time.Since(began) != 2500*time.Millisecond {
			t.Errorf("%d unprinted, %v after %v; want the joined line and three events, after 2.5s", unprinted, err, time.Since(began))
		}
	})
}

// Which failure ends the node is the user's choice.
func TestPrinterLeaves(t *testing.T) {
	for _, test := range []struct {
		err    error
		when   choice
		leaves bool
	}{
		{syscall.ENOSPC, "closed", false},
		{syscall.EIO, "closed", false},
		{syscall.EDQUOT, "closed", false},
		{errors.New("whatever"), "closed", false},
		{syscall.EPIPE, "closed", true},
		{syscall.ECONNRESET, "closed", true},
		{syscall.ENOSPC, "any", true},
		{syscall.EPIPE, "any", true},
		{syscall.ENOSPC, "never", false},
		{syscall.EPIPE, "never", false},
	} {
		synctest.Test(t, func(t *testing.T) {
			out := &disk{err: &writeError{test.err}}
			p := &printer{out: out, leaveOn: test.when, log: hclog.NewNullLogger()}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			events := make(chan cluster.Event)
			close(events)
			_, err := p.run(ctx, news(events))
			if errors.Is(err, test.err) != test.leaves {
				t.Errorf("%v with %s: ended with %v", test.err, test.when, err)
			}
		})
	}
}

// writeError wraps an error as an *os.File does.
type writeError struct{ error }

func (e *writeError) Unwrap() error { return e.error }

// Log lines that cannot be written are counted, and told of when there is room again.
func TestPatientWriterOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &disk{room: 10, err: syscall.ENOSPC}
		w := newPatientWriter(out)
		for _, line := range []string{"first\n", "second\n", "third\n"} {
			io.WriteString(w, line)
		}
		synctest.Wait()
		out.written(1000)
		io.WriteString(w, "fourth\n")
		io.WriteString(w, "fifth\n")
		w.flush()
		const want = "first\nseco\npulsering: standard error could not be written, 2 lines are missing here\nfourth\nfifth\n"
		if got := out.text.String(); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}
