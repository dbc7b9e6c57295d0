package detector

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// process is a process that can be stopped, in virtual time: whoever reads the clock while it is stopped does not get
// further until it goes on, as with SIGSTOP. Timers that fire meanwhile, and what waits in sockets, find it
// later, all at once and in any order.
type process struct {
	mu   sync.Mutex
	gate chan struct{} // nil: it runs
}

func (p *process) clock(epoch time.Time) func() instant {
	return func() instant {
		p.mu.Lock()
		gate := p.gate
		p.mu.Unlock()
		if gate != nil {
			<-gate
		}
		return instant(time.Since(epoch))
	}
}

func (p *process) stopFor(d time.Duration) {
	p.mu.Lock()
	p.gate = make(chan struct{})
	p.mu.Unlock()
	time.Sleep(d)
	p.mu.Lock()
	close(p.gate)
	p.gate = nil
	p.mu.Unlock()
}

// hall is a detector in a process of its own, and peers that beat outside of it, over a socket whose buffer holds so many
// heartbeats and drops the rest.
type hall struct {
	*testing.T
	process
	*Detector[int]
	start  time.Time
	socket chan heartbeat
	stops  []chan struct{} // closed when that peer dies
	events inbox[int]
}

type heartbeat struct {
	id  int
	seq uint64
}

func inHall(t *testing.T, cfg Config, peers int, interval time.Duration, buffer int, f func(h *hall)) {
	synctest.Test(t, func(t *testing.T) {
		h := &hall{T: t, start: time.Now(), socket: make(chan heartbeat, buffer)}
		var err error
		if h.Detector, err = newDetector[int](cfg, h.start, h.clock(h.start)); err != nil {
			t.Fatal(err)
		}
		go h.events.collect(h.Events(t.Context()))
		go func() { // the reader, inside the process
			for b := range h.socket {
				h.HeartbeatSeq(b.id, b.seq)
			}
		}()
		for id := range peers {
			if err := h.Watch(id, interval); err != nil {
				t.Fatal(err)
			}
			stop := make(chan struct{})
			h.stops = append(h.stops, stop)
			go func() { // a peer, outside of it
				time.Sleep(interval * time.Duration(id) / time.Duration(peers))
				ticker := time.NewTicker(interval)
				defer ticker.Stop()
				for seq := uint64(1); ; seq++ {
					select {
					case <-stop:
						return
					case <-ticker.C:
					}
					select {
					case h.socket <- heartbeat{id, seq}:
					default: // the buffer is full
					}
				}
			}()
		}
		f(h)
		for id := range h.stops {
			h.kill(id)
		}
		synctest.Wait()
		close(h.socket)
		h.Detector.Close()
	})
}

func (h *hall) kill(id int) {
	select {
	case <-h.stops[id]:
	default:
		close(h.stops[id])
	}
}

// take returns the events so far that f wants, and forgets all.
func (h *hall) take(f func(e Event[int]) bool) []Event[int] {
	return slices.DeleteFunc(h.events.take(math.MaxInt), func(e Event[int]) bool { return !f(e) })
}

func isDown(e Event[int]) bool  { return e.To == Down }
func isDoubt(e Event[int]) bool { return e.To >= Suspect }

// A process with many beating peers is stopped. Nobody is called down or even suspect for it, neither at once nor
// later, whether the heartbeats that came meanwhile are all there or most were dropped, and wherever in the interval it
// happens. A peer that died in the pause is found as soon as one that dies at any time.
func TestPausedProcessCallsNobodyDown(t *testing.T) {
	const interval, victim = time.Second, 42
	test := func(peers, buffer int, phase, pause, normal time.Duration) {
		t.Run(fmt.Sprintf("peers=%d/buffer=%d/phase=%v/pause=%v", peers, buffer, phase, pause), func(t *testing.T) {
			inHall(t, Config{}, peers, interval, buffer, func(h *hall) {
				time.Sleep(20*interval + phase)
				if got := h.take(isDoubt); len(got) > 0 {
					t.Fatalf("before the pause: %+v", got[0])
				}
				go func() {
					time.Sleep(pause / 2)
					h.kill(victim)
				}()
				h.stopFor(pause)
				resumed := time.Now()
				time.Sleep(normal + interval)
				found := false
				for _, e := range h.take(isDoubt) {
					if e.ID != victim {
						t.Fatalf("%v after the pause: %+v", e.At.Sub(resumed), e)
					}
					if e.To == Down {
						found = true
						if after := e.At.Sub(resumed); after > normal {
							t.Errorf("the victim was found %v after the pause, want within %v", after, normal)
						}
					}
				}
				if !found {
					t.Error("the victim was not found")
				}
			})
		})
	}
	normal := detectionTime(t, Config{}, interval)
	test(1000, 270, 500*time.Millisecond, 10*time.Second, normal)
	for _, buffer := range []int{10_000, 27} {
		for _, phase := range []time.Duration{0, time.Millisecond, 249 * time.Millisecond, 777 * time.Millisecond} {
			for _, pause := range []time.Duration{10 * time.Second, 1500 * time.Millisecond, 600 * time.Millisecond} {
				test(100, buffer, phase, pause, normal)
			}
		}
	}
}

// detectionTime is how long it takes from the last heartbeat of a peer, known for 18 intervals, until it is down.
func detectionTime(t *testing.T, cfg Config, interval time.Duration) (took time.Duration) {
	inHall(t, cfg, 1, interval, 10, func(h *hall) {
		time.Sleep(18*interval + interval/2)
		h.kill(0)
		died := h.start.Add(18 * interval)
		time.Sleep(time.Hour)
		downs := h.take(isDown)
		if len(downs) != 1 {
			t.Fatalf("%d downs of one that died", len(downs))
		}
		took = downs[0].At.Sub(died)
	})
	return took
}

// A pause teaches nothing about the peers: afterwards they are found as fast as before it.
func TestPauseTeachesNothing(t *testing.T) {
	cfg := Config{}
	normal := detectionTime(t, cfg, time.Second)
	inHall(t, cfg, 10, time.Second, 1000, func(h *hall) {
		time.Sleep(20 * time.Second)
		h.stopFor(10 * time.Second)
		time.Sleep(10*time.Second + 950*time.Millisecond)
		for id := range 10 {
			h.kill(id)
		}
		died := time.Now()
		time.Sleep(time.Hour)
		downs := h.take(isDown)
		if len(downs) != 10 {
			t.Fatalf("%d downs of 10 that died", len(downs))
		}
		for _, e := range downs {
			if took := e.At.Sub(died); took > normal*21/20 {
				t.Errorf("%d was found after %v, want %v", e.ID, took, normal)
			}
		}
	})
}

// A machine that stops the process again and again, for a short while or a long one, neither makes live peers look dead
// nor keeps a dead one up for ever.
func TestPausedAgainAndAgain(t *testing.T) {
	for _, c := range []struct{ run, stop time.Duration }{
		{240 * time.Millisecond, 20 * time.Millisecond},
		{400 * time.Millisecond, 200 * time.Millisecond},
		{1300 * time.Millisecond, 700 * time.Millisecond},
		{1700 * time.Millisecond, 5 * time.Second},
	} {
		t.Run(fmt.Sprintf("run=%v/stop=%v", c.run, c.stop), func(t *testing.T) {
			inHall(t, Config{}, 100, time.Second, 20, func(h *hall) {
				time.Sleep(20 * time.Second)
				const victim = 7
				h.kill(victim)
				for until := time.Now().Add(5 * time.Minute); time.Now().Before(until); {
					time.Sleep(c.run)
					h.stopFor(c.stop)
				}
				found := false
				for _, e := range h.take(isDown) {
					if e.ID != victim {
						t.Fatalf("%+v", e)
					}
					found = true
				}
				if !found {
					t.Error("the victim was never found")
				}
			})
		})
	}
}

// A heartbeat can be what ends a pause: it is there before the timer's goroutine is, and its silence is put right before
// it counts.
func TestFirstThingAfterAPauseIsAHeartbeat(t *testing.T) {
	inHall(t, Config{}, 0, time.Second, 0, func(h *hall) {
		h.Watch(1, 0)
		h.Watch(2, 0)
		for range 10 {
			h.Heartbeat(1)
			h.Heartbeat(2)
			time.Sleep(time.Second)
		}
		h.take(isDown)
		h.Detector.Close() // now there is no timer but this test's

		e := ear{tick: 250 * time.Millisecond}
		e.look(0, nil)
		e.promise(0, instant(time.Second))
		now := instant(10 * time.Second)
		if !e.overdue(now) {
			t.Fatal("a look that is 9.75 s late is not overdue")
		}
		var from, to instant
		e.look(now, func(f, t instant) { from, to = f, t })
		if from != 0 || to != now {
			t.Errorf("the pause is from %v to %v", time.Duration(from), time.Duration(to))
		}
		if e.overdue(now) || instant(e.ready.Load()).sub(now) != e.tick {
			t.Error("after the look the promise is not renewed, or judgement not put off by a tick")
		}
	})
}

func TestNobodyWatchedNothingTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		epoch, looks := time.Now(), new(atomic.Int64)
		d, _ := newDetector[int](Config{}, epoch, func() instant { looks.Add(1); return instant(time.Since(epoch)) })
		defer d.Close()
		synctest.Wait()
		d.Watch(1, 0)
		d.Heartbeat(1)
		time.Sleep(time.Hour) // it is down
		looks.Store(0)
		time.Sleep(24 * time.Hour)
		if n := looks.Load(); n > 0 {
			t.Errorf("%d looks at the clock with nobody left to judge", n)
		}
		d.Heartbeat(1)
		time.Sleep(time.Minute)
		if state, _ := d.State(1); state != Down {
			t.Error("it does not judge again")
		}
	})
}

// Time is looked at a few times an interval, however many peers there are and however often they beat.
func TestTicksAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		epoch, looks := time.Now(), new(atomic.Int64)
		d, _ := newDetector[int](Config{}, epoch, func() instant { looks.Add(1); return instant(time.Since(epoch)) })
		defer d.Close()
		d.Watch(1, 0)
		for range 100 {
			d.Heartbeat(1)
			time.Sleep(time.Second)
		}
		// 4 ticks and 1 deadline a second, each with one look for every shard and one to set the timer; and the heartbeats.
		if n, limit := int(looks.Load()), 100*(6*(len(d.shards)+1)+1); n > limit {
			t.Errorf("%d looks at the clock in 100 s, want at most %d", n, limit)
		}
	})
}
