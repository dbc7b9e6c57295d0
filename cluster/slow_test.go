package cluster_test

import (
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

// Each member has a line so slow that a table takes a good part of a second on it, and all heartbeats behind it are late. The
// questions that follow do not fill the line for ever, and a death is told.
func TestSlowLines(t *testing.T) {
	t.Parallel() // one of the long ones
	for _, line := range []struct {
		kbits     int
		questions float64 // a node and second, at most
	}{{16, 10}, {64, 6}} {
		inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
			w.startAll(12)
			rate := clustertest.Rate{BytesPerSecond: line.kbits * 1000 / 8}
			if err := w.network.SetRate([]string{clustertest.Everyone}, rate, rate); err != nil {
				t.Fatal(err)
			}
			asked := func() (n uint64) {
				for _, citizen := range w.nodes {
					n += citizen.Stats().Sent["ask"]
				}
				return n
			}
			const settle, quiet = 30 * time.Second, 2 * time.Minute
			time.Sleep(settle)
			before := asked()
			time.Sleep(quiet)
			questions := float64(asked()-before) / quiet.Seconds() / 12
			if questions > line.questions {
				t.Errorf("%d kbit/s: %.1f questions a node and second, want at most %v", line.kbits, questions, line.questions)
			}
			w.crash("n03")
			took := w.within(time.Minute, "down everywhere", w.everywhere("n03", cluster.StateDown))
			t.Logf("%d kbit/s: %.1f questions a node and second, a death known everywhere after %v", line.kbits, questions, took)
		})
	}
}
