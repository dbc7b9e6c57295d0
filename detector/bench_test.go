//go:build unix

package detector

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// order is the order in which the heartbeats of a crowd come.
type order string

const (
	// arrival: that in which the peers were watched, each at a random moment within a hundredth of the round before or
	// after its own. So it is for a monitor that watches peers when it first hears of them, and hears them every interval.
	arrival order = "arrival"
	// random: a fresh shuffle, which has nothing to do with where peers lie in memory.
	random order = "random"
)

// crowd is a detector with many peers, all of which have been heard, and the ids of a round of heartbeats. As if they came
// out of packets, the ids are not those that were watched but equal, and their bytes lie in the order of the round.
func crowd(b *testing.B, n int, o order) (*Detector[string], []string) {
	d, err := New[string](Config{Interval: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { d.Close() })
	for i := range n {
		if err := d.Watch(name(i), 0); err != nil {
			b.Fatal(err)
		}
		d.HeartbeatSeq(name(i), 1)
	}
	r := rand.New(rand.NewPCG(3, 4))
	round := r.Perm(n)
	if o == arrival {
		at := make([]float64, n)
		for i := range n {
			round[i], at[i] = i, float64(i)+float64(n)/100*r.Float64()
		}
		slices.SortFunc(round, func(i, j int) int { return cmp.Compare(at[i], at[j]) })
	}
	var bytes strings.Builder
	for _, i := range round {
		bytes.WriteString(name(i))
	}
	names, rest := make([]string, n), bytes.String()
	for j, i := range round {
		names[j], rest = rest[:len(name(i))], rest[len(name(i)):]
	}
	runtime.GC() // or else the detector's own garbage is collected while the clock runs
	return d, names
}

func name(i int) string { return fmt.Sprintf("10.%d.%d.%d:7946", i>>16, i>>8&255, i&255) }

func crowds(b *testing.B, f func(b *testing.B, n int, o order)) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		for _, o := range []order{arrival, random} {
			b.Run(fmt.Sprintf("peers=%d/order=%s", n, o), func(b *testing.B) { f(b, n, o) })
		}
	}
}

// One goroutine reports unnumbered heartbeats of all peers, round after round.
func BenchmarkHeartbeat(b *testing.B) {
	crowds(b, func(b *testing.B, n int, o order) {
		d, names := crowd(b, n, o)
		b.ReportAllocs()
		b.ResetTimer()
		defer reportCPU(b, cpuTime())
		for i := range b.N {
			d.Heartbeat(names[i%n])
		}
	})
}

// The same, numbered.
func BenchmarkHeartbeatSeq(b *testing.B) {
	crowds(b, func(b *testing.B, n int, o order) {
		d, names := crowd(b, n, o)
		b.ReportAllocs()
		b.ResetTimer()
		defer reportCPU(b, cpuTime())
		for i := range b.N {
			d.HeartbeatSeq(names[i%n], uint64(2+i/n))
		}
	})
}

// Two goroutines report heartbeats of half of the peers each. ratio is how much more they do in a second than one, which
// tells nothing while the machine is busy with other work; cpu-ratio is twice the processor time that a heartbeat costs one,
// over that which it costs two, and so leaves out what others do, but for the caches.
func BenchmarkTwoGoroutines(b *testing.B) {
	crowds(b, func(b *testing.B, n int, o order) {
		d, names := crowd(b, n, o)
		beat := func(from, to, times int) {
			for i := range times {
				d.Heartbeat(names[from+i%(to-from)])
			}
		}
		b.ResetTimer()
		cpu, wall := cpuTime(), time.Now()
		beat(0, n, b.N)
		cpu1, wall1 := cpuTime()-cpu, time.Since(wall)
		cpu, wall = cpuTime(), time.Now()
		var two sync.WaitGroup
		two.Go(func() { beat(0, n/2, b.N) })
		two.Go(func() { beat(n/2, n, b.N) })
		two.Wait()
		cpu2, wall2 := cpuTime()-cpu, time.Since(wall)
		b.ReportMetric(2*wall1.Seconds()/wall2.Seconds(), "ratio")
		b.ReportMetric(4*cpu1.Seconds()/cpu2.Seconds(), "cpu-ratio")
		b.ReportMetric(0, "ns/op")
	})
}

// The same in batches of a hundred, as from a forwarder: time is per heartbeat.
func BenchmarkBatch(b *testing.B) {
	crowds(b, func(b *testing.B, n int, o order) {
		d, names := crowd(b, n, o)
		beats := make([]Beat[string], 100)
		b.ReportAllocs()
		b.ResetTimer()
		defer reportCPU(b, cpuTime())
		for i := 0; i < b.N; i += len(beats) {
			for j := range beats {
				beats[j] = Beat[string]{ID: names[(i+j)%n], Seq: uint64(2 + (i+j)/n)}
			}
			d.Batch(beats)
		}
	})
}

// The look at one peer: it comes out of the schedule, its deadline is computed, and it goes back in, one to three seconds
// ahead.
func BenchmarkLook(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("peers=%d", n), func(b *testing.B) {
			d, err := New[int](Config{})
			if err != nil {
				b.Fatal(err)
			}
			defer d.Close()
			var s shard[int]
			s.init(d.shards[0].rules, d.hub)
			r := rand.New(rand.NewPCG(1, 2))
			somewhen := func() time.Duration { return time.Second + time.Duration(r.Int64N(int64(2*time.Second))) }
			for i := range n {
				p := s.peers.add(r.Uint64())
				p.id, p.est, p.interval = i, d.proto, time.Second
				p.beat(&s.rules, 0, 0, 0, nil)
				s.change(p, Up, 0)
				s.await(p, instant(somewhen()), 0)
			}
			b.ReportAllocs()
			b.ResetTimer()
			defer reportCPU(b, cpuTime())
			for range b.N {
				now := s.schedule.next()
				p := s.due(now)
				if p.deadline(&s.rules) == never {
					b.Fatal("it is not judged")
				}
				s.await(p, now.add(somewhen()), now)
			}
		})
	}
}

// The schedule's part of it.
func BenchmarkSchedule(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("peers=%d", n), func(b *testing.B) {
			s := newSchedule()
			r := rand.New(rand.NewPCG(1, 2))
			for i := range n {
				s.add(entry{instant(r.Int64N(2 * int64(time.Second))), number(i)})
			}
			b.ReportAllocs()
			b.ResetTimer()
			defer reportCPU(b, cpuTime())
			for range b.N {
				now := s.next()
				e, _ := s.take(now)
				s.add(entry{now.add(time.Second + time.Duration(r.Int64N(2*int64(time.Second)))), e.number})
			}
		})
	}
}

// What a watched peer costs in memory, without its name.
func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("peers=%d", n), func(b *testing.B) {
			names := make([]string, n)
			for i := range names {
				names[i] = name(i)
			}
			for range b.N {
				before := heap()
				d, err := New[string](Config{Interval: time.Hour})
				if err != nil {
					b.Fatal(err)
				}
				for _, name := range names {
					d.Watch(name, 0)
					d.HeartbeatSeq(name, 1)
				}
				b.ReportMetric(float64(heap()-before)/float64(n), "B/peer")
				d.Close()
			}
		})
	}
}

// cpuTime is the processor time that this process has used. Unlike the time on the wall, it does not measure what else
// the machine is doing, but for the caches.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func reportCPU(b *testing.B, since time.Duration) {
	b.ReportMetric(float64(cpuTime()-since)/float64(b.N), "cpu-ns/op")
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
