package discovery

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// textSource is a source that gets a list of addresses as a text at each ask.
//
// What gets it may be held up by the system, and then nothing calls it off: a read from a disk whose
// file server is dead, or the start of a program there. So it has a goroutine of its own, which is
// left behind where it does not end; and it gets one text at a time, and none while one is left
// behind, so that a dead file server costs one thread and not one more at each ask.
type textSource struct {
	spec     string
	get      func(context.Context) ([]byte, error)
	limit    time.Duration // for one ask
	patience time.Duration // for get to return once its context has ended

	turn chan struct{} // holds the get under way
	left atomic.Bool   // which nobody waits for any more
}

func newTextSource(spec string, get func(context.Context) ([]byte, error)) *textSource {
	return &textSource{spec: spec, get: get, limit: limit, turn: make(chan struct{}, 1)}
}

func (s *textSource) String() string { return s.spec }

// Discover gets the text, and reads it.
func (s *textSource) Discover(ctx context.Context) ([]string, error) {
	text, err := s.ask(ctx)
	if err != nil {
		return nil, told(s, []error{err})
	}
	addrs, errs := parseList(text)
	return addrs, told(s, errs)
}

var errHeld = errors.New("an ask of before has not ended: " +
	"the system holds it up, and none begins until it has")

func (s *textSource) ask(ctx context.Context) ([]byte, error) {
	if s.left.Load() {
		return nil, errHeld
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.limit, fmt.Errorf("took longer than %v", s.limit))
	defer cancel()
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	type answer struct {
		text []byte
		err  error
	}
	answered := make(chan answer)
	left := make(chan struct{})
	go func() {
		text, err := s.get(ctx)
		select {
		case answered <- answer{text, err}:
		case <-left:
			s.left.Store(false)
		}
		<-s.turn
	}()
	select {
	case a := <-answered:
		return a.text, a.err
	case <-ctx.Done():
	}
	select {
	case a := <-answered:
		return a.text, a.err
	case <-time.After(s.patience):
	}
	s.left.Store(true)
	close(left)
	return nil, context.Cause(ctx)
}
