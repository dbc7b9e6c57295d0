package cluster_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

// A service that dies beside its node is down everywhere at once, with the cause, also for those who come later.
func TestFail(t *testing.T) {
	for _, size := range []int{2, 3, 12} {
		inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
			names := w.startAll(size)
			died, began := w.nodes["n01"], time.Now()
			done := make(chan error)
			go func() { done <- died.Fail(t.Context(), "exit status 3\x1b[2J"+strings.Repeat("x", 100)) }()
			const want = "exit status 3.[2Jxxxxxx"
			for _, name := range names {
				if name == "n01" {
					continue
				}
				w.within(100*time.Millisecond, name+" knows", func() bool { return w.nodes[name].state("n01") == cluster.StateDown })
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if self := died.Self(); self.State != cluster.StateDown {
				t.Errorf("it sees itself as %v", self.State)
			}
			w.crash("n01")
			delete(w.nodes, "n01")
			time.Sleep(10 * time.Second)
			w.start("late", "")
			time.Sleep(10 * time.Second)
			for name, n := range w.nodes {
				var downs int
				for _, e := range n.since(began) {
					if e.Member.Name != "n01" || e.Reason == cluster.ReasonPresent {
						continue
					}
					if downs++; e.Kind != cluster.Down || e.Reason != cluster.ReasonExited || !strings.HasPrefix(e.Detail, want) || len(e.Detail) > 64 {
						t.Errorf("%s was told %v, %s, %q", name, e.Kind, e.Reason, e.Detail)
					}
				}
				if name != "late" && downs != 1 {
					t.Errorf("%s was told %d times", name, downs)
				}
				if e, ok := n.Explain("n01"); !ok || e.Member.State != cluster.StateDown || e.Verdict == nil || !strings.HasPrefix(e.Verdict.Exit, want) {
					t.Errorf("%s explains %+v", name, e.Verdict)
				}
			}
			w.start("n01", "") // started again
			w.within(2*time.Second, "it is up again", w.allUp)
		})
	}
}

func TestFailOnce(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(2)
		n := w.nodes["n00"]
		if err := n.Fail(t.Context(), "\x00 "); err != nil {
			t.Fatal(err)
		}
		if err := n.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		if err := n.SetHealth(t.Context(), cluster.HealthWedged); err == nil {
			t.Error("who is over changed its health")
		}
		time.Sleep(time.Second)
		if got := w.nodes["n01"].state("n00"); got != cluster.StateDown {
			t.Errorf("n00 is %v: it died, and did not leave", got)
		}
	})
}
