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

// A job goes to a worker's address, and its result to the ledger, under the token of the worker's present life only.
func TestPostedWork(t *testing.T) {
	var l ledger
	store := httptest.NewServer(&l)
	defer store.Close()
	self := token{"w", 7, 2}
	works := httptest.NewServer(&bench{self: func() token { return self }})
	defer works.Close()
	addr := func(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }
	post := func(job string, by token) error {
		return send(t.Context(), addr(works), order{Job: job, Token: by, Ledger: addr(store)})
	}
	for job, test := range map[string]struct {
		by, holder token
		stored     bool
	}{
		"good":          {self, self, true},
		"earlier epoch": {token{"w", 7, 1}, token{"w", 7, 1}, false}, // the worker knows better
		"earlier boot":  {token{"w", 6, 9}, token{"w", 6, 9}, false},
		"another":       {token{"v", 7, 2}, token{"v", 7, 2}, false},
		"taken back":    {self, token{"v", 1, 0}, false}, // the ledger knows better
		"given again":   {self, token{"w", 7, 3}, false},
	} {
		l.assign(job, test.holder)
		if err := post(job, test.by); (err == nil) != test.stored {
			t.Errorf("%s: %v; want stored %v", job, err, test.stored)
		}
		if _, done := l.done[job]; done != test.stored {
			t.Errorf("%s: done %v", job, done)
		}
	}
	if err := post("nobody's", self); err == nil {
		t.Error("a job that nobody gave out is stored")
	}
	if err := post("good", self); err == nil || l.assign("good", self) {
		t.Errorf("a job is stored twice, or given out when it is done: %v", err)
	}
	refusing := httptest.NewServer(http.NotFoundHandler())
	defer refusing.Close()
	if err := send(t.Context(), addr(refusing), order{}); err == nil {
		t.Error("a refusal counts as done")
	}
}

// A worker that learns that it was called down stops what it has.
func TestBenchIsCleared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{takes: time.Hour, self: func() token { return token{Worker: "w"} }}
		answer := httptest.NewRecorder()
		began := time.Now()
		time.AfterFunc(time.Minute, b.clear)
		b.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(`{"job":"a","token":{"worker":"w","boot":"0"}}`)))
		if answer.Code != http.StatusConflict || time.Since(began) != time.Minute {
			t.Errorf("%d after %v; want a refusal after a minute", answer.Code, time.Since(began))
		}
		if len(b.jobs) != 0 {
			t.Errorf("%d jobs are left", len(b.jobs))
		}
	})
}

// A worker that is stopped in the middle of a job, called down for it and woken when another has the job finishes it: thirty
// times. What it stores is refused each time, and so no job is done twice. Nor is one lost.
func TestStoppedWorkersDoNothingTwice(t *testing.T) {
	const rounds = 30
	synctest.Test(t, func(t *testing.T) {
		network, err := clustertest.New(clustertest.Options{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		names := []string{"boss", "w1", "w2", "w3"}
		nodes := make(map[string]*cluster.Node)
		for _, name := range names {
			transport, err := network.Transport("")
			if err != nil {
				t.Fatal(err)
			}
			cfg := cluster.Config{Name: name, Seeds: []string{"10.0.0.1:7946"}, Transport: transport}
			if name != "boss" {
				cfg.Tags = map[string]string{"work": "here"}
			}
			if nodes[name], err = cluster.Join(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			time.Sleep(37 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)

		var mu sync.Mutex
		stopped := make(map[string]chan struct{}) // closed when the worker goes on
		stores, refused := make(map[string]int), 0
		p := &pool{isWorker: func(m cluster.Member) bool { return m.Tags["work"] != "" }, latest: nodes["boss"].Member,
			logf: func(string, ...any) {}}
		var working sync.WaitGroup
		p.do = func(ctx context.Context, m cluster.Member, job string) error {
			answer := make(chan error, 1)
			working.Go(func() { // the worker's process, which knows nothing of ctx
				time.Sleep(time.Second)
				mu.Lock()
				stop := stopped[m.Name]
				mu.Unlock()
				if stop != nil {
					<-stop
				}
				err := p.ledger.store(job, tokenOf(m))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					stores[job]++
				} else {
					refused++
				}
				answer <- err
			})
			select {
			case err := <-answer:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		finished := make(chan error, 1)
		go func() { finished <- p.run(ctx, nodes["boss"].Events(ctx), jobs(100_000)) }()

		for round := range rounds {
			name := names[1+round%3]
			addr := nodes[name].Self().Addr
			time.Sleep(time.Duration(100+7*round) * time.Millisecond) // in the middle of a job
			on := make(chan struct{})
			mu.Lock()
			stopped[name] = on
			mu.Unlock()
			if err := network.Stall(addr); err != nil {
				t.Fatal(err)
			}
			stall := time.Now()
			for m, _ := nodes["boss"].Member(name); m.State != cluster.StateDown; m, _ = nodes["boss"].Member(name) {
				time.Sleep(100 * time.Millisecond)
				if time.Since(stall) > time.Minute {
					t.Fatalf("round %d: %s is %v after a minute of silence", round, name, m.State)
				}
			}
			time.Sleep(time.Second)
			mu.Lock()
			stopped[name] = nil
			mu.Unlock()
			close(on) // what it held it tries to store before it hears anything
			synctest.Wait()
			if err := network.Resume(addr); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Second)
		}
		cancel()
		<-finished
		working.Wait()
		if refused < rounds*9/10 {
			t.Errorf("%d stores refused in %d rounds: what was to be tested did not happen", refused, rounds)
		}
		most := 0
		for job, n := range stores {
			if n != 1 {
				t.Errorf("%s was done %d times", job, n)
			}
			var i int
			fmt.Sscanf(job, "job-%d", &i)
			most = max(most, i)
		}
		if len(stores) < most-3 { // the last ones may be under way
			t.Errorf("%d jobs are done, up to job-%d: some are lost", len(stores), most)
		}
		for _, name := range names[1:] {
			if epoch := nodes[name].Self().Epoch; epoch < rounds/3 {
				t.Errorf("%s is at epoch %d after %d wrong verdicts", name, epoch, rounds/3)
			}
		}
		t.Logf("%d jobs done, %d stores refused", len(stores), refused)

		for _, node := range nodes {
			node.Close()
		}
		network.Close()
		time.Sleep(10 * time.Second) // memberlist's last probes
	})
}

// A job whose result was stored, but whose answer got lost, is done and goes to nobody else.
func TestPoolAsksTheLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pool{isWorker: everyone, logf: t.Logf}
		given := 0
		p.do = func(_ context.Context, w cluster.Member, job string) error {
			given++
			if err := p.ledger.store(job, tokenOf(w)); err != nil {
				t.Error(err)
			}
			return errors.New("connection reset")
		}
		news := make(chan cluster.Event, 1)
		news <- event(cluster.Up, "a", 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := p.run(ctx, script(ctx, news), jobs(3)); err != nil || given != 3 {
			t.Errorf("%v; %d jobs given out of 3", err, given)
		}
	})
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
