package metrics

import (
	"context"
	"iter"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pulsering/pulsering/cluster"
)

// source is what a collector needs of a *cluster.Node.
type source interface {
	Events(context.Context) iter.Seq[cluster.Event]
	Explain(name string) (cluster.Explanation, bool)
	Isolated() bool
	Members() []cluster.Member
	Self() cluster.Member
	Stats() cluster.Stats
	Err() error
}

// collector turns snapshots of a node into metrics. It keeps nothing between two scrapes but the history.
type collector struct {
	node     source
	phiLimit int
	history  *history
}

// single is a metric without labels, and where its value comes from.
type single struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(*snapshot) float64
}

func gauge(name, help string, of func(*snapshot) float64) single {
	return single{desc(name, help), prometheus.GaugeValue, of}
}

func counter(name, help string, of func(*cluster.Stats) uint64) single {
	return single{desc(name, help), prometheus.CounterValue, func(s *snapshot) float64 { return float64(of(&s.stats)) }}
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("pulsering_"+name, help, labels, nil)
}

var (
	membersDesc = desc("members", "Members that this node knows, itself included, by what it believes of them.", "state")
	phiDesc     = desc("member_phi", "Suspicion level φ of a member that this node observes and that is up or suspect: at 3, one heartbeat in "+
		"1,000 is this late.", "member")
	droppedDesc = desc("packets_dropped_total", "Packets, and parts of packets, that were not acted upon, by cause. Those under "+
		"\"memberlist: …\" never got past memberlist.", "cause")
)

// singles are in the order of the documentation.
var singles = []single{
	gauge("running", "1 while the node takes part in its cluster, 0 once it has ended: closed, or its name or address lost.",
		func(s *snapshot) float64 { return number(s.running) }),
	gauge("isolated", "1 while this node hears none of the others.",
		func(s *snapshot) float64 { return number(s.isolated) }),
	gauge("members_wedged", "Members, this node included, that are up or suspect and say that their service fails its checks.",
		func(s *snapshot) float64 { return float64(s.wedged) }),
	gauge("members_deaf", "Members that are suspect because they say that they hear nobody.",
		func(s *snapshot) float64 { return float64(s.stats.Deaf) }),
	gauge("members_unheard", "Members that are reached by streams (TCP) only: none of their packets (UDP) arrives.",
		func(s *snapshot) float64 { return float64(s.stats.Unheard) }),
	gauge("member_phi_omitted", "Members that have no pulsering_member_phi for the limit on their number.",
		func(s *snapshot) float64 { return float64(s.omitted) }),
	gauge("phi_threshold", "Sum of the observers' doubts, as φ, at which a member is called down.",
		func(s *snapshot) float64 { return s.threshold }),
	gauge("inquiries_open", "Members that have fallen silent and are being asked about.",
		func(s *snapshot) float64 { return float64(s.stats.Inquiries) }),
	gauge("gossip_queue_messages", "Messages that wait in memberlist's queue.",
		func(s *snapshot) float64 { return float64(s.stats.Gossip) }),

	counter("heartbeats_sent_total", "Heartbeats sent.", func(s *cluster.Stats) uint64 { return s.Sent["beat"] }),
	counter("heartbeats_received_total", "Heartbeats received.", func(s *cluster.Stats) uint64 { return s.Received["beat"] }),
	counter("heartbeats_lost_total", "Heartbeats that were sent to this node and did not arrive.",
		func(s *cluster.Stats) uint64 { return s.Lost }),
	counter("questions_sent_total", "Questions about silent members sent, to the members themselves and to others.",
		func(s *cluster.Stats) uint64 { return s.Sent["ask"] }),
	counter("questions_received_total", "Questions received.", func(s *cluster.Stats) uint64 { return s.Received["ask"] }),
	counter("answers_sent_total", "Answers sent, and this node's own verdicts and goodbyes.",
		func(s *cluster.Stats) uint64 { return s.Sent["claim"] }),
	counter("answers_received_total", "Answers, verdicts and goodbyes received.",
		func(s *cluster.Stats) uint64 { return s.Received["claim"] }),
	counter("verdicts_given_total", "Members that this node called down.", func(s *cluster.Stats) uint64 { return s.Verdicts }),
	counter("verdicts_retracted_total", "Members that this node held for down, by whose verdict ever, and that turned out to live.",
		func(s *cluster.Stats) uint64 { return s.Retracted }),
	counter("pauses_total", "Times that this node stood still for a quarter of its stall allowance (100 ms at most) or more.",
		func(s *cluster.Stats) uint64 { return s.Pauses }),
	counter("decryption_failures_total", "Packets and streams that none of this node's keys decrypts, or that are not encrypted and should be.",
		func(s *cluster.Stats) uint64 { return s.Dropped["memberlist: wrong key"] }),
	counter("packets_sent_total", "Packets sent, memberlist's own included.", func(s *cluster.Stats) uint64 { return s.Packets }),
	counter("sent_bytes_total", "Bytes of packets and streams sent, memberlist's own included, without the headers of UDP, TCP and IP.",
		func(s *cluster.Stats) uint64 { return s.Bytes }),
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{membersDesc, phiDesc, droppedDesc} {
		ch <- d
	}
	for _, s := range singles {
		ch <- s.desc
	}
	for _, h := range c.history.all() {
		h.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := look(c.node, c.phiLimit) // all of it: whoever reads ch may be slow
	for state, n := range s.states {
		ch <- prometheus.MustNewConstMetric(membersDesc, prometheus.GaugeValue, float64(n), state.String())
	}
	for name, phi := range s.phi {
		ch <- prometheus.MustNewConstMetric(phiDesc, prometheus.GaugeValue, phi, name)
	}
	for cause, n := range s.stats.Dropped {
		ch <- prometheus.MustNewConstMetric(droppedDesc, prometheus.CounterValue, float64(n), printable(cause))
	}
	for _, m := range singles {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.of(s))
	}
	for _, h := range c.history.all() {
		h.Collect(ch)
	}
}

// printable is what Prometheus takes as the value of a label. The formats escape quotes and line breaks themselves.
func printable(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
