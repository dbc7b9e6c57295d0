package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// The times in an answer are by the node's clock, and how long ago they were is to be told by that clock too: beside one that is 5 s
// ahead, each heartbeat would be long overdue. So the commands find out how far the node's clock is ahead of this machine's. Behind
// the control socket it is the same clock. Elsewhere the node is asked for the events after one that never was: it begins with a
// gap, whose time is that of the answer. (The header Date has whole seconds.) The result is wrong by half of the way to the node
// and back at most, as it is not known which direction took how long. A node that cannot be asked so, such as one with as many
// followers as it takes, is taken to have this machine's clock.

// clockEvery is how often the clock of a node is looked at.
const clockEvery = time.Minute

// nodeClock is what is known of a node's clock.
type nodeClock struct {
	mu     sync.Mutex
	looked time.Time
	ahead  time.Duration // of this machine's
}

// getAt is get, and when the node answered, by this machine's clock, and how far the node's is ahead of that.
func (a *asked) getAt(ctx context.Context, path string, answer any) (at time.Time, ahead time.Duration, err error) {
	var x exchange
	if err = a.get(x.traced(ctx), path, answer); err != nil {
		return time.Now(), 0, err
	}
	return x.middle(), a.ahead(ctx), nil
}

// ahead is how far the node's clock is ahead of this machine's.
func (a *asked) ahead(ctx context.Context) time.Duration {
	if a.here {
		return 0
	}
	a.clock.mu.Lock()
	defer a.clock.mu.Unlock()
	if now := time.Now(); a.clock.looked.IsZero() || now.Sub(a.clock.looked) > clockEvery {
		a.clock.looked = now
		if ahead, err := a.lookAtClock(ctx); err == nil {
			a.clock.ahead = ahead
		}
	}
	return a.clock.ahead
}

func (a *asked) lookAtClock(ctx context.Context) (ahead time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	var x exchange
	header := http.Header{}
	header.Set("Last-Event-ID", "-") // no event's
	body, err := a.follow(x.traced(ctx), "/v1/events", "application/x-ndjson", header)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	line, err := bufio.NewReader(io.LimitReader(body, mostEvent)).ReadBytes('\n')
	if err != nil {
		return 0, err
	}
	var gap eventLine
	if err := json.Unmarshal(line, &gap); err != nil || gap.Kind != "gap" || gap.Time.IsZero() {
		return 0, errors.New("the node does not say what time it is")
	}
	return gap.Time.Sub(x.middle()), nil
}

// exchange is when a question went out, and when its answer began to come: to connect is no part of it.
type exchange struct{ asked, answered atomic.Pointer[time.Time] }

// traced notes the times of the requests of a context.
func (x *exchange) traced(ctx context.Context) context.Context {
	note := func(at *atomic.Pointer[time.Time]) {
		now := time.Now()
		at.Store(&now)
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest:         func(httptrace.WroteRequestInfo) { note(&x.asked) },
		GotFirstResponseByte: func() { note(&x.answered) },
	})
}

// middle is when the node answered, as far as this end can tell.
func (x *exchange) middle() time.Time {
	asked, answered := x.asked.Load(), x.answered.Load()
	if asked == nil || answered == nil {
		return time.Now()
	}
	return asked.Add(answered.Sub(*asked) / 2)
}
