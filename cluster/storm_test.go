package cluster_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

// A member that is restarted again and again: everybody knows its last boot within two seconds.
func TestRestartStorm(t *testing.T) {
	t.Parallel() // one of the long ones
	for _, story := range []struct {
		size, restarts int
		every          time.Duration
		loss           float64
	}{
		{3, 40, 700 * time.Millisecond, 0},
		{8, 40, 700 * time.Millisecond, 0},
		{8, 80, 700 * time.Millisecond, 0},
		{8, 80, 150 * time.Millisecond, 0},
		{8, 40, 700 * time.Millisecond, 0.05},
		{16, 40, 700 * time.Millisecond, 0},
	} {
		t.Run(fmt.Sprintf("%d members, %d times every %v, loss %v", story.size, story.restarts, story.every, story.loss), func(t *testing.T) {
			for seed := range uint64(3) {
				link := clustertest.Link{Loss: clustertest.Independent(story.loss)}
				inTown(t, clustertest.Options{Seed: seed, Link: link}, func(t *testing.T, w *town) {
					w.startAll(story.size)
					const victim = "n01"
					addr := w.nodes[victim].Self().Addr
					for range story.restarts {
						time.Sleep(story.every)
						w.crash(victim)
						w.start(victim, addr)
					}
					boot := w.nodes[victim].Self().Boot
					took := w.within(2*time.Second, "the last boot up everywhere", func() bool {
						for _, n := range w.nodes {
							for _, m := range n.Members() {
								if m.Name == victim && (m.Boot != boot || m.State != cluster.StateUp) {
									return false
								}
							}
						}
						return true
					})
					w.forget()
					time.Sleep(30 * time.Second)
					for name, n := range w.nodes {
						if downs := n.downs(); len(downs) > 0 {
							t.Errorf("%s called down %v after the storm", name, downs)
						}
					}
					t.Logf("known everywhere after %v", took)
				})
			}
		})
	}
}
