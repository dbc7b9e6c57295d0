package cluster_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

// A member that is over is forgotten everywhere, no table brings it back, and as a new boot it is a new member.
func TestForget(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(5)
		if err := w.nodes["n00"].Forget(t.Context(), "n03"); err == nil {
			t.Error("a member that is up was forgotten")
		}
		if err := w.nodes["n00"].Forget(t.Context(), "nobody"); !errors.Is(err, cluster.ErrNoMember) {
			t.Errorf("nobody: %v", err)
		}
		if err := w.nodes["n00"].Forget(t.Context(), "n00"); err == nil {
			t.Error("a node forgot itself")
		}
		w.crash("n03")
		w.within(5*time.Second, "n03 is down", func() bool { return w.nodes["n00"].state("n03") == cluster.StateDown })
		time.Sleep(time.Second)
		if err := w.nodes["n00"].Forget(t.Context(), "n03"); err != nil {
			t.Fatal(err)
		}
		gone := func() bool {
			for _, n := range w.nodes {
				if _, ok := n.Member("n03"); ok {
					return false
				}
			}
			return true
		}
		w.within(time.Second, "nobody knows n03", gone)
		time.Sleep(5 * time.Minute) // many exchanges of tables
		if !gone() {
			t.Error("n03 is back")
		}
		w.start("n03", "")
		w.within(2*time.Second, "n03 is up", w.allUp)
	})
}
