package cluster_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

// stuckWriter is a log that takes nothing more, as a pipe that nobody reads or a disk that hangs.
type stuckWriter struct {
	stuck atomic.Bool
	free  chan struct{}
}

func (w *stuckWriter) Write(b []byte) (int, error) {
	if w.stuck.Load() {
		<-w.free
	}
	return len(b), nil
}

// A node whose log is stuck goes on: neither its heartbeats nor its word about others nor its end waits for a reader. Real time, as a
// goroutine that waits for a mutex stops the virtual clock.
func TestStuckLogStopsNobody(t *testing.T) {
	network, err := clustertest.New(clustertest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer network.Close()
	log := &stuckWriter{free: make(chan struct{})}
	defer close(log.free)
	join := func(i int, logger hclog.Logger) *cluster.Node {
		tr, err := network.Transport(fmt.Sprintf("10.0.0.%d:7946", i))
		if err != nil {
			t.Fatal(err)
		}
		n, err := cluster.Join(t.Context(), cluster.Config{Name: fmt.Sprint("m", i), Transport: tr, Seeds: []string{"10.0.0.1:7946"}, Logger: logger})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	first := join(1, nil)
	logs := join(2, hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: log}))
	third := join(3, nil)
	defer third.Close()
	defer first.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	events := first.Events(ctx)
	for len(logs.Members()) < 3 {
		time.Sleep(10 * time.Millisecond)
	}
	log.stuck.Store(true)
	if err := network.Kill("10.0.0.3:7946"); err != nil {
		t.Fatal(err)
	}
	told := false
	for e := range events {
		if e.Kind == cluster.Isolated || e.Member.Name == "m2" && (e.Kind == cluster.Down || e.Kind == cluster.Suspect) {
			t.Errorf("m1 says %v about %s: m2 stands still, because nobody reads its log", e.Kind, e.Member.Name)
		}
		if told = e.Kind == cluster.Down && e.Member.Name == "m3"; told {
			break
		}
	}
	if !told {
		t.Error("in 10 s m1 was not told that m3 is down: m2, whose word it needs, waits for its log")
	}
	ended := make(chan struct{})
	go func() {
		logs.Close()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("in 10 s m2 did not end: it waits for its log")
	}
}

// sink keeps what an intercepting logger hands on.
type sink struct {
	mu    sync.Mutex
	lines []hclog.Level
}

func (s *sink) Accept(_ string, level hclog.Level, _ string, _ ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, level)
}

// A logger may hand on lines below its own level, as hclog's InterceptLogger does to its sinks.
func TestLoggerGetsEveryLine(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		log := hclog.NewInterceptLogger(&hclog.LoggerOptions{Level: hclog.Warn, Output: io.Discard})
		s := &sink{}
		log.RegisterSink(s)
		w.config = func(cfg *cluster.Config) { cfg.Logger = log }
		w.startAll(2)
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		if !slices.Contains(s.lines, hclog.Info) {
			t.Errorf("the sink of a logger at warn got the lines %v, none at info", s.lines)
		}
	})
}
