package metrics

import (
	"iter"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pulsering/pulsering/cluster"
)

// history counts what happened. Its goroutine is follow's; collecting only reads.
type history struct {
	events    *prometheus.CounterVec
	folded    prometheus.Counter
	detection prometheus.Histogram
}

// kinds are all that an event may be, so that each is there from the start and its first increase is seen.
var kinds = []cluster.Kind{
	cluster.Up, cluster.Suspect, cluster.Down, cluster.Left, cluster.Updated, cluster.Isolated, cluster.Connected, cluster.Accused,
}

func newHistory() *history {
	h := &history{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pulsering_events_total",
			Help: "Changes that this node learnt of, by kind: of others up, suspect, down, left and updated (tags or health); " +
				"of itself isolated, connected and accused (others called it down, and it lives).",
		}, []string{"kind"}),
		folded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pulsering_events_folded_total",
			Help: "Changes that came too fast to be counted in pulsering_events_total: a later one of the same member took their place.",
		}),
		detection: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pulsering_detection_seconds",
			Help: "Time from the last sign of life of a member to its down, of members that this node observes. " +
				"Restarts, deaths that were announced, and what an isolated node assumes are not in it.",
			// From a loopback cluster with fast heartbeats to memberlist's probes; the default settings take about half a second.
			Buckets: []float64{0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.5, 2, 3, 5, 10, 20, 30, 60},
		}),
	}
	for _, k := range kinds {
		h.events.WithLabelValues(k.String())
	}
	return h
}

// follow counts events until the node ends.
func (h *history) follow(events iter.Seq[cluster.Event]) {
	for e := range events {
		h.add(e)
	}
}

func (h *history) add(e cluster.Event) {
	h.folded.Add(float64(e.Folded))
	if e.Reason == cluster.ReasonPresent { // no news
		return
	}
	h.events.WithLabelValues(e.Kind.String()).Inc()
	if took, ok := detected(e); ok {
		h.detection.Observe(took.Seconds())
	}
}

// detected tells how long it took to find out by silence that an observed member is dead.
func detected(e cluster.Event) (time.Duration, bool) {
	if e.Kind != cluster.Down || e.Member.LastHeard.IsZero() { // zero: not observed, or never heard
		return 0, false
	}
	switch e.Reason {
	case cluster.ReasonSilent, cluster.ReasonVerdict, cluster.ReasonRefused, cluster.ReasonMemberlist:
		return max(e.At.Sub(e.Member.LastHeard), 0), true
	}
	return 0, false
}

func (h *history) all() []prometheus.Collector {
	return []prometheus.Collector{h.events, h.folded, h.detection}
}
