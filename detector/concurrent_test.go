package detector

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/phiaccrual"
)

// estimator returns a copy of what is known of a watched peer's heartbeats.
func estimator[K comparable](d *Detector[K], id K) (est phiaccrual.Estimator) {
	d.see(id, func(_ *shard[K], p *peer[K]) { est = p.est })
	return est
}

// A peer that was found without the shard's lock may be forgotten before its own lock is had, and its number given to
// another, who must not be taken for it.
func TestPeerWhoseNumberIsAnothers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := New[int](Config{})
		defer d.Close()
		const old = 0
		s, hash := d.shard(old)
		next := 1
		for {
			if other, _ := d.shard(next); other == s {
				break
			}
			next++
		}
		d.Watch(old, 0)
		d.Heartbeat(old)
		guess := s.peers.guess(hash)
		beat := func() bool {
			time.Sleep(time.Second)
			now := d.listen()
			_, watched := d.beat(s, hash, old, guess, now, now, nil)
			return watched
		}
		seen := func() (id int) {
			id = -1
			s.see(hash, old, guess, func(_ *shard[int], p *peer[int]) { id = p.id })
			return id
		}
		if !beat() || seen() != old {
			t.Fatal("a watched peer is not found")
		}

		d.Forget(old)
		if beat() || seen() != -1 {
			t.Error("a forgotten peer is watched")
		}
		d.Watch(next, 0)
		d.Heartbeat(next)
		if guess.id != next {
			t.Fatalf("the number is %d's, want %d's", guess.id, next)
		}
		before := estimator(d, next)
		if beat() || seen() != -1 || estimator(d, next) != before {
			t.Error("a heartbeat of a forgotten peer is another's")
		}

		t.Log("Watched again under another number, it is found all the same.")
		d.Watch(old, 0)
		d.Heartbeat(old)
		mine := estimator(d, old)
		if !beat() || seen() != old || estimator(d, next) != before || estimator(d, old) == mine {
			t.Error("a heartbeat is not its peer's")
		}
		t.Log("And also if there was nothing to be found.")
		mine, guess = estimator(d, old), nil
		if !beat() || seen() != old || estimator(d, old) == mine {
			t.Error("a heartbeat of a peer that was overlooked is lost")
		}
	})
}

// Whatever others do, a peer is found by everybody once Watch has returned: while the index and the chunks grow, and
// while words in the index move because others are forgotten.
func TestWatchedPeersAreFoundWhileOthersComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := New[int](Config{})
		defer d.Close()
		const peers = 3000
		var watched atomic.Int64
		var all sync.WaitGroup
		all.Go(func() {
			for id := range peers {
				d.Watch(id, 0)
				watched.Store(int64(id + 1))
			}
		})
		all.Go(func() {
			for id := -50; watched.Load() < peers; id-- {
				d.Watch(id, 0)
				d.Forget(id + 49)
			}
		})
		for r := range 2 {
			all.Go(func() {
				random := rand.New(rand.NewPCG(uint64(r), 2))
				for n := 0; n < peers; n = int(watched.Load()) {
					if n == 0 {
						runtime.Gosched()
						continue
					}
					id := n - 1
					if random.IntN(2) == 0 {
						id = random.IntN(n)
					}
					_, state := d.State(id)
					if !state || !d.Heartbeat(id) || d.Batch([]Beat[int]{{ID: id}}) != 1 {
						t.Errorf("%d of %d is not found", id, n)
						return
					}
				}
			})
		}
		all.Wait()
	})
}

// Everybody does everything at once, as fast as they can. Who watches a peer sees what follows from that, whatever
// happens to others: it is found until it is forgotten and never after, and nobody else's heartbeats are taken for its.
func TestOwnersSeeWhatTheyDid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const owners, own, steps = 4, 6, 500
		d, _ := New[int](Config{})
		var readers, working, busy sync.WaitGroup
		var done atomic.Bool
		events := d.Events(t.Context())
		readers.Go(func() {
			last := map[int]State{}
			for e := range events {
				if e.From != last[e.ID] && e.From != Unknown { // it was forgotten and watched again
					t.Errorf("%d was %v, and now came from %v to %v", e.ID, last[e.ID], e.From, e.To)
				}
				last[e.ID] = e.To
			}
		})
		for o := range owners {
			working.Go(func() {
				random := rand.New(rand.NewPCG(uint64(o), 3))
				for range steps {
					shared := o*own + random.IntN(own)
					private := -1 - shared // of which only we report heartbeats
					if d.Watch(shared, 0) != nil || d.Watch(private, 0) != nil {
						t.Error("a peer is watched before")
					}
					d.HeartbeatSeq(private, 1)
					private1 := estimator(d, private)
					for range 5 {
						if _, ok := d.State(shared); !ok || !d.Heartbeat(shared) {
							t.Error("a watched peer is not found")
						}
						if random.IntN(3) == 0 && !d.Restart(shared) {
							t.Error("a watched peer cannot restart")
						}
					}
					if state, ok := d.State(private); state != Up || !ok || estimator(d, private) != private1 {
						t.Errorf("a peer that was heard once is %v (%t), and heard otherwise", state, ok)
					}
					if !d.Forget(shared) || !d.Forget(private) {
						t.Error("a watched peer is not there to be forgotten")
					}
					for _, id := range []int{shared, private} {
						if _, ok := d.State(id); ok || d.Heartbeat(id) || d.Phi(id) != 0 {
							t.Error("a forgotten peer is found")
						}
					}
				}
			})
		}
		for o := range 2 {
			busy.Go(func() {
				random := rand.New(rand.NewPCG(uint64(o), 4))
				for !done.Load() {
					for range 3 {
						id := random.IntN(owners * own)
						d.Heartbeat(id)
						d.Batch([]Beat[int]{{ID: id}, {ID: (id + 1) % (owners * own), Age: time.Millisecond}})
						d.Alive(id, time.Now())
						d.Phi(id)
					}
					d.SetInterval(random.IntN(owners*own), time.Duration(1+random.IntN(5))*time.Second)
					d.SetThresholds(1+random.Float64(), 2)
					d.skip(d.now(), d.now())
					runtime.Gosched()
				}
			})
		}
		working.Wait()
		done.Store(true)
		busy.Wait()
		for i := range d.shards {
			if n := d.shards[i].peers.count; n != 0 {
				t.Errorf("%d peers are left in shard %d", n, i)
			}
		}
		d.Close()
		readers.Wait()
	})
}
