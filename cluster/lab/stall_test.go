package lab

import (
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/pulsering/pulsering/cluster/clustertest"
)

// stallable is a transport whose node can be made to stand still, as far as that goes in one process with one clock: while it
// does, whoever of its goroutines sends a packet waits, and (by Network.Block) nothing goes in. The beating of a node and the
// probing, gossiping and answering of memberlist all send before they do the next thing, so they stop in their tracks, and
// nothing piles up that a process at rest would not have sent. What goes on are timers that send nothing: memberlist's
// suspicions, and φ, whose alarms wait for the goroutine that is to act on them. Nobody may send with a lock held, or virtual
// time would stand still for everybody; neither memberlist nor package cluster does.
type stallable struct {
	*clustertest.Transport
	mu    sync.Mutex
	still chan struct{} // closed when it goes on; nil: it runs
}

var _ memberlist.NodeAwareTransport = (*stallable)(nil)

func (s *stallable) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.still = make(chan struct{})
}

func (s *stallable) goOn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.still)
	s.still = nil
}

func (s *stallable) wait() {
	s.mu.Lock()
	still := s.still
	s.mu.Unlock()
	if still != nil {
		<-still
	}
}

// WriteTo and WriteToAddress wait while the node stands still.
func (s *stallable) WriteTo(b []byte, addr string) (time.Time, error) {
	s.wait()
	return s.Transport.WriteTo(b, addr)
}

func (s *stallable) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	s.wait()
	return s.Transport.WriteToAddress(b, a)
}
