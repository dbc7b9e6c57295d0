package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

// shop is where the jobs of a test are done: each takes a second, and for ever on a worker that is broken.
type shop struct {
	mu     sync.Mutex
	broken map[string]bool
	doing  map[string]string // worker → job
	given  map[string]int    // worker → jobs
	done   map[string]string // job → worker
}

func newShop() *shop {
	return &shop{broken: make(map[string]bool), doing: make(map[string]string), given: make(map[string]int), done: make(map[string]string)}
}

func (s *shop) do(ctx context.Context, w cluster.Member, job string) error {
	s.mu.Lock()
	s.given[w.Name]++
	s.doing[w.Name] = job
	s.mu.Unlock()
	finished := time.After(time.Second)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-finished:
		}
		s.mu.Lock()
		broken := s.broken[w.Name]
		if !broken {
			s.done[job] = w.Name
			delete(s.doing, w.Name)
		}
		s.mu.Unlock()
		if !broken {
			return nil
		}
	}
}

// breakDown lets the worker's present job never end, and returns the job.
func (s *shop) breakDown(worker string) (job string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken[worker] = true
	return s.doing[worker]
}

func (s *shop) count(worker string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.given[worker]
}

func jobs(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("job-%d", i+1)
	}
	return all
}

// A boss and three workers, one of which dies in the middle of its job.
func TestPoolOnACluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, err := clustertest.New(clustertest.Options{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		var nodes []*cluster.Node
		for _, name := range []string{"boss", "w1", "w2", "w3"} {
			transport, err := network.Transport("")
			if err != nil {
				t.Fatal(err)
			}
			cfg := cluster.Config{Name: name, Seeds: []string{"10.0.0.1:7946"}, Transport: transport}
			if name != "boss" {
				cfg.Tags = map[string]string{"work": "here"}
			}
			node, err := cluster.Join(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			nodes = append(nodes, node)
			time.Sleep(37 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)

		s := newShop()
		p := &pool{do: s.do, logf: t.Logf, isWorker: func(m cluster.Member) bool { return m.Tags["work"] != "" }}
		finished := make(chan error, 1)
		go func() { finished <- p.run(t.Context(), nodes[0].Events(t.Context()), jobs(30)) }()
		time.Sleep(2500 * time.Millisecond)
		lost := s.breakDown("w2")
		if err := network.Kill("10.0.0.3:7946"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		before := s.count("w2")
		if err := <-finished; err != nil {
			t.Fatal(err)
		}
		if len(s.done) != 30 {
			t.Errorf("%d jobs of 30 done", len(s.done))
		}
		if by := s.done[lost]; by != "w1" && by != "w3" {
			t.Errorf("%s, which w2 took to its grave, was done by %q", lost, by)
		}
		if after := s.count("w2"); after != before || before == 0 {
			t.Errorf("w2 was given %d jobs, %d after its death", after, after-before)
		}
		if s.count("boss") != 0 || s.count("w1") == 0 || s.count("w3") == 0 {
			t.Errorf("jobs went to %v", s.given)
		}

		for _, node := range nodes {
			node.Close()
		}
		network.Close()
		time.Sleep(10 * time.Second) // memberlist's last probes
	})
}

// script makes events of a list that grows.
func script(ctx context.Context, news <-chan cluster.Event) iter.Seq[cluster.Event] {
	return func(yield func(cluster.Event) bool) {
		for {
			select {
			case e := <-news:
				if !yield(e) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

func event(kind cluster.Kind, name string, boot uint64) cluster.Event {
	return cluster.Event{Kind: kind, Member: cluster.Member{Name: name, Boot: boot}}
}

func everyone(cluster.Member) bool { return true }

func TestPoolFollowsTheEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := newShop()
		p := &pool{do: s.do, logf: t.Logf, isWorker: everyone}
		news := make(chan cluster.Event)
		finished := make(chan error, 1)
		go func() { finished <- p.run(ctx, script(ctx, news), jobs(6)) }()

		news <- event(cluster.Up, "a", 1)
		time.Sleep(1500 * time.Millisecond) // job-1 is done, job-2 half
		news <- event(cluster.Suspect, "a", 1)
		time.Sleep(10 * time.Second)
		if s.count("a") != 2 || s.done["job-2"] != "a" {
			t.Errorf("a suspect finishes its job and gets no other: %d jobs, done %v", s.count("a"), s.done)
		}
		news <- event(cluster.Up, "a", 1)
		time.Sleep(500 * time.Millisecond) // job-3 is half done
		news <- event(cluster.Down, "a", 1)
		news <- event(cluster.Up, "a", 2) // a new boot: another worker
		time.Sleep(100 * time.Millisecond)
		if s.done["job-3"] != "" || s.count("a") != 4 {
			t.Errorf("job-3 was not taken back: done %v, %d jobs", s.done, s.count("a"))
		}
		news <- event(cluster.Up, "b", 1)
		if err := <-finished; err != nil || len(s.done) != 6 {
			t.Errorf("%v, done %v", err, s.done)
		}
		if s.count("b") == 0 {
			t.Error("b got nothing")
		}
	})
}

// A worker that fails without being down is not asked again at once.
func TestPoolRestsFailingWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+500*time.Millisecond)
		defer cancel()
		var tries atomic.Int32
		p := &pool{logf: t.Logf, isWorker: everyone, do: func(context.Context, cluster.Member, string) error {
			tries.Add(1)
			return errors.New("no disk")
		}}
		news := make(chan cluster.Event, 1)
		news <- event(cluster.Up, "a", 1)
		err := p.run(ctx, script(ctx, news), jobs(1))
		if !errors.Is(err, context.DeadlineExceeded) || tries.Load() != 11 {
			t.Errorf("%v after %d tries; want one a second", err, tries.Load())
		}
		synctest.Wait()
	})
}

// A job goes to a worker's address and comes back done.
func TestPostedWork(t *testing.T) {
	server := httptest.NewServer(work(0))
	defer server.Close()
	at := func(addr string) cluster.Member {
		return cluster.Member{Name: "w", Tags: map[string]string{"work": addr}}
	}
	if err := post(t.Context(), at(strings.TrimPrefix(server.URL, "http://")), "abc"); err != nil {
		t.Error(err)
	}
	refusing := httptest.NewServer(http.NotFoundHandler())
	defer refusing.Close()
	if err := post(t.Context(), at(strings.TrimPrefix(refusing.URL, "http://")), "abc"); err == nil {
		t.Error("a refusal counts as done")
	}
}

// The node may end by itself (Node.Err: its name was taken). Its events end then, and nobody will ever do the jobs that are left.
func TestRunEndsWithTheNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop()
		p := &pool{do: s.do, isWorker: everyone, logf: t.Logf}
		life, end := context.WithCancel(t.Context())
		news := make(chan cluster.Event, 1)
		news <- event(cluster.Up, "a", 1)
		time.AfterFunc(2500*time.Millisecond, end)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start := time.Now()
		if err := p.run(ctx, script(life, news), jobs(5)); !errors.Is(err, errEnded) || time.Since(start) != 2500*time.Millisecond {
			t.Errorf("with a node that ended after 2.5 s, run took %v: %v", time.Since(start), err)
		}
		if len(s.done) != 2 {
			t.Errorf("done %v, want two jobs", s.done)
		}
		synctest.Wait() // whoever did a job then was told to stop
	})
}
