// Package aside does what may get stuck, such as writing a log line to a pipe that nobody reads, away from those who must not
// wait for it.
package aside

import (
	"sync"
	"time"
)

// For lines of a log.
const (
	// MaxLines bounds those that wait: a few megabytes.
	MaxLines = 4096
	// LastLines is how long whoever ends waits for the last of them to be written.
	LastLines = time.Second
)

// A Queue does one thing after the other, in a goroutine that is there only while there is something to do. Its methods may be called
// from any goroutine.
type Queue struct {
	// Max is how many things wait at most, beside the one that is being done. More are dropped: set it before the first Do.
	Max int
	// Lost, where it is set, is called with the number of things dropped once the queue has got through the others, in its goroutine.
	Lost func(n int)

	mu      sync.Mutex
	waiting []func()
	dropped int
	idle    chan struct{} // closed when the goroutine has ended; nil: there is none
}

// Do has f done after what waits already, and does not wait for it. It reports false, and f will not be done, where Max wait.
func (q *Queue) Do(f func()) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= q.Max {
		q.dropped++
		return false
	}
	q.waiting = append(q.waiting, f)
	if q.idle == nil {
		q.idle = make(chan struct{})
		go q.work()
	}
	return true
}

func (q *Queue) work() {
	for {
		todo, dropped := q.take()
		if todo == nil && dropped == 0 {
			return
		}
		for _, f := range todo {
			f()
		}
		if dropped > 0 && q.Lost != nil {
			q.Lost(dropped)
		}
	}
}

// take returns what waits and how much was dropped behind it, or ends the goroutine where that is nothing.
func (q *Queue) take() (todo []func(), dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	todo, dropped = q.waiting, q.dropped
	q.waiting, q.dropped = nil, 0
	if todo == nil && dropped == 0 {
		close(q.idle)
		q.idle = nil
	}
	return todo, dropped
}

// Wait waits until nothing is left to do, or for as long as patience.
func (q *Queue) Wait(patience time.Duration) {
	q.mu.Lock()
	idle := q.idle
	q.mu.Unlock()
	if idle == nil {
		return
	}
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-idle:
	case <-limit.C:
	}
}
