package link

import (
	"sync"
	"time"

	"github.com/pulsering/pulsering/detector"
)

// samples are answered pings on their way to the detector, which takes many at once more cheaply.
// The goroutine that reads a connection so needs no stack for the detector's arithmetic: among many
// idle connections, most of the memory is stacks.
type samples struct {
	mu      sync.Mutex
	waiting []sample
	wake    chan struct{} // one slot: something waits
}

type sample struct {
	key, seq uint64
	at       time.Time
}

func (x *samples) add(key, seq uint64, at time.Time) {
	x.mu.Lock()
	x.waiting = append(x.waiting, sample{key, seq, at})
	first := len(x.waiting) == 1
	x.mu.Unlock()
	if first {
		select {
		case x.wake <- struct{}{}:
		default:
		}
	}
}

// report tells the detector of samples as they come, until the server ends.
func (s *Server) report() {
	var spare []sample
	var beats []detector.Beat[uint64]
	for {
		select {
		case <-s.samples.wake:
		case <-s.ctx.Done():
			return
		}
		x := &s.samples
		x.mu.Lock()
		list := x.waiting
		x.waiting = spare[:0]
		x.mu.Unlock()
		beats = beats[:0]
		now := time.Now()
		for _, one := range list {
			beats = append(beats, detector.Beat[uint64]{ID: one.key, Seq: one.seq, Age: now.Sub(one.at)})
		}
		s.det.Batch(beats)
		spare = list
	}
}

// aside runs f on a goroutine of its own and waits for it, so that the stack that f needs is not
// kept by a goroutine that lasts.
func aside(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}
