// Package metrics shows a node to Prometheus: who is up, how sure the node is of it, and what that costs.
//
//	prometheus.MustRegister(metrics.New(node))             // beside a service's own metrics
//	http.Handle("GET /metrics", metrics.Handler(node))     // or alone, with those of the Go runtime and the process
//
// Each scrape is one snapshot, taken before anything is written: a scraper that is slow or stuck holds no lock of the node.
// What happened (pulsering_events_total, pulsering_detection_seconds) is counted from New on, everything else from Join on.
//
// # Limits
//
// The number of series is bounded. Only pulsering_member_phi has a label that comes from others, the name of a member: it is
// there for members that this node observes and that are up or suspect, PhiLimit of them at most. Names that are not valid
// UTF-8 are shown with U+FFFD in the place of what is wrong.
//
// docs/operations in the repository has a dashboard, alerts, and what to do when one of them fires.
package metrics

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pulsering/pulsering/cluster"
)

// DefaultPhiLimit is how many members have a pulsering_member_phi without the option PhiLimit.
const DefaultPhiLimit = 300

// Option changes what New and Handler do.
type Option func(*collector)

// PhiLimit bounds how many members have a pulsering_member_phi in one scrape: those that are suspect first, then by name. The
// others are counted in pulsering_member_phi_omitted. Zero or less: none has one.
func PhiLimit(n int) Option { return func(c *collector) { c.phiLimit = max(n, 0) } }

// New returns a collector of what the node sees and does. It subscribes to the node's events, and that ends when the node
// does: after Close it goes on to show the last state, with pulsering_running at 0. A node may have several collectors, each in a
// registry of its own. Collecting does not wait for the network.
func New(node *cluster.Node, options ...Option) prometheus.Collector {
	return newCollector(node, options)
}

// Handler answers with the metrics of the node, of the Go runtime, of the process and of the build, in the formats that
// Prometheus asks for. They are in a registry of their own. It is for one node, and has a collector of its own as New's.
// There is no authentication, and the answer names members.
func Handler(node *cluster.Node, options ...Option) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		newCollector(node, options),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

func newCollector(node source, options []Option) *collector {
	c := &collector{node: node, phiLimit: DefaultPhiLimit, history: newHistory()}
	for _, o := range options {
		o(c)
	}
	go c.history.follow(node.Events(context.Background()))
	return c
}
