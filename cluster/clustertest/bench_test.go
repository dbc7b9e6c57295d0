package clustertest_test

import (
	"flag"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/cluster/clustertest"
)

var (
	members = flag.Int("members", 30, "members of TestManyMembers")
	minutes = flag.Int("minutes", 1, "virtual minutes that TestManyMembers runs after forming")
)

// TestManyMembers forms a large cluster of plain memberlist and reports what
// its virtual time costs. A benchmark cannot have a bubble, hence the flags:
//
//	go test ./cluster/clustertest -run TestManyMembers -v -args -members=100 -minutes=3
func TestManyMembers(t *testing.T) {
	wall := wallClock(t)
	start := wall()
	var formed, ran time.Duration
	var c clustertest.Counters
	synctest.Test(t, func(t *testing.T) {
		r, stop := newRing(t, *members, clustertest.Options{Seed: 3})
		defer stop()
		formed = wall().Sub(start)
		r.network.ResetCounters()
		time.Sleep(time.Duration(*minutes) * time.Minute)
		c = r.network.Totals()
		ran = wall().Sub(start) - formed
		r.wantNoneLeft()
		if c.Dropped() != (clustertest.Traffic{}) {
			t.Errorf("on a quiet LAN packets were dropped: %+v", c)
		}
	})
	perNode := float64(*members) * float64(*minutes) * 60
	t.Logf("%d members: formed in %v, %d virtual minutes in %v; %.2f packets and %.0f bytes per node and second",
		*members, formed.Round(time.Millisecond), *minutes, ran.Round(time.Millisecond),
		float64(c.Sent.Packets)/perNode, float64(c.Sent.Bytes)/perNode)
}

// wallClock returns a clock that a bubble does not fake: it asks a goroutine
// outside.
func wallClock(t *testing.T) func() time.Time {
	ask, answer := make(chan struct{}), make(chan time.Time)
	go func() {
		for range ask {
			answer <- time.Now()
		}
	}()
	t.Cleanup(func() { close(ask) })
	return func() time.Time {
		ask <- struct{}{}
		return <-answer
	}
}

// BenchmarkPacket is one packet from its sender to its reader, in real time.
func BenchmarkPacket(b *testing.B) {
	for name, delay := range map[string]clustertest.Delay{"now": clustertest.Constant(0), "lan": {}} {
		b.Run(name, func(b *testing.B) {
			network, err := clustertest.New(clustertest.Options{Link: clustertest.Link{Delay: delay}})
			if err != nil {
				b.Fatal(err)
			}
			defer network.Close()
			from, _ := network.Transport("")
			to, _ := network.Transport("")
			buf := make([]byte, 100)
			b.ReportAllocs()
			// Half a queue in flight at most, so that nothing is dropped.
			flying := 0
			for b.Loop() {
				if _, err := from.WriteTo(buf, to.Addr()); err != nil {
					b.Fatal(err)
				}
				for flying++; flying == 512; flying-- {
					<-to.PacketCh()
				}
			}
		})
	}
}
