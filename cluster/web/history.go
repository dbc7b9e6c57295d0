package web

import (
	"context"
	"sync"
	"time"

	"github.com/pulsering/pulsering/internal/level"
	"github.com/pulsering/pulsering/internal/record"
)

const (
	sampleEvery = 500 * time.Millisecond
	samplesKept = 120 // a minute
	// mostSampled bounds the members: a node observes 8 as a rule, and 64 with Config.Observers at its most.
	mostSampled = 128
	// lookAround is how often those are looked for that this node observes, in samples, where no event tells of a change: to read
	// all members takes longer than to read a few.
	lookAround = 10
)

// history is φ of the members that the node observes itself, over the last minute.
type history struct {
	mu  sync.Mutex
	phi map[string][]record.Sample // oldest first
}

func newHistory() *history { return &history{phi: map[string][]record.Sample{}} }

// run takes samples until the node ends or ctx does.
func (h *history) run(ctx context.Context, v *view) {
	n, seen := v.node, uint64(0)
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for round := 0; ; round++ {
		if changes := v.changes.Load(); round%lookAround == 0 || changes != seen {
			seen = changes
			h.look(v)
		}
		h.take(n, time.Now())
		select {
		case <-tick.C:
		case <-n.Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

// look finds out whom the node observes.
func (h *history) look(v *view) {
	observed := map[string]bool{}
	for _, m := range v.members().all {
		if m.Observed && len(observed) < mostSampled {
			observed[m.Name] = true
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for name := range h.phi {
		if !observed[name] {
			delete(h.phi, name)
		}
	}
	for name := range observed {
		if h.phi[name] == nil {
			h.phi[name] = make([]record.Sample, 0, samplesKept)
		}
	}
}

// take adds a sample of each member.
func (h *history) take(n Node, now time.Time) {
	for _, name := range h.names() {
		m, known := n.Member(name)
		h.mu.Lock()
		if kept := h.phi[name]; known && m.Observed {
			if len(kept) == samplesKept {
				kept = kept[:copy(kept, kept[1:])]
			}
			h.phi[name] = append(kept, record.Sample{Time: now.UTC(), Phi: level.Phi(m.Phi)})
		} else {
			delete(h.phi, name)
		}
		h.mu.Unlock()
	}
}

func (h *history) names() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	names := make([]string, 0, len(h.phi))
	for name := range h.phi {
		names = append(names, name)
	}
	return names
}

// of returns the samples of a member, oldest first.
func (h *history) of(name string) []record.Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]record.Sample{}, h.phi[name]...)
}
