package cluster_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// Where memberlist's gossip brings no announcement, the heartbeats of whoever is not known are the reason to ask for it.
func TestUnknownBootsAreAskedFor(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		var deaf atomic.Bool
		w.config = func(cfg *cluster.Config) {
			cfg.Transport = mangler{cfg.Transport.(*clustertest.Transport), func(b []byte) []byte {
				if deaf.Load() && len(b) > 0 && b[0] != userMessage {
					return nil // all of memberlist's own
				}
				return b
			}}
		}
		w.startAll(6)
		deaf.Store(true)
		w.start("late", "10.0.0.77:7946")
		t.Log("a newcomer is known everywhere after", w.within(6*time.Second, "a newcomer is known everywhere", w.allUp))
		w.crash("late")
		w.start("late", "10.0.0.77:7946")
		boot := w.nodes["late"].Self().Boot
		w.within(6*time.Second, "its next boot is known everywhere", func() bool {
			for _, n := range w.nodes {
				for _, m := range n.Members() {
					if m.Name == "late" && m.Boot != boot {
						return false
					}
				}
			}
			return w.allUp()
		})
	})
}

// Packets under boots that nobody has cost an exchange now and then, and hide no real one for long.
func TestForgedBootsAreAskedForSeldom(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(4)
		s := w.stranger()
		forge := func(d time.Duration) {
			for i := range uint64(d / (100 * time.Millisecond)) {
				for _, n := range w.nodes {
					s.send(n, &wire.Packet{From: "n01", Boot: 1<<59 + i})
					s.send(n, &wire.Packet{From: "ghost", Boot: i + 1})
					s.send(n, &wire.Packet{From: fmt.Sprint("ghost", i), Boot: i + 1})
				}
				time.Sleep(100 * time.Millisecond)
			}
		}
		w.network.ResetCounters()
		time.Sleep(2 * time.Minute)
		quiet := w.network.Totals().Dials
		w.forget()
		forge(time.Minute)
		w.network.ResetCounters()
		forge(2 * time.Minute)
		if got := w.network.Totals().Dials; got > quiet+4*4 {
			t.Errorf("%d streams in two minutes of forged boots, %d without them", got, quiet)
		}
		w.quiet()
		time.Sleep(10 * time.Second)
		w.start("late", "")
		w.within(2*time.Second, "a newcomer is known everywhere", w.allUp)
	})
}
