package cluster_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

// A node joins through what Discover says, whether that was there at the start or comes later.
func TestDiscover(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(3)
		began := time.Now()
		var asked atomic.Int32
		w.config = func(cfg *cluster.Config) {
			cfg.Seeds = nil
			cfg.Discover = func(context.Context) ([]string, error) {
				switch asked.Add(1); {
				case time.Since(began) < 20*time.Second:
					return nil, errors.New("the directory is down")
				case time.Since(began) < 40*time.Second:
					return []string{"10.0.0.99:7946"}, nil // nobody is there
				}
				return []string{"10.0.0.2:7946"}, nil
			}
		}
		w.start("late", "")
		if took := time.Since(began); took < 40*time.Second || took > 47*time.Second {
			t.Errorf("joined after %v", took)
		}
		if n := asked.Load(); n < 9 || n > 25 {
			t.Errorf("asked %d times within 40 s", n)
		}
		w.within(time.Second, "all up", w.allUp)
	})
}

// Nobody there is an answer, and no answer is none: a node begins alone only where it was told that it is.
func TestDiscoverNobody(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		var list atomic.Pointer[[]string]
		list.Store(&[]string{})
		w.config = func(cfg *cluster.Config) {
			cfg.Seeds = nil
			cfg.Discover = func(context.Context) ([]string, error) { return *list.Load(), nil }
		}
		w.start("first", "10.0.0.1:7946")
		if n := len(w.nodes["first"].Members()); n != 1 {
			t.Fatalf("%d members", n)
		}
		w.start("second", "10.0.0.2:7946") // an island
		list.Store(&[]string{"10.0.0.2:7946", "10.0.0.1:7946"})
		w.within(7*time.Second, "the islands meet", w.allUp)

		w.config = func(cfg *cluster.Config) {
			cfg.Seeds = nil
			cfg.Discover = func(context.Context) ([]string, error) { return nil, errors.New("no answer") }
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		if _, err := w.join(ctx, "third", ""); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer") {
			t.Errorf("joined: %v", err)
		}
		w.config = func(cfg *cluster.Config) { // half an answer leads to a member all the same
			cfg.Seeds = nil
			cfg.Discover = func(context.Context) ([]string, error) { return *list.Load(), errors.New("half of it is missing") }
		}
		w.start("half", "")
		w.within(2*time.Second, "all up", w.allUp)
		for _, bad := range []string{"nowhere", "host:0", ":1"} {
			w.config = func(cfg *cluster.Config) {
				cfg.Seeds = nil
				cfg.Discover = func(context.Context) ([]string, error) { return []string{bad}, nil }
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			if _, err := w.join(ctx, "fourth", ""); err == nil || !strings.Contains(err.Error(), "Discover[0]") {
				t.Errorf("%q: %v", bad, err)
			}
			cancel()
		}
	})
}

// A restarted node comes back through the members that it knew last, without seeds, and only to members of those names.
func TestRemembered(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(4)
		known := w.nodes["n03"].Members()
		addr := w.nodes["n03"].transport.Addr()
		boot := w.nodes["n03"].Self().Boot
		w.crash("n03")
		w.crash("n00")
		time.Sleep(10 * time.Second)
		w.config = func(cfg *cluster.Config) { cfg.Seeds, cfg.Remembered, cfg.LastBoot = nil, known, boot+1<<40 }
		began := time.Now()
		n := w.start("n03", addr)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("back after %v", took)
		}
		w.within(time.Second, "n01 sees it", func() bool { return w.nodes["n01"].state("n03") == cluster.StateUp })
		if got := n.Self().Boot; got <= boot+1<<40 {
			t.Errorf("boot %d after %d", got, boot+1<<40)
		}
		w.crash("n03")
		for last, top := range map[uint64]uint64{1 << 60: 1<<60 + 1, 1 << 63: 1 << 52} { // as high as a lie makes a member go, and higher
			w.config = func(cfg *cluster.Config) { cfg.Seeds, cfg.LastBoot = nil, last }
			if got := w.start("x", "").Self().Boot; got > top {
				t.Errorf("boot %d after %d", got, last)
			}
			w.crash("x")
		}

		// The whole cluster is gone, and somebody else's runs at its addresses.
		for _, name := range []string{"n01", "n02"} {
			w.crash(name)
		}
		w.config = func(cfg *cluster.Config) { cfg.Seeds = nil }
		w.start("stranger", known[1].Addr)
		w.start("stranger2", known[2].Addr)
		w.config = func(cfg *cluster.Config) { cfg.Seeds, cfg.Remembered = nil, known }
		began = time.Now()
		n = w.start("n03", addr)
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("began alone after %v", took)
		}
		time.Sleep(5 * time.Minute)
		if members := n.Members(); len(members) != 1 {
			t.Errorf("it is with strangers: %v", members)
		}
		// One of those it knew comes back, and they meet.
		w.config = func(cfg *cluster.Config) { cfg.Seeds, cfg.Remembered = nil, known[3:] }
		w.crash("stranger")
		time.Sleep(time.Second)
		w.start("n01", known[1].Addr)
		w.within(10*time.Second, "the two meet", func() bool { return n.state("n01") == cluster.StateUp })
	})
}

// Three members whose seeds name only themselves for ten seconds begin as one cluster, and none tells of an island.
func TestExpect(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		began := time.Now()
		addrs := []string{"10.0.0.1:7946", "10.0.0.2:7946", "10.0.0.3:7946"}
		type joined struct {
			n   *cluster.Node
			err error
		}
		done := make(chan joined)
		for i, name := range []string{"a", "b", "c"} {
			go func() {
				transport, err := w.network.Transport(addrs[i])
				if err != nil {
					t.Error(err)
				}
				n, err := cluster.Join(t.Context(), cluster.Config{
					Name: name, Transport: transport, Expect: 3,
					Discover: func(context.Context) ([]string, error) {
						if time.Since(began) < 10*time.Second {
							return addrs[i : i+1], nil
						}
						return addrs, nil
					},
				})
				done <- joined{n, err}
			}()
		}
		for range 3 {
			j := <-done
			if j.err != nil {
				t.Fatal(j.err)
			}
			defer j.n.Close()
			if n := len(j.n.Members()); n != 3 {
				t.Errorf("%s joined with %d members", j.n.Self().Name, n)
			}
		}
		if took := time.Since(began); took < 10*time.Second || took > 17*time.Second {
			t.Errorf("met after %v", took)
		}
	})
}

// Whoever gives up waiting says goodbye to those that it met.
func TestExpectInVain(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.start("first", "")
		w.config = func(cfg *cluster.Config) { cfg.Expect = 3 }
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		began := time.Now()
		if _, err := w.join(ctx, "second", ""); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "2 of 3 members") {
			t.Errorf("joined: %v", err)
		}
		if took := time.Since(began); took < 30*time.Second || took > 33*time.Second {
			t.Errorf("gave up after %v", took)
		}
		synctest.Wait()
		if got := w.nodes["first"].state("second"); got != cluster.StateLeft {
			t.Errorf("it is %v", got)
		}
		for _, bad := range []int{-1, 10_001} {
			w.config = func(cfg *cluster.Config) { cfg.Expect = bad }
			if _, err := w.join(t.Context(), "third", ""); !errors.Is(err, cluster.ErrConfig) || !strings.Contains(err.Error(), "Expect") {
				t.Errorf("Expect %d: %v", bad, err)
			}
		}
	})
}

// New seeds are tried by a node that runs.
func TestSetSeeds(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.config = func(cfg *cluster.Config) { cfg.Seeds = nil }
		w.start("a", "10.0.0.1:7946")
		w.start("b", "10.0.0.2:7946")
		time.Sleep(time.Minute)
		if err := w.nodes["a"].SetSeeds([]string{"10.0.0.2:7946", "nowhere"}); !errors.Is(err, cluster.ErrConfig) || !strings.Contains(err.Error(), "Seeds[1]") {
			t.Errorf("a seed that is none: %v", err)
		}
		time.Sleep(time.Minute)
		if n := len(w.nodes["a"].Members()); n != 1 {
			t.Errorf("half of a list was taken: %d members", n)
		}
		if err := w.nodes["a"].SetSeeds([]string{"10.0.0.2:7946"}); err != nil {
			t.Fatal(err)
		}
		w.within(6*time.Second, "they meet", w.allUp)
	})
}

func TestPing(t *testing.T) {
	inTown(t, clustertest.Options{Link: clustertest.Link{Delay: clustertest.Constant(20 * time.Millisecond)}}, func(t *testing.T, w *town) {
		w.startAll(3)
		n := w.nodes["n00"]
		if rtt, err := n.Ping(t.Context(), "n01"); err != nil || rtt != 40*time.Millisecond {
			t.Errorf("%v, %v", rtt, err)
		}
		if rtt, err := n.Ping(t.Context(), "n00"); err != nil || rtt != 0 {
			t.Errorf("itself: %v, %v", rtt, err)
		}
		if _, err := n.Ping(t.Context(), "nobody"); !errors.Is(err, cluster.ErrNoMember) {
			t.Errorf("nobody: %v", err)
		}
		w.crash("n01")
		began := time.Now()
		if _, err := n.Ping(t.Context(), "n01"); err == nil || time.Since(began) > time.Second {
			t.Errorf("the dead answer: %v after %v", err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began = time.Now()
		if _, err := n.Ping(ctx, "n01"); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 100*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		n.Close()
		if _, err := n.Ping(t.Context(), "n02"); !errors.Is(err, cluster.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
}

// What a node says of a member that falls silent is what it acts upon.
func TestExplain(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(5)
		time.Sleep(20 * time.Second)
		n := w.nodes["n00"]
		e, ok := n.Explain("n01")
		p := e.Path
		if !ok || p == nil || e.Inquiry != nil || e.Verdict != nil {
			t.Fatalf("%+v", e)
		}
		if p.Interval != 500*time.Millisecond || (p.Mean-p.Interval).Abs() > 50*time.Millisecond || p.Lost != 0 || p.Heartbeats < 5 {
			t.Errorf("path %+v", p)
		}
		if want := []string{"n00", "n02", "n03", "n04"}; !slices.Equal(e.Observers, want) {
			t.Errorf("observers %v", e.Observers)
		}
		if p.Overdue.Before(time.Now()) || !p.Reaches.After(p.Overdue) || e.Excused.Before(e.LastAlive.Add(cluster.DefaultStallAllowance)) {
			t.Errorf("overdue %v, reaches the threshold %v, excused %v", p.Overdue, p.Reaches, e.Excused)
		}
		w.crash("n01")
		died := time.Now()
		for e.Inquiry == nil || e.Inquiry.Phi == 0 {
			if time.Sleep(10 * time.Millisecond); time.Since(died) > 2*time.Second {
				t.Fatalf("nobody doubts: %+v", e)
			}
			e, _ = n.Explain("n01")
		}
		if q := e.Inquiry; q.Asked == 0 || q.Phi <= 0 || q.Since.Before(died) {
			t.Errorf("inquiry %+v", q)
		}
		w.within(2*time.Second, "n01 is down", func() bool { return n.state("n01") == cluster.StateDown })
		e, _ = n.Explain("n01")
		if v := e.Verdict; v == nil || v.Phi < v.Threshold || v.Threshold == 0 || len(v.By) == 0 || e.Inquiry != nil {
			t.Errorf("verdict %+v, inquiry %+v", v, e.Inquiry)
		}
		time.Sleep(time.Second) // the graph follows
		self, ok := n.Explain("n00")
		if !ok || self.Path != nil || !slices.Equal(self.Observers, []string{"n02", "n03", "n04"}) {
			t.Errorf("itself %+v", self)
		}
		if _, ok := n.Explain("nobody"); ok {
			t.Error("nobody is explained")
		}
	})
}

// The counters say what happened.
func TestStatsCount(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(5)
		before := w.nodes["n00"].Stats()
		if before.Packets == 0 || before.Bytes < 20*before.Packets || before.Lost != 0 || before.Verdicts != 0 || before.Retracted != 0 {
			t.Errorf("at first %+v", before)
		}
		w.network.Isolate(w.nodes["n01"].transport.Addr())
		w.within(5*time.Second, "n01 is down", func() bool { return w.nodes["n00"].state("n01") == cluster.StateDown })
		w.network.Heal([]string{clustertest.Everyone}, []string{clustertest.Everyone})
		w.within(time.Minute, "n01 is back", w.allUp)
		var verdicts, retracted uint64
		for _, n := range w.nodes {
			s := n.Stats()
			verdicts += s.Verdicts
			retracted += s.Retracted
		}
		if verdicts == 0 || retracted < 4 {
			t.Errorf("%d verdicts, %d taken back", verdicts, retracted)
		}
		everyone := []string{clustertest.Everyone}
		if err := w.network.SetLink(everyone, everyone, clustertest.Link{Loss: clustertest.Independent(0.2)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if s := w.nodes["n00"].Stats(); s.Lost < 30 || s.Lost > 300 {
			t.Errorf("%d of 480 heartbeats lost at 20 %%", s.Lost)
		}
	})
}
