package supervise

import (
	"os"
	"time"
)

// fresh is for how long a process that was killed for memory explains the end of the child: one
// that lost a process of its own ends within that, or goes on.
const fresh = 5 * time.Second

// memory watches the kernel's count of processes that it killed for memory.
type memory struct {
	counter counter
	last    uint64
	rose    time.Time // when it was last seen to have risen; zero: never
}

// counter reads such a count.
type counter struct {
	read func() (uint64, bool)
	own  bool // it counts the child's own control group, not the whole machine
}

func newMemory() *memory {
	m := &memory{counter: findCounter()}
	m.last, _ = m.counter.read()
	return m
}

// sample looks whether the count has risen.
func (m *memory) sample(now time.Time) {
	n, ok := m.counter.read()
	if !ok {
		return
	}
	if n > m.last {
		m.rose = now
	}
	m.last = n
}

// explains tells whether the child ended for memory, and whether that is a guess. The kernel counts
// before it kills.
func (m *memory) explains(e Exit, now time.Time) (outOfMemory, probably bool) {
	m.sample(now)
	if e.OK() || m.rose.IsZero() || now.Sub(m.rose) > fresh {
		return false, false
	}
	killed := e.Signal == os.Kill
	if e.Signal != nil && !killed || e.Asked && !killed {
		return false, false // its own fault, or what it was asked for
	}
	return true, !killed || !m.counter.own
}
