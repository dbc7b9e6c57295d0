package main

import (
	"context"
	"errors"
	"io"
	"iter"
	"runtime"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/cluster"
)

// outputRetry is how often an output that fails is tried again.
const outputRetry = time.Second

// printer writes events to an output that may fail. What fails is tried again until it works: meanwhile the subscription folds
// what comes, so that the reader finds the latest state of each one behind the gap, and how many changes were left out.
type printer struct {
	out         io.Writer
	json, color bool
	leaveOn     choice // closed, any or never: the failures that are the end
	log         hclog.Logger
	pending     []byte // what is still to be written of a line
}

// line is what is printed about an event: for people as its text, for programs as what JSON makes of it.
type line interface{ text(color bool) string }

// run prints lines until they end, which is no error, or the output fails in a way that is the end. Once ctx ends nothing is tried
// again, and it returns how many lines were not printed.
func (p *printer) run(ctx context.Context, lines iter.Seq[line]) (unprinted int, err error) {
	for l := range lines {
		if p.pending != nil {
			unprinted++
			continue
		}
		if err := p.print(ctx, l); err != nil {
			return 0, err
		}
	}
	if p.pending != nil {
		unprinted++
	}
	return unprinted, nil
}

// print writes one line. Where the output fails it does not return before that is over, or ctx is, which leaves the line pending.
func (p *printer) print(ctx context.Context, l line) error {
	b, err := lineBytes(l, p.json, p.color)
	if err != nil {
		return err
	}
	p.pending = b
	var failing time.Time // since when
	for {
		n, err := p.out.Write(p.pending)
		if err == nil {
			p.pending = nil
			break
		}
		p.pending = p.pending[min(n, len(p.pending)):] // the rest follows: a reader never finds half a line
		if p.leaveOn == "any" || p.leaveOn == "closed" && closedOutput(err) {
			return err
		}
		if failing.IsZero() {
			failing = time.Now()
			p.log.Error("cannot print events: trying until it works", "error", err, "every", outputRetry)
		}
		retry := time.NewTimer(outputRetry)
		select {
		case <-retry.C:
		case <-ctx.Done():
			retry.Stop()
			return nil
		}
	}
	if !failing.IsZero() {
		p.log.Warn("printing events again: the latest state of each follows", "gap", time.Since(failing).Round(time.Millisecond))
	}
	return nil
}

// lineBytes is a line to be written at once: a reader never sees half of one.
func lineBytes(l line, asJSON, color bool) ([]byte, error) {
	if !asJSON {
		return []byte(l.text(color) + "\n"), nil
	}
	b, err := marshal(l)
	return append(b, '\n'), err
}

// closedOutput tells whether a write failed because the reader of a pipe or a socket has gone, for good.
func closedOutput(err error) bool {
	var errno syscall.Errno
	if runtime.GOOS == "windows" && errors.As(err, &errno) {
		const brokenPipe, noData = 109, 232 // ERROR_BROKEN_PIPE, ERROR_NO_DATA
		return errno == brokenPipe || errno == noData
	}
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// printing is a printer at work. The zero one prints nothing, and is never over.
type printing struct {
	over      chan struct{} // closed when the output failed, or the events have ended
	giveUp    context.CancelFunc
	unprinted int   // events that were not printed, when it is over
	failed    error // why it ended, likewise; nil: the events did
}

// start prints the node itself and its events, until they end with the node, so that what is pending is printed too.
func (p *printer) start(ctx context.Context, self cluster.Member, node *cluster.Node) *printing {
	joined, events := newJoinedLine(self, time.Now()), node.Events(context.WithoutCancel(ctx))
	lines := func(yield func(line) bool) {
		if !yield(joined) {
			return
		}
		for e := range events {
			if !yield(newEventLine(e)) {
				return
			}
		}
	}
	trying, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	g := &printing{over: make(chan struct{}), giveUp: giveUp}
	go func() {
		defer close(g.over)
		g.unprinted, g.failed = p.run(trying, lines)
	}()
	return g
}

// finish waits for what is pending, once the node has ended.
func (g *printing) finish(log hclog.Logger) {
	if g.over == nil {
		return
	}
	g.giveUp()
	select {
	case <-g.over:
		if g.unprinted > 0 {
			log.Warn("the last events were not printed", "events", g.unprinted)
		}
	case <-time.After(time.Second): // nobody reads the output: what is pending there is lost
	}
}
