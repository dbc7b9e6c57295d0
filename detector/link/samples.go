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

	telling sync.Mutex // held while the detector is told, so that it has all of them when tell returns
	spare   []sample
	beats   []detector.Beat[uint64]
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
	for {
		select {
		case <-s.samples.wake:
			s.tell()
		case <-s.ctx.Done():
			return
		}
	}
}

// tell has the detector know all answers that came before this call.
func (s *Server) tell() {
	x := &s.samples
	x.telling.Lock()
	defer x.telling.Unlock()
	x.mu.Lock()
	list := x.waiting
	x.waiting = x.spare[:0]
	x.mu.Unlock()
	x.spare, x.beats = list, x.beats[:0]
	now := time.Now()
	for _, one := range list {
		x.beats = append(x.beats, detector.Beat[uint64]{ID: one.key, Seq: one.seq, Age: now.Sub(one.at)})
	}
	s.det.Batch(x.beats)
}

// setInterval has the detector expect the beats of l so long apart from the latest one on, of which it has to know first.
func (s *Server) setInterval(l *served, every time.Duration) {
	s.tell()
	s.det.SetInterval(l.key, every)
}
