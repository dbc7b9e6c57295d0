package cluster_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// A laptop sleeps while its peer beats on, and its monotonic clock stands still. When it wakes,
// the next heartbeat comes in time by that clock, with a number as much higher as it slept. It
// is awake for a while, and then the peer dies. That is told as fast as without the sleep,
// however long either was: 0.42 s. (The peer after the sleep is played.)
func TestPeerDiesAfterTheMachineSlept(t *testing.T) {
	for _, slept := range []uint64{0, 3, 5, 20, 500, 28_800, 1 << 20} {
		for _, awake := range []time.Duration{500 * time.Millisecond, 5 * time.Second, 30 * time.Second, 5 * time.Minute} {
			t.Run(fmt.Sprintf("%d beats, awake for %v", slept, awake), func(t *testing.T) {
				inTown(t, clustertest.Options{Seed: 1}, func(t *testing.T, w *town) {
					w.startAll(2)
					time.Sleep(time.Minute)
					a, x := w.nodes["n00"], w.nodes["n01"]
					boot, sent := x.Self().Boot, x.Stats().Sent["beat"]
					w.crash("n01")
					s := w.stranger()
					seq, edge := sent+100, sent+1 // beyond whatever it had sent
					beats := func(d time.Duration) {
						for begin := time.Now(); time.Since(begin) < d; time.Sleep(cluster.DefaultBeat) {
							seq, edge = seq+1, edge+1
							every := uint64(cluster.DefaultBeat.Microseconds())
							s.send(a, &wire.Packet{From: "n01", Boot: boot, Beat: &wire.Beat{Seq: seq, Edge: edge, Every: every, Interval: every, Mutual: true}})
						}
					}
					beats(10 * time.Second)
					seq, edge = seq+slept, edge+slept
					beats(awake)
					if got := a.state("n01"); got != cluster.StateUp {
						t.Fatalf("it is %v while it beats; dropped %v", got, a.Stats().Dropped)
					}
					// From the last heartbeat on it is 0.125 s more.
					if took := w.within(time.Minute, "down", func() bool { return a.state("n01") == cluster.StateDown }); took > 450*time.Millisecond {
						t.Errorf("down %v after it died", took)
					}
				})
			})
		}
	}
}
