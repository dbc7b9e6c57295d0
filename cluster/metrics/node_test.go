package metrics

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

// town is a cluster of real nodes in virtual time, and the first one's collector.
type town struct {
	t       *testing.T
	network *clustertest.Network
	nodes   []*cluster.Node
	metrics prometheus.Collector
}

func inTown(t *testing.T, n int, story func(*town)) {
	synctest.Test(t, func(t *testing.T) {
		network, err := clustertest.New(clustertest.Options{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		w := &town{t: t, network: network}
		defer func() {
			for _, n := range w.nodes {
				n.Close()
			}
			network.Close()
			time.Sleep(10 * time.Second) // memberlist's probes under way run out
		}()
		for i := range n {
			w.join(fmt.Sprintf("n%d", i), func(*cluster.Config) {})
		}
		time.Sleep(20 * time.Second)
		story(w)
	})
}

var clusterKey = []byte("the cluster's key")[:16]

// join starts one more node, whose first one is the one that the test looks at.
func (w *town) join(name string, change func(*cluster.Config)) {
	w.t.Helper()
	transport, err := w.network.Transport("")
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := cluster.Config{Name: name, Transport: transport, Keys: [][]byte{clusterKey}}
	if len(w.nodes) > 0 {
		cfg.Seeds = []string{w.nodes[0].Self().Addr}
	}
	change(&cfg)
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	node, err := cluster.Join(ctx, cfg)
	if err != nil {
		w.t.Logf("%s: %v", name, err)
		return
	}
	w.nodes = append(w.nodes, node)
	if len(w.nodes) == 1 {
		w.metrics = New(node)
	}
}

func (w *town) value(name, label string) float64 {
	w.t.Helper()
	return value(w.t, w.metrics, name, label)
}

// want fails the test unless the series has a value from low to high.
func (w *town) want(name, label string, low, high float64) {
	w.t.Helper()
	if got := w.value(name, label); !(got >= low && got <= high) {
		w.t.Errorf("%s{%s} is %v, want %v to %v", name, label, got, low, high)
	}
}

func TestACrashShows(t *testing.T) {
	inTown(t, 5, func(w *town) {
		w.want("pulsering_running", "", 1, 1)
		w.want("pulsering_members", "up", 5, 5)
		w.want("pulsering_events_total", "up", 4, 4)
		w.want("pulsering_member_phi", "n1", 0, 3)
		w.want("pulsering_phi_threshold", "", 7, 10)
		w.want("pulsering_heartbeats_sent_total", "", 100, 400) // eight a second
		w.want("pulsering_heartbeats_received_total", "", 100, 400)
		w.want("pulsering_packets_sent_total", "", 100, 2000)
		w.want("pulsering_sent_bytes_total", "", 5000, 1e6)
		w.want("pulsering_detection_seconds", "", 0, 0)

		w.nodes[2].Close()
		time.Sleep(5 * time.Second)
		w.want("pulsering_members", "up", 4, 4)
		w.want("pulsering_members", "down", 1, 1)
		w.want("pulsering_events_total", "down", 1, 1)
		w.want("pulsering_detection_seconds", "", 1, 1)
		w.want("pulsering_questions_sent_total", "", 1, 100)
		if got := w.detectionSum(); got < 0.4 || got > 3 {
			w.t.Errorf("it took %v s to find out, want 0.4 to 3", got)
		}
		if got := w.value("pulsering_member_phi", "n2"); got == got {
			w.t.Errorf("the dead member has a φ still: %v", got)
		}

		if err := w.nodes[3].Leave(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		if err := w.nodes[4].SetHealth(w.t.Context(), cluster.HealthWedged); err != nil {
			w.t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		w.want("pulsering_members", "left", 1, 1)
		w.want("pulsering_members_wedged", "", 1, 1)
		w.want("pulsering_detection_seconds", "", 1, 1)

		w.nodes[0].Close()
		w.want("pulsering_running", "", 0, 0)
		w.want("pulsering_members", "down", 1, 1)
	})
}

func (w *town) detectionSum() float64 {
	for _, family := range gather(w.t, w.metrics) {
		if family.GetName() == "pulsering_detection_seconds" {
			return family.GetMetric()[0].GetHistogram().GetSampleSum()
		}
	}
	return 0
}

func TestIsolationAndMistakesShow(t *testing.T) {
	inTown(t, 5, func(w *town) {
		w.want("pulsering_isolated", "", 0, 0)
		alone := w.nodes[0].Self().Addr
		if err := w.network.Isolate(alone); err != nil {
			w.t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		w.want("pulsering_isolated", "", 1, 1)
		w.want("pulsering_events_total", "isolated", 1, 1)
		if err := w.network.Heal([]string{clustertest.Everyone}, []string{clustertest.Everyone}); err != nil {
			w.t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		w.want("pulsering_isolated", "", 0, 0)
		w.want("pulsering_events_total", "connected", 1, 1)
		w.want("pulsering_events_total", "accused", 1, 1) // the others called it down meanwhile
	})
}

func TestLossShows(t *testing.T) {
	inTown(t, 3, func(w *town) {
		before := w.value("pulsering_heartbeats_lost_total", "")
		all := []string{clustertest.Everyone}
		if err := w.network.SetLink(all, all, clustertest.Link{Loss: clustertest.Independent(0.2)}); err != nil {
			w.t.Fatal(err)
		}
		time.Sleep(time.Minute) // 480 heartbeats from two
		if lost := w.value("pulsering_heartbeats_lost_total", "") - before; lost < 50 || lost > 150 {
			w.t.Errorf("%v heartbeats were lost of 480, want about 96", lost)
		}
	})
}

func TestAWrongKeyShows(t *testing.T) {
	inTown(t, 2, func(w *town) {
		w.want("pulsering_decryption_failures_total", "", 0, 0)
		w.join("stranger", func(cfg *cluster.Config) { cfg.Keys = [][]byte{[]byte("another key 1234")} })
		w.want("pulsering_decryption_failures_total", "", 1, 1000)
		if failures, dropped := w.value("pulsering_decryption_failures_total", ""),
			w.value("pulsering_packets_dropped_total", "memberlist: wrong key"); failures != dropped {
			w.t.Errorf("%v failures are %v packets dropped", failures, dropped)
		}
	})
}

// A scraper that never reads holds no lock of the node, and its scrape ends with it.
func TestAStuckScraperIsNobodysConcern(t *testing.T) {
	inTown(t, 3, func(w *town) {
		ch := make(chan prometheus.Metric)
		go func() {
			defer close(ch)
			w.metrics.Collect(ch)
		}()
		synctest.Wait()
		w.nodes[1].Close()
		time.Sleep(5 * time.Second)
		if m, _ := w.nodes[0].Member("n1"); m.State != cluster.StateDown {
			w.t.Errorf("the node has n1 as %v while a scraper is stuck, want down", m.State)
		}
		w.want("pulsering_members", "down", 1, 1)
		for range ch { // what it reads in the end is of when it asked
		}
	})
}

// Many scrapers at once, over HTTP, on sockets; nothing is left once the node is closed.
func TestHandler(t *testing.T) {
	defer goleak.VerifyNone(t)
	node, err := cluster.Join(t.Context(), cluster.Config{Name: "a", Bind: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	handler := Handler(node, PhiLimit(10))
	server := httptest.NewServer(handler)
	defer server.Close()
	var scrapers sync.WaitGroup
	for range 8 {
		scrapers.Go(func() {
			for range 5 {
				resp, err := server.Client().Get(server.URL)
				if err != nil {
					t.Error(err)
					return
				}
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				for _, want := range []string{"\npulsering_members{state=\"up\"} 1\n", "\ngo_goroutines ", "\ngo_build_info{", "\nprocess_"} {
					if resp.StatusCode != 200 || !strings.Contains(string(body), want) {
						t.Errorf("%s without %q: %.200s", resp.Status, want, body)
					}
				}
			}
		})
	}
	scrapers.Wait()
	Handler(node) // one more beside it: each has a registry of its own

	ask := httptest.NewRequest("GET", "/metrics", nil)
	ask.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, ask)
	if kind := answer.Header().Get("Content-Type"); !strings.HasPrefix(kind, "application/openmetrics-text") {
		t.Errorf("OpenMetrics were asked for, %q came", kind)
	}
}
