//go:build unix

package detector

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var crowds = []int{1_000, 100_000, 1_000_000}

// crowd is a detector with many peers, all of which have been heard, and their names in random order.
func crowd(b *testing.B, n int) (*Detector[string], []string) {
	d, err := New[string](Config{Interval: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { d.Close() })
	names := make([]string, n)
	for i, j := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
		names[i] = fmt.Sprintf("10.%d.%d.%d:7946", j>>16, j>>8&255, j&255)
	}
	for _, name := range names {
		if err := d.Watch(name, 0); err != nil {
			b.Fatal(err)
		}
		d.HeartbeatSeq(name, 1)
	}
	rand.New(rand.NewPCG(3, 4)).Shuffle(n, func(i, j int) { names[i], names[j] = names[j], names[i] })
	return d, names
}

// One goroutine reports numbered heartbeats of all peers, again and again in random order.
func BenchmarkHeartbeatSeq(b *testing.B) {
	for _, n := range crowds {
		b.Run(fmt.Sprintf("peers=%d", n), func(b *testing.B) {
			d, names := crowd(b, n)
			b.ReportAllocs()
			b.ResetTimer()
			defer reportCPU(b, cpuTime())
			for i := range b.N {
				d.HeartbeatSeq(names[i%n], uint64(2+i/n))
			}
		})
	}
}

// The same from as many goroutines as there are processors: time is per heartbeat of all of them together.
func BenchmarkHeartbeatSeqParallel(b *testing.B) {
	for _, n := range crowds {
		b.Run(fmt.Sprintf("peers=%d", n), func(b *testing.B) {
			d, names := crowd(b, n)
			var workers atomic.Int64
			b.ResetTimer()
			defer reportCPU(b, cpuTime())
			b.RunParallel(func(pb *testing.PB) {
				i := int(workers.Add(1)) * n / runtime.GOMAXPROCS(0)
				for seq := uint64(2); pb.Next(); i++ {
					if i >= n {
						i, seq = 0, seq+1
					}
					d.HeartbeatSeq(names[i], seq)
				}
			})
		})
	}
}

// The same in batches of a hundred, as from a forwarder: time is per heartbeat.
func BenchmarkBatch(b *testing.B) {
	for _, n := range crowds {
		b.Run(fmt.Sprintf("peers=%d", n), func(b *testing.B) {
			d, names := crowd(b, n)
			const batch = 100
			beats := make([]Beat[string], batch)
			b.ReportAllocs()
			b.ResetTimer()
			defer reportCPU(b, cpuTime())
			for i := 0; i < b.N; i += batch {
				for j := range beats {
					beats[j] = Beat[string]{ID: names[(i+j)%n], Seq: uint64(2 + (i+j)/n)}
				}
				d.Batch(beats)
			}
		})
	}
}

// One look of a shard's schedule: the next peer in time comes out and goes back in, one to three seconds later.
func BenchmarkSchedule(b *testing.B) {
	for _, n := range crowds {
		b.Run(fmt.Sprintf("peers=%d", n), func(b *testing.B) {
			var r roster[int]
			s := schedule[int]{peers: &r}
			random := rand.New(rand.NewPCG(1, 2))
			for i := range n {
				p := r.add(random.Uint64(), peer[int]{id: i})
				s.set(p, instant(random.Int64N(2*int64(time.Second))))
			}
			b.ReportAllocs()
			b.ResetTimer()
			defer reportCPU(b, cpuTime())
			for range b.N {
				now := s.next()
				s.set(s.due(now), now.add(time.Second+time.Duration(random.Int64N(2*int64(time.Second)))))
			}
		})
	}
}

// What a watched peer costs in memory, without its name.
func BenchmarkMemory(b *testing.B) {
	for _, n := range crowds {
		b.Run(fmt.Sprintf("peers=%d", n), func(b *testing.B) {
			names := make([]string, n)
			for i := range names {
				names[i] = fmt.Sprintf("10.%d.%d.%d:7946", i>>16, i>>8&255, i&255)
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
