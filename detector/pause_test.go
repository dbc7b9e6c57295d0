package detector

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/phiaccrual"
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

// A pause teaches nothing about the peers: afterwards φ grows as it did before, whatever was made of the backlog.
func TestPauseTeachesNothing(t *testing.T) {
	for _, model := range []phiaccrual.Model{phiaccrual.Calibrated, phiaccrual.Normal, phiaccrual.Exponential} {
		for _, buffer := range []int{1000, 5} { // the backlog is read, or mostly dropped
			t.Run(fmt.Sprintf("%v/buffer=%d", model, buffer), func(t *testing.T) {
				inHall(t, Config{Model: model}, 10, time.Second, buffer, func(h *hall) {
					reaches := func(id int) (silence [10]time.Duration) {
						h.see(id, func(s *shard[int], p *peer[int]) {
							for i := range silence {
								silence[i] = p.instant(&s.rules, p.est.Reaches(float64(i+1))).sub(p.base(&s.rules))
							}
						})
						return silence
					}
					const warm = 101 * time.Second
					time.Sleep(warm)
					var before [10][10]time.Duration
					for id := range before {
						before[id] = reaches(id)
					}
					h.stopFor(10*time.Second + 300*time.Millisecond)
					time.Sleep(10 * time.Second)
					for id := range before {
						for i, after := range reaches(id) {
							if ratio := float64(after) / float64(before[id][i]); ratio < 0.9 || ratio > 1.01 {
								t.Errorf("%d: φ = %d after %v, and after %v before the pause", id, i+1, after, before[id][i])
							}
						}
					}
				})
			})
		}
	}
}

// A pause does not use up the time that a peer has for its first heartbeat.
func TestPauseBeforeTheFirstHeartbeat(t *testing.T) {
	inHall(t, Config{}, 0, time.Second, 0, func(h *hall) {
		h.Watch(1, 0)
		time.Sleep(4 * time.Second)
		h.stopFor(20 * time.Second)
		resumed := time.Now()
		time.Sleep(time.Minute)
		downs := h.take(isDown)
		if len(downs) != 1 {
			t.Fatalf("%d downs, want 1", len(downs))
		}
		// Of ten intervals, four were over; the pause is known to within a quarter of one.
		if after := downs[0].At.Sub(resumed); after < 6*time.Second || after > 6250*time.Millisecond {
			t.Errorf("down %v after the pause, want 6 s and up to a tick", after)
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
			inHall(t, Config{}, 20, time.Second, 4, func(h *hall) {
				time.Sleep(20 * time.Second)
				const victim = 7
				h.kill(victim)
				for until := time.Now().Add(2 * time.Minute); time.Now().Before(until); {
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

// A heartbeat can be what ends a pause: it is there before the timer's goroutine is, and silence is put right before it
// counts. What waited in the queue is a sign of life and no sample.
func TestFirstThingAfterAPauseIsAHeartbeat(t *testing.T) {
	inHall(t, Config{}, 0, time.Second, 0, func(h *hall) {
		h.Watch(1, 0)
		h.Watch(2, 0)
		for seq := range uint64(20) {
			time.Sleep(time.Second)
			h.HeartbeatSeq(1, seq)
			h.HeartbeatSeq(2, seq)
		}
		h.take(isDoubt)
		before := estimator(h.Detector, 1)

		loop := make(chan struct{})
		h.mu.Lock()
		h.gate = loop
		h.mu.Unlock()
		time.Sleep(10 * time.Second)
		synctest.Wait() // the loop's timer has long fired, and the loop hangs
		h.mu.Lock()
		h.gate = nil // for all but the loop
		h.mu.Unlock()
		for seq := range uint64(10) {
			h.HeartbeatSeq(1, 20+seq)
		}
		if phi := h.Phi(1); phi != 0 {
			t.Errorf("φ = %v of a peer heard just now", phi)
		}
		if phi := h.Phi(2); phi != 0 {
			t.Errorf("φ = %v of one that could not be heard", phi)
		}
		for seq := range uint64(10) { // what is known is their numbers
			before.HeartbeatSeq(before.Reaches(0), 20+seq)
		}
		if after := estimator(h.Detector, 1); !reflect.DeepEqual(after, before) {
			t.Errorf("the queue was learnt from:\n%+v\nwas\n%+v", after, before)
		}
		close(loop)
		time.Sleep(900 * time.Millisecond)
		if got := h.take(isDoubt); len(got) > 0 {
			t.Errorf("%+v", got)
		}
	})
}

// Old numbers are no sign of life after a pause either, be they from before it, from the queue or overtaken.
func TestOldNumbersAfterAPause(t *testing.T) {
	inHall(t, Config{}, 0, time.Second, 0, func(h *hall) {
		h.Watch(1, 0)
		for seq := range uint64(20) {
			time.Sleep(time.Second)
			h.HeartbeatSeq(1, seq+1)
		}
		old := func(numbers ...uint64) {
			t.Helper()
			time.Sleep(2500 * time.Millisecond)
			before := h.Phi(1)
			if before < 1 {
				t.Fatalf("φ = %v after a silence", before)
			}
			for _, seq := range numbers {
				h.HeartbeatSeq(1, seq)
				if after := h.Phi(1); after != before {
					t.Errorf("number %d takes φ from %v to %v", seq, before, after)
				}
			}
		}
		time.Sleep(100 * time.Millisecond)
		h.stopFor(10 * time.Second)
		old(20, 7)
		h.stopFor(10 * time.Second)
		h.HeartbeatSeq(1, 21)
		h.HeartbeatSeq(1, 30)
		old(30, 25, 21, 20)
		h.HeartbeatSeq(1, 33)
		if phi := h.Phi(1); phi != 0 {
			t.Errorf("φ = %v of a peer heard just now", phi)
		}
		old(33, 25, 30)
	})
}

func TestEar(t *testing.T) {
	const ms = instant(time.Millisecond)
	for name, c := range map[string]struct {
		promise, look instant // after a look at 1000 ms
		ready         instant // judge no earlier; 0: no change
		paused        bool
	}{
		"on time after a short sleep":                {1005 * ms, 1005 * ms, 0, false},
		"a little late after a short sleep":          {1005 * ms, 1010 * ms, 0, false},
		"on time after a long sleep":                 {1200 * ms, 1200 * ms, 1202*ms + ms/2, false},
		"a little late after a long sleep":           {1200 * ms, 1205 * ms, 1207*ms + ms/2, false},
		"early":                                      {1200 * ms, 1100 * ms, 1102*ms + ms/2, false},
		"late":                                       {1020 * ms, 1040 * ms, 1080 * ms, false},
		"so late that the backlog takes a tick":      {1200 * ms, 1300 * ms, 1550 * ms, false},
		"so late that silence has to be put right":   {1200 * ms, 1325 * ms, 2275 * ms, true},
		"very late":                                  {1200 * ms, 9000 * ms, 9950 * ms, true},
		"nothing was promised":                       {never, 9000 * ms, 9002*ms + ms/2, false},
		"promises never reach further than one tick": {9000 * ms, 1380 * ms, 2330 * ms, true},
	} {
		e := ear{tick: 250 * time.Millisecond}
		e.due.Store(int64(never))
		e.look(990*ms, nil)
		e.look(1000*ms, nil)
		e.ready.Store(0)
		e.promise(1000*ms, c.promise)
		paused := false
		now := c.look
		e.look(c.look, func(from, to instant) instant {
			paused = true
			if from != 1000*ms || to != c.look {
				t.Errorf("%s: a pause from %v to %v", name, time.Duration(from), time.Duration(to))
			}
			if ready := instant(e.ready.Load()); ready <= to {
				t.Errorf("%s: ready at %v while a pause up to %v is put right", name, time.Duration(ready), time.Duration(to))
			}
			now += 700 * ms // that is how long it takes to put right
			return now
		})
		if ready := instant(e.ready.Load()); ready != c.ready || paused != c.paused {
			t.Errorf("%s: ready at %v, paused %v; want %v, %v", name, time.Duration(ready), paused, time.Duration(c.ready), c.paused)
		}
		if e.overdue(now + ms) {
			t.Errorf("%s: overdue just after a look", name)
		}
	}
}

// A machine on which every timer is late judges all the same.
func TestAlwaysABitLate(t *testing.T) {
	const ms = instant(time.Millisecond)
	e := ear{tick: 250 * time.Millisecond}
	e.due.Store(int64(never))
	judged := 0
	for now := 30 * ms; now < 3000*ms; now += 30 * ms {
		e.look(now, func(_, to instant) instant { t.Fatal("a pause to put right"); return to })
		if now >= instant(e.ready.Load()) {
			judged++
		}
		e.promise(now, now+15*ms)
	}
	if judged < 25 {
		t.Errorf("of 99 looks, %d could judge, want a quarter at least", judged)
	}
}

// Putting a pause right takes a while among many peers. What was reported meanwhile was heard after that.
func TestHeartbeatThatPutsAPauseRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, loop := time.Now(), make(chan struct{})
		var stopped, slow atomic.Bool
		var reads atomic.Int64
		d, _ := newDetector[int](Config{}, start, func() instant {
			if stopped.Load() {
				<-loop
			}
			if slow.Load() && reads.Add(1) == 2 { // the one after the peers were put right
				time.Sleep(time.Second)
			}
			return instant(time.Since(start))
		})
		defer d.Close()
		d.Watch(1, 0)
		d.Heartbeat(1)
		synctest.Wait()
		stopped.Store(true)
		time.Sleep(10 * time.Second)
		synctest.Wait() // the loop hangs
		stopped.Store(false)
		slow.Store(true)
		d.Heartbeat(1)
		slow.Store(false)
		var silence time.Duration
		d.see(1, func(s *shard[int], p *peer[int]) { silence = instant(time.Since(start)).sub(p.base(&s.rules)) })
		if silence != 0 || time.Since(start) != 11*time.Second {
			t.Errorf("at %v: silence of %v just after a heartbeat", time.Since(start), silence)
		}
		close(loop)
	})
}

func TestSkip(t *testing.T) {
	const ms = instant(time.Millisecond)
	for name, c := range map[string]struct {
		from, to instant // after a heartbeat at 10 s, intervals of 1 s
		silence  time.Duration
	}{
		"a heartbeat was due":                      {10_900 * ms, 11_100 * ms, 0},
		"none was due":                             {10_100 * ms, 10_900 * ms, 900 * time.Millisecond},
		"many were due":                            {10_100 * ms, 30_000 * ms, 0},
		"one was missing already":                  {11_100 * ms, 30_000 * ms, time.Second},
		"three were missing already":               {13_900 * ms, 14_100 * ms, 3 * time.Second},
		"one was missing already and none was due": {11_100 * ms, 11_900 * ms, 1900 * time.Millisecond},
		"it began before the heartbeat":            {9_000 * ms, 11_100 * ms, 0},
	} {
		est, _ := phiaccrual.New(phiaccrual.Config{})
		p := peer[int]{est: *est, interval: time.Second}
		r := rules{epoch: time.Now()}
		seq := uint64(1)
		p.beat(&r, 10_000*ms, 10_000*ms, 0, &seq)
		p.skip(&r, c.from, c.to)
		if silence := c.to.sub(p.base(&r)); silence != c.silence {
			t.Errorf("%s: silence of %v after the pause, want %v", name, silence, c.silence)
		}
		p.restart(c.to)
		p.beat(&r, c.to+ms, c.to+ms, c.to+10*ms, &seq)
		if !p.heard || p.base(&r) != c.to+ms {
			t.Errorf("%s: restarted after the pause, it is not heard", name)
		}
	}
}

// A pause that is too short to put anything right puts judgement off all the same, until the heartbeat that waited has
// been read.
func TestShortPauseWaitsForTheQueue(t *testing.T) {
	inHall(t, Config{SuspectPhi: 2, DownPhi: 2, Model: phiaccrual.Normal}, 0, time.Second, 0, func(h *hall) {
		h.Watch(1, 0)
		for range 20 {
			h.Heartbeat(1)
			time.Sleep(time.Second)
		}
		h.Heartbeat(1) // judged 1.23 s from now
		time.Sleep(1150 * time.Millisecond)
		h.stopFor(100 * time.Millisecond)
		time.Sleep(20 * time.Millisecond)
		h.Heartbeat(1) // which had been in the queue
		time.Sleep(500 * time.Millisecond)
		if got := h.take(isDoubt); len(got) > 0 {
			t.Errorf("%+v", got[0])
		}
	})
}

func TestTickFitsTheShortestInterval(t *testing.T) {
	d, _ := New[int](Config{})
	defer d.Close()
	tickIs := func(after string, want time.Duration) {
		t.Helper()
		d.ear.mu.Lock()
		defer d.ear.mu.Unlock()
		if d.ear.tick != want {
			t.Errorf("after %s a tick is %v, want %v", after, d.ear.tick, want)
		}
	}
	for i, c := range []struct{ interval, tick time.Duration }{
		{time.Hour, time.Second},
		{time.Second, 250 * time.Millisecond},
		{100 * time.Millisecond, 25 * time.Millisecond},
		{time.Minute, 25 * time.Millisecond},
		{time.Millisecond, 10 * time.Millisecond},
	} {
		d.Watch(i, c.interval)
		tickIs(fmt.Sprintf("watching an interval of %v", c.interval), c.tick)
	}
	d.Watch(5, time.Millisecond)
	d.Forget(4)
	tickIs("forgetting one of two with the shortest", 10*time.Millisecond)
	d.SetInterval(5, 200*time.Millisecond)
	tickIs("the other's interval became longer", 25*time.Millisecond)
	d.Forget(2)
	tickIs("forgetting the next", 50*time.Millisecond)
	d.Forget(5)
	d.Forget(5)
	tickIs("forgetting the one after", 250*time.Millisecond)
	d.SetInterval(1, 0)
	tickIs("an interval that is none", 250*time.Millisecond)
	d.Forget(1)
	tickIs("forgetting all but the slow", time.Second)
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

// A peer that comes to be watched just when the loop is about to sleep for good, since all others are down, is judged.
func TestWatchedAsTheLastGoesDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 65 // more than are judged without a look at the clock
		var d *Detector[int]
		var others []int
		late, downs := -1, 0
		epoch, ready := time.Now(), new(atomic.Bool)
		clock := func() instant {
			if ready.Load() { // the loop's look, half-way through the last shard
				downs = 0
				for _, id := range others {
					if state, _ := d.State(id); state == Down {
						downs++
					}
				}
				if 0 < downs && downs < many {
					ready.Store(false)
					d.Watch(late, 0)
				}
			}
			return instant(time.Since(epoch))
		}
		d, _ = newDetector[int](Config{}, epoch, clock)
		defer d.Close()
		for id := 0; late < 0 || len(others) < many; id++ {
			s, _ := d.lock(id)
			s.mu.Unlock()
			switch {
			case s == &d.shards[0]:
				late = id
			case s == &d.shards[len(d.shards)-1] && len(others) < many:
				others = append(others, id)
				d.Watch(id, 0)
			}
		}
		synctest.Wait()
		ready.Store(true)
		time.Sleep(time.Minute)
		if state, watched := d.State(late); state != Down {
			t.Errorf("it is %v (watched: %v) after a minute", state, watched)
		}
	})
}

// A shard with a great deal to do does not keep the others waiting until it is done.
func TestShardsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 3 * turn * 64
		d, _ := New[int](Config{})
		defer d.Close()
		other, busy := -1, 0
		for id := 0; other < 0 || busy < many; id++ {
			s, _ := d.lock(id)
			s.mu.Unlock()
			switch {
			case s == &d.shards[0] && busy < many:
				d.Watch(id, 0)
				busy++
			case s == &d.shards[len(d.shards)-1] && other < 0:
				d.Watch(id, 0)
				other = id
			}
		}
		events := d.Events(t.Context())
		time.Sleep(11 * time.Second)
		d.Close()
		before, downs := -1, 0
		for e := range events {
			if e.ID == other {
				before = downs
			}
			downs++
		}
		if downs != many+1 || before < 0 || before > many/2 {
			t.Errorf("%d of %d others came first, and there were %d events", before, many, downs)
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
		// 4 ticks and 1 deadline a second, each with one look and one to set the timer; and the heartbeats.
		if n, limit := int(looks.Load()), 100*(6*2+1); n > limit {
			t.Errorf("%d looks at the clock in 100 s, want at most %d", n, limit)
		}
	})
}

// hold stops one who has read the clock, before it does anything with what it read.
type hold struct {
	next    atomic.Bool   // who reads next is the one
	release chan struct{} // closed when it may go on
}

func (h *hold) clock(clock func() instant) func() instant {
	return func() instant {
		now := clock()
		if h.next.CompareAndSwap(true, false) {
			<-h.release
		}
		return now
	}
}

// run calls f, which is held as soon as it has read the clock.
func (h *hold) run(f func()) {
	synctest.Wait() // nobody else is about to read
	h.next.Store(true)
	go f()
	synctest.Wait()
}

// A process may be stopped anywhere, also between reading the clock and what that is for. What is reported then is from
// before the pause, but finds the pause put right: it brings no silence back.
func TestStoppedWithTheClockJustRead(t *testing.T) {
	const pause = 12 * time.Second
	for name, report := range map[string]func(d *Detector[int]){
		"Heartbeat":    func(d *Detector[int]) { d.Heartbeat(1) },
		"HeartbeatSeq": func(d *Detector[int]) { d.HeartbeatSeq(1, 100) },
		"HeartbeatAt":  func(d *Detector[int]) { d.HeartbeatAt(1, time.Now(), 100) },
		"Batch":        func(d *Detector[int]) { d.Batch([]Beat[int]{{ID: 1}, {ID: 1, Seq: 100}}) },
		"Alive":        func(d *Detector[int]) { d.Alive(1, time.Time{}) },
		"Watch":        func(d *Detector[int]) { d.Watch(2, 0) },
		"Restart":      func(d *Detector[int]) { d.Restart(1) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p process
				var events inbox[int]
				start, h := time.Now(), hold{release: make(chan struct{})}
				d, _ := newDetector[int](Config{}, start, h.clock(p.clock(start)))
				defer d.Close()
				go events.collect(d.Events(t.Context()))
				d.Watch(1, 0)
				for seq := range uint64(20) {
					d.HeartbeatSeq(1, seq)
					time.Sleep(time.Second)
				}
				h.run(func() { report(d) })
				p.stopFor(pause)
				synctest.Wait() // it has been put right
				close(h.release)
				synctest.Wait()
				if phi := d.Phi(1); phi != 0 {
					t.Errorf("φ = %v of a peer of which no heartbeat was due since", phi)
				}
				d.SetThresholds(3, 6) // so that all are looked at
				time.Sleep(900 * time.Millisecond)
				for _, e := range events.take(math.MaxInt) {
					if e.To >= Suspect {
						t.Errorf("%+v", e)
					}
				}
			})
		})
	}
}

// Whoever reports may have read the clock a while ago. What is no sign of life does not turn back what was judged since.
func TestOldNewsWithTheClockLongRead(t *testing.T) {
	for name, report := range map[string]func(d *Detector[int]){
		"HeartbeatSeq": func(d *Detector[int]) { d.HeartbeatSeq(1, 7) },
		"Batch":        func(d *Detector[int]) { d.Batch([]Beat[int]{{ID: 1, Seq: 7}, {ID: 1, Age: time.Hour}}) },
		"Alive":        func(d *Detector[int]) { d.Alive(1, time.Now().Add(-time.Hour)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var events inbox[int]
				start, h := time.Now(), hold{release: make(chan struct{})}
				d, _ := newDetector[int](Config{}, start, h.clock(new(process).clock(start)))
				defer d.Close()
				go events.collect(d.Events(t.Context()))
				d.Watch(1, 0)
				for seq := range uint64(20) {
					time.Sleep(time.Second)
					d.HeartbeatSeq(1, seq)
				}
				events.take(1)
				var deadline instant
				d.see(1, func(s *shard[int], p *peer[int]) { deadline = p.deadline(&s.rules) })
				time.Sleep(deadline.sub(d.now()) - time.Millisecond)
				h.run(func() { report(d) })
				time.Sleep(10 * time.Millisecond)
				if got := events.take(1); len(got) != 1 || got[0].To != Suspect {
					t.Fatalf("%+v, want suspect", got)
				}
				close(h.release)
				if got := events.take(1); len(got) > 0 {
					t.Errorf("%+v", got[0])
				}
			})
		})
	}
}
