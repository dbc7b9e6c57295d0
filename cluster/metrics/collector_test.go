package metrics

import (
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/pulsering/pulsering/cluster"
)

// everything is a node of which each number is another one.
func everything() *fake {
	at := time.Unix(1e9, 0)
	dead := func(name string, observed bool, took time.Duration) cluster.Member {
		return cluster.Member{Name: name, State: cluster.StateDown, Observed: observed, LastHeard: at.Add(-took)}
	}
	return &fake{
		isolated: true, threshold: 8.25,
		members: []cluster.Member{
			{Name: "a", State: cluster.StateUp, Observed: true, Phi: 0.5, Health: cluster.HealthWedged},
			{Name: "b", State: cluster.StateSuspect, Observed: true, Phi: math.Inf(1), Health: cluster.HealthWedged},
			{Name: "c", State: cluster.StateDown, Observed: true, Phi: 300, Health: cluster.HealthWedged},
			{Name: "d", State: cluster.StateLeft, Observed: true, Phi: 4},
			{Name: "e", State: cluster.StateUp},
			{Name: "self", State: cluster.StateUp, Health: cluster.HealthPassing},
		},
		stats: cluster.Stats{
			Sent:     map[string]uint64{"beat": 101, "ask": 102, "claim": 103},
			Received: map[string]uint64{"beat": 201, "ask": 202, "claim": 203},
			Dropped:  map[string]uint64{"memberlist: wrong key": 301, "malformed": 302},
			Packets:  401, Bytes: 402, Lost: 403, Verdicts: 404, Retracted: 405, Pauses: 406,
			Gossip: 501, Inquiries: 502, Unheard: 503, Deaf: 504,
		},
		events: []cluster.Event{
			{Kind: cluster.Up, Reason: cluster.ReasonPresent},
			{Kind: cluster.Up, Reason: cluster.ReasonJoined, Folded: 2},
			{Kind: cluster.Suspect, Reason: cluster.ReasonSilent},
			{Kind: cluster.Down, Reason: cluster.ReasonSilent, At: at, Member: dead("a", true, 450*time.Millisecond)},
			{Kind: cluster.Down, Reason: cluster.ReasonVerdict, At: at, Member: dead("b", true, 7*time.Second)},
			{Kind: cluster.Down, Reason: cluster.ReasonRefused, At: at, Member: dead("c", true, -time.Second)}, // a clock was set
			{Kind: cluster.Down, Reason: cluster.ReasonVerdict, At: at, Member: cluster.Member{Name: "e"}},     // not observed
			{Kind: cluster.Down, Reason: cluster.ReasonVerdict, At: at, Member: cluster.Member{Name: "f", Observed: true}},
			{Kind: cluster.Down, Reason: cluster.ReasonRestarted, At: at, Member: dead("g", true, time.Second)},
			{Kind: cluster.Down, Reason: cluster.ReasonExited, At: at, Member: dead("h", true, time.Second)},
			{Kind: cluster.Down, Reason: cluster.ReasonIsolated, At: at, Member: dead("i", true, 30*time.Second)},
			{Kind: cluster.Accused},
		},
	}
}

// told is a collector of f to which all events have been told.
func told(f *fake, options ...Option) *collector {
	c := newCollector(&fake{}, options)
	c.node = f
	c.history.follow(slices.Values(f.events))
	return c
}

// The text that Prometheus gets is in testdata, for people to read too.
func TestEveryNumberIsInItsPlace(t *testing.T) {
	want, err := os.Open("testdata/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	if err := testutil.CollectAndCompare(told(everything()), want); err != nil {
		t.Error(err)
	}
}

func TestNamesFollowTheConventions(t *testing.T) {
	problems, err := testutil.CollectAndLint(told(everything()))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, family := range gather(t, told(everything())) {
		if help := family.GetHelp(); len(help) < 10 || !strings.HasSuffix(help, ".") {
			t.Errorf("%s has no sentence for its help: %q", family.GetName(), help)
		}
	}
}

// What is described is what is collected, and nothing twice.
func TestDescribed(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(told(everything()))
	if _, err := registry.Gather(); err != nil {
		t.Error(err)
	}
}

func TestAnEndedNodeSaysSo(t *testing.T) {
	f := everything()
	for err, want := range map[error]float64{nil: 1, errors.New("the name is lost"): 0} {
		f.err = err
		if got := value(t, told(f), "pulsering_running", ""); got != want {
			t.Errorf("pulsering_running is %v where the node's error is %v, want %v", got, err, want)
		}
	}
}

func TestPhiIsBounded(t *testing.T) {
	members := observed(1000)
	members[900].State = cluster.StateSuspect // is shown first
	for name, tt := range map[string]struct {
		options        []Option
		shown, omitted float64
	}{
		"by default": {nil, DefaultPhiLimit, 1000 - DefaultPhiLimit},
		"wider":      {[]Option{PhiLimit(2000)}, 1000, 0},
		"one":        {[]Option{PhiLimit(1)}, 1, 999},
		"none":       {[]Option{PhiLimit(0)}, 0, 1000},
		"negative":   {[]Option{PhiLimit(-1)}, 0, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			c := told(&fake{members: members}, tt.options...)
			if got := testutil.CollectAndCount(c, "pulsering_member_phi"); float64(got) != tt.shown {
				t.Errorf("%d members have a φ, want %v", got, tt.shown)
			}
			if got := value(t, c, "pulsering_member_phi_omitted", ""); got != tt.omitted {
				t.Errorf("%v are said to be left out, want %v", got, tt.omitted)
			}
			if tt.shown > 0 && value(t, c, "pulsering_member_phi", "member-0900") != 90 {
				t.Error("the suspect member is left out for others that are well")
			}
		})
	}
}

// gather is what a registry has of the collector; an error there would cost Prometheus the whole scrape.
func gather(t testing.TB, c prometheus.Collector) []*dto.MetricFamily {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// value is that of one series, with that value of its label where it has one; NaN: there is none.
func value(t testing.TB, c prometheus.Collector, name, label string) float64 {
	t.Helper()
	for _, family := range gather(t, c) {
		for _, m := range family.GetMetric() {
			if family.GetName() != name || label != "" && m.GetLabel()[0].GetValue() != label {
				continue
			}
			switch {
			case m.Gauge != nil:
				return m.Gauge.GetValue()
			case m.Counter != nil:
				return m.Counter.GetValue()
			case m.Histogram != nil:
				return float64(m.Histogram.GetSampleCount())
			}
		}
	}
	return math.NaN()
}
