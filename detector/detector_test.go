package detector

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/pulsering/pulsering/phiaccrual"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const second = time.Second

// story runs a test in virtual time with a detector whose events it collects. Every event has to be wanted: the story
// fails at its end if one was not.
type story struct {
	*testing.T
	*Detector[string]
	start  time.Time
	events *inbox[string]
}

// inbox is what a reader has read.
type inbox[K comparable] struct {
	mu     sync.Mutex
	events []Event[K]
}

func (in *inbox[K]) collect(events iter.Seq[Event[K]]) {
	for e := range events {
		in.mu.Lock()
		in.events = append(in.events, e)
		in.mu.Unlock()
	}
}

// take returns the first n events, fewer if there are not so many, once everybody else has nothing left to do.
func (in *inbox[K]) take(n int) (got []Event[K]) {
	synctest.Wait()
	in.mu.Lock()
	defer in.mu.Unlock()
	n = min(n, len(in.events))
	got, in.events = in.events[:n], in.events[n:]
	return got
}

func tell(t *testing.T, cfg Config, f func(s *story)) {
	synctest.Test(t, func(t *testing.T) {
		s := &story{T: t, start: time.Now(), events: new(inbox[string])}
		var err error
		if s.Detector, err = New[string](cfg); err != nil {
			t.Fatal(err)
		}
		defer s.Detector.Close() // or else a story that fails is reported as a deadlock
		go s.events.collect(s.Events(t.Context()))
		f(s)
		s.nothing()
	})
}

func (s *story) watch(id string, interval time.Duration) {
	s.Helper()
	if err := s.Watch(id, interval); err != nil {
		s.Fatal(err)
	}
}

// beats sends n heartbeats, one each interval from now on, and returns when the last has been sent.
func (s *story) beats(id string, n int, interval time.Duration) {
	s.Helper()
	for i := range n {
		if i > 0 {
			time.Sleep(interval)
		}
		if !s.Heartbeat(id) {
			s.Fatalf("%s is not watched", id)
		}
	}
}

// wants takes the next event, which must have happened by now.
func (s *story) wants(id string, from, to State) Event[string] {
	s.Helper()
	got := s.events.take(1)
	if len(got) == 0 {
		s.Fatalf("at %v: no event, want %s: %v to %v", time.Since(s.start), id, from, to)
	}
	e := got[0]
	if e.ID != id || e.From != from || e.To != to || e.Folded != 0 {
		s.Fatalf("at %v: event %+v, want %s: %v to %v", time.Since(s.start), e, id, from, to)
	}
	return e
}

// wantsAt is wants for an event that must happen at an exact instant in the future.
func (s *story) wantsAt(at time.Time, id string, from, to State) Event[string] {
	s.Helper()
	time.Sleep(time.Until(at) - time.Nanosecond)
	s.nothing()
	time.Sleep(time.Nanosecond)
	e := s.wants(id, from, to)
	if state, _ := s.State(id); state != to {
		s.Errorf("%s is %v after an event that it is %v", id, state, to)
	}
	if !e.At.Equal(at) {
		s.Errorf("%s: %v to %v at %v, want %v", id, from, to, e.At.Sub(s.start), at.Sub(s.start))
	}
	return e
}

func (s *story) nothing() {
	s.Helper()
	if got := s.events.take(1); len(got) > 0 {
		s.Fatalf("at %v: unexpected %+v", time.Since(s.start), got[0])
	}
}

func TestSilenceIsSuspectThenDown(t *testing.T) {
	for _, model := range []phiaccrual.Model{phiaccrual.Calibrated, phiaccrual.Normal, phiaccrual.Exponential} {
		t.Run(model.String(), func(t *testing.T) {
			cfg := Config{Model: model, SuspectPhi: 2, DownPhi: 5, MinStdDev: 50 * time.Millisecond}
			tell(t, cfg, func(s *story) {
				same, err := phiaccrual.New(phiaccrual.Config{Model: model, MinStdDev: cfg.MinStdDev})
				if err != nil {
					t.Fatal(err)
				}
				s.watch("a", 0)
				for range 30 {
					same.Heartbeat(time.Now())
					s.beats("a", 1, 0)
					time.Sleep(second)
				}
				s.wants("a", Unknown, Up)
				if e := s.wantsAt(same.Reaches(2), "a", Up, Suspect); e.Phi < 2 || e.Phi > 2.001 {
					t.Errorf("suspect at φ = %v, want 2", e.Phi)
				}
				if e := s.wantsAt(same.Reaches(5), "a", Suspect, Down); e.Phi < 5 || e.Phi > 5.001 {
					t.Errorf("down at φ = %v, want 5", e.Phi)
				}
				if got, want := s.Phi("a"), same.Phi(time.Now()); got != want {
					t.Errorf("φ = %v, want %v", got, want)
				}
				t.Log("It stays down, however long it takes, until it is heard.")
				time.Sleep(time.Hour)
				s.nothing()
				s.beats("a", 3, second)
				s.wants("a", Down, Up)
			})
		})
	}
}

func TestSuspectThatIsHeardIsUp(t *testing.T) {
	tell(t, Config{SuspectPhi: 1, DownPhi: 12}, func(s *story) {
		s.watch("a", 0)
		s.beats("a", 10, second)
		s.wants("a", Unknown, Up)
		for range 3 {
			time.Sleep(3 * second)
			s.wants("a", Up, Suspect)
			s.beats("a", 5, second)
			s.wants("a", Suspect, Up)
		}
	})
}

func TestOneThresholdSkipsSuspect(t *testing.T) {
	tell(t, Config{SuspectPhi: 4, DownPhi: 4}, func(s *story) {
		s.watch("a", 0)
		s.beats("a", 10, second)
		s.wants("a", Unknown, Up)
		time.Sleep(time.Minute)
		s.wants("a", Up, Down)
	})
}

func TestPeerThatNeverBeats(t *testing.T) {
	tell(t, Config{FirstHeartbeat: 7 * second}, func(s *story) {
		s.watch("a", 0)
		time.Sleep(3 * second)
		s.watch("b", 100*time.Millisecond)
		if phi := s.wantsAt(s.start.Add(7*second), "a", Unknown, Down).Phi; phi != 0 {
			t.Errorf("φ = %v of a peer that never beat", phi)
		}
		s.wantsAt(s.start.Add(10*second), "b", Unknown, Down)
		s.beats("b", 1, 0)
		s.wants("b", Down, Up)
		s.Forget("b")
		time.Sleep(time.Hour)
	})
}

func TestFirstHeartbeatIsTenIntervalsByDefault(t *testing.T) {
	tell(t, Config{}, func(s *story) {
		s.watch("a", 200*time.Millisecond)
		s.watch("b", 0)
		s.wantsAt(s.start.Add(2*second), "a", Unknown, Down)
		s.wantsAt(s.start.Add(10*second), "b", Unknown, Down)
	})
}

func TestIntervalsDifferFromPeerToPeer(t *testing.T) {
	tell(t, Config{}, func(s *story) {
		s.watch("slow", 10*second)
		s.watch("fast", 100*time.Millisecond)
		s.beats("slow", 1, 0)
		s.wants("slow", Unknown, Up)
		s.beats("fast", 100, 100*time.Millisecond)
		s.wants("fast", Unknown, Up)
		s.beats("slow", 1, 0)
		time.Sleep(5 * second)
		s.wants("fast", Up, Suspect)
		s.wants("fast", Suspect, Down)
		s.nothing()
	})
}

// A peer with an interval of its own is judged from its first heartbeat on as in a detector for that interval.
func TestOwnIntervalFromTheFirstHeartbeat(t *testing.T) {
	for _, model := range []phiaccrual.Model{phiaccrual.Calibrated, phiaccrual.Normal, phiaccrual.Exponential} {
		for _, interval := range []time.Duration{20 * time.Millisecond, time.Minute} {
			tell(t, Config{Model: model, DownPhi: 8, SuspectPhi: 8}, func(s *story) {
				same, _ := phiaccrual.New(phiaccrual.Config{Model: model, Interval: interval})
				s.watch("a", interval)
				s.beats("a", 1, 0)
				same.Heartbeat(time.Now())
				s.wants("a", Unknown, Up)
				s.wantsAt(same.Reaches(8), "a", Up, Down)
			})
		}
	}
}

func TestRestartBeginsAnew(t *testing.T) {
	tell(t, Config{}, func(s *story) {
		s.watch("a", 0)
		for seq := range uint64(20) {
			s.HeartbeatSeq("a", seq+1)
			time.Sleep(second)
		}
		s.wants("a", Unknown, Up)
		restarted := time.Now()
		if !s.Restart("a") {
			t.Error("a is not watched")
		}
		s.wants("a", Up, Unknown)
		if phi := s.Phi("a"); phi != 0 {
			t.Errorf("φ = %v after a restart", phi)
		}
		s.wantsAt(restarted.Add(10*second), "a", Unknown, Down)
		s.Restart("a")
		s.wants("a", Down, Unknown)
		s.HeartbeatSeq("a", 1) // numbers begin anew
		s.wants("a", Unknown, Up)
		s.Restart("a")
		s.Restart("a")
		s.wants("a", Up, Unknown)
		s.Forget("a")
	})
}

func TestForgottenPeerIsNotJudged(t *testing.T) {
	tell(t, Config{}, func(s *story) {
		s.watch("a", 0)
		s.beats("a", 5, second)
		s.wants("a", Unknown, Up)
		if !s.Forget("a") || s.Forget("a") {
			t.Error("Forget does not tell whether the peer was watched")
		}
		time.Sleep(time.Hour)
		s.nothing()
		s.watch("a", 0)
		s.beats("a", 1, 0)
		s.wants("a", Unknown, Up)
		s.Forget("a")
	})
}

func TestOldNumbersAreNoSignOfLife(t *testing.T) {
	tell(t, Config{SuspectPhi: 3, DownPhi: 3}, func(s *story) {
		s.watch("a", 0)
		for seq := range uint64(10) {
			s.HeartbeatSeq("a", 100+seq)
			time.Sleep(second)
		}
		s.wants("a", Unknown, Up)
		for range 60 {
			if !s.HeartbeatSeq("a", 105) {
				t.Fatal("a is not watched")
			}
			time.Sleep(second)
		}
		s.wants("a", Up, Down)
		s.HeartbeatSeq("a", 110)
		s.wants("a", Down, Up)
		s.Forget("a")
	})
}

func TestHeartbeatAt(t *testing.T) {
	tell(t, Config{SuspectPhi: 2, DownPhi: 8, MinStdDev: 200 * time.Millisecond}, func(s *story) {
		s.watch("a", 0)
		seq := uint64(0)
		beat := func(at time.Time) {
			seq++
			if !s.HeartbeatAt("a", at, seq) {
				t.Fatal("a is not watched")
			}
		}
		beat(time.Time{})
		s.wants("a", Unknown, Up)
		for range 10 {
			time.Sleep(second)
			beat(time.Now().Add(-100 * time.Millisecond))
		}
		t.Log("One without a time is from now, and so is one from the future.")
		time.Sleep(second)
		beat(time.Time{})
		if phi := s.Phi("a"); phi != 0 {
			t.Errorf("φ = %v after a heartbeat heard now", phi)
		}
		beat(time.Now().Add(time.Hour))
		time.Sleep(4 * second)
		s.wants("a", Up, Suspect)
		time.Sleep(time.Minute)
		s.wants("a", Suspect, Down)
		t.Log("One that was heard long ago does not say that the peer lives now.")
		beat(time.Now().Add(-time.Minute))
		beat(time.Now().Add(-1000 * time.Hour))
		s.nothing()
		t.Log("One that was heard a while ago says as much as that while allows.")
		beat(time.Now().Add(-4 * second))
		s.wants("a", Down, Suspect)
		t.Log("Without a number, one that is not newer than the last changes nothing.")
		s.HeartbeatAt("a", time.Now().Add(-30*second), 0)
		s.nothing()
		s.HeartbeatAt("a", time.Now(), 0)
		s.wants("a", Suspect, Up)
		time.Sleep(1050 * time.Millisecond)
		before := s.Phi("a")
		s.HeartbeatAt("a", time.Now().Add(-30*second), 0)
		if phi := s.Phi("a"); phi != before {
			t.Errorf("φ = %v after a heartbeat of long ago, and %v before", phi, before)
		}
		s.Forget("a")
	})
}

func TestShorterIntervalPullsTheDeadlineForward(t *testing.T) {
	tell(t, Config{}, func(s *story) {
		s.watch("a", 10*second)
		s.beats("a", 3, 10*second)
		s.wants("a", Unknown, Up)
		if err := s.SetInterval("a", 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		time.Sleep(9 * second) // less than an old interval
		s.wants("a", Up, Suspect)
		s.wants("a", Suspect, Down)
	})
}

func TestLongerIntervalPutsTheDeadlineOff(t *testing.T) {
	tell(t, Config{}, func(s *story) {
		s.watch("a", 100*time.Millisecond)
		s.beats("a", 10, 100*time.Millisecond)
		s.wants("a", Unknown, Up)
		if err := s.SetInterval("a", 10*second); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * second)
		s.beats("a", 3, 10*second)
		s.nothing()
		time.Sleep(time.Hour)
		s.wants("a", Up, Suspect)
		s.wants("a", Suspect, Down)
	})
}

func TestSetThresholds(t *testing.T) {
	tell(t, Config{SuspectPhi: 4, DownPhi: 8}, func(s *story) {
		same, _ := phiaccrual.New(phiaccrual.Config{})
		s.watch("a", 0)
		for range 5 {
			same.Heartbeat(time.Now())
			s.beats("a", 1, 0)
			time.Sleep(second)
		}
		s.wants("a", Unknown, Up)
		t.Log("Higher levels take longer.")
		s.SetThresholds(20, 25)
		s.wantsAt(same.Reaches(20), "a", Up, Suspect)
		t.Log("Lower ones may have been reached already.")
		s.SetThresholds(2, 20)
		s.wants("a", Suspect, Down)
		t.Log("A state holds until the peer is heard, whatever the levels.")
		s.SetThresholds(100, 100)
		s.nothing()
		same.Heartbeat(time.Now())
		s.beats("a", 1, 0)
		s.wants("a", Down, Up)
		s.SetThresholds(1, 2)
		s.wantsAt(same.Reaches(1), "a", Up, Suspect)
		s.wantsAt(same.Reaches(2), "a", Suspect, Down)
	})
}

// The promise is Chen's arithmetic with φ: a peer that beats every T sends D/T heartbeats in D, and each is mistaken
// with probability 10^-φ.
func TestPromise(t *testing.T) {
	tell(t, Config{FalseAlarmEvery: 1000 * time.Hour}, func(s *story) {
		for id, interval := range map[string]time.Duration{"a": second, "b": 36 * second} {
			same, _ := phiaccrual.New(phiaccrual.Config{Interval: interval})
			s.watch(id, interval)
			for range 20 {
				same.Heartbeat(time.Now())
				s.beats(id, 1, 0)
				time.Sleep(interval)
			}
			s.wants(id, Unknown, Up)
			phi := math.Log10(1000 * 3600 / interval.Seconds()) // 6.56 and 5
			s.wantsAt(same.Reaches(phi/2), id, Up, Suspect)
			s.wantsAt(same.Reaches(phi), id, Suspect, Down)
		}
		if err := s.Watch("c", 100*time.Hour); err == nil {
			t.Error("an interval beyond the promise is no error")
		}
	})
}

// A silence that was called Down and ended is learnt from, or else the promise would not hold: what a level excludes from
// the samples it would exclude more often the next time. (Without them, 232 downs here.) It is Restart that
// forgets, and says that the silence was the peer's.
func TestDownsThatWereWrongAreLearntFrom(t *testing.T) {
	tell(t, Config{SuspectPhi: 2, DownPhi: 2}, func(s *story) {
		s.watch("a", 0)
		random := rand.New(rand.NewPCG(1, 2))
		const beats = 5000
		for range beats {
			time.Sleep(second)
			if random.Float64() >= 0.05 {
				s.beats("a", 1, 0)
			}
		}
		downs := 0
		for _, e := range s.events.take(beats) {
			if e.To == Down {
				downs++
			}
		}
		if downs > 1.5*beats/100 {
			t.Errorf("%d of %d heartbeats were called missing at φ = 2, want one in a hundred", downs, beats)
		}

		t.Log("Of a peer that restarts nothing is known.")
		fresh, _ := phiaccrual.New(phiaccrual.Config{})
		time.Sleep(10 * second)
		s.Restart("a")
		s.beats("a", 1, 0)
		fresh.Heartbeat(time.Now())
		s.events.take(beats)
		s.wantsAt(fresh.Reaches(2), "a", Up, Down)
	})
}

func TestEvidenceThatIsNoHeartbeat(t *testing.T) {
	tell(t, Config{SuspectPhi: 2, DownPhi: 8}, func(s *story) {
		s.watch("a", 0)
		s.beats("a", 10, second)
		s.wants("a", Unknown, Up)
		t.Log("Answers instead of heartbeats keep a peer up ...")
		for range 30 {
			time.Sleep(second)
			if !s.Alive("a", time.Now()) {
				t.Fatal("a is not watched")
			}
		}
		s.nothing()
		t.Log("... and bring it back.")
		time.Sleep(time.Minute)
		s.wants("a", Up, Suspect)
		s.wants("a", Suspect, Down)
		s.Alive("a", time.Time{})
		s.wants("a", Down, Up)
		s.Forget("a")

		t.Log("Before the first heartbeat they put Down off.")
		s.watch("b", 0)
		time.Sleep(6 * second)
		s.Alive("b", time.Now())
		s.wantsAt(time.Now().Add(10*second), "b", Unknown, Down)
		s.Alive("b", time.Now())
		s.wants("b", Down, Unknown)
		s.Forget("b")
	})
}

func TestSlowReaderFindsTheLatestStateOfEachPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := New[string](Config{})
		slow := d.Events(t.Context())
		d.Watch("a", 0)
		d.Watch("b", 0)
		d.Heartbeat("b")
		for range 3 {
			d.Heartbeat("a")
			time.Sleep(time.Minute) // a is Up, Suspect, Down; and so, once, is b
		}
		d.Heartbeat("a")
		d.Close()
		var got []string
		for e := range slow {
			got = append(got, fmt.Sprint(e.ID, ": ", e.From, " to ", e.To, " with ", e.Folded, " before"))
		}
		if want := []string{"b: unknown to down with 2 before", "a: unknown to up with 9 before"}; !slices.Equal(got, want) {
			t.Errorf("read %q, want %q", got, want)
		}
	})
}

func TestCloseWaitsAndEndsReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := New[int](Config{})
		if err := d.Watch(1, 0); err != nil {
			t.Fatal(err)
		}
		events := d.Events(t.Context())
		d.Heartbeat(1)
		for range 2 {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
		select {
		case <-d.done:
		default:
			t.Error("Close did not wait for the goroutine")
		}
		n := 0
		for range events {
			n++
		}
		if n != 1 {
			t.Errorf("read %d events after Close, want the 1 that was pending", n)
		}
		for range d.Events(context.Background()) {
			t.Error("an event after Close")
		}
		if err := d.Watch(2, 0); !errors.Is(err, ErrClosed) {
			t.Errorf("Watch after Close: %v", err)
		}
		if err := d.SetThresholds(1, 2); !errors.Is(err, ErrClosed) {
			t.Errorf("SetThresholds after Close: %v", err)
		}
		if err := d.SetInterval(1, second); !errors.Is(err, ErrClosed) {
			t.Errorf("SetInterval after Close: %v", err)
		}
		state, watched := d.State(1)
		if d.Heartbeat(1) || d.HeartbeatSeq(1, 1) || d.HeartbeatAt(1, time.Now(), 1) || d.Alive(1, time.Now()) ||
			d.Forget(1) || d.Restart(1) || watched || state != Unknown || d.Phi(1) != 0 {
			t.Error("a peer is watched after Close")
		}
	})
}

// While Close has forgotten some peers already, their absence is not taken for their never having been watched.
func TestSetIntervalDuringClose(t *testing.T) {
	d, _ := New[int](Config{})
	id := 0
	for s, _ := d.shard(id); s != &d.shards[0]; s, _ = d.shard(id) {
		id++
	}
	if err := d.Watch(id, 0); err != nil {
		t.Fatal(err)
	}
	last := &d.shards[shards-1]
	last.mu.Lock()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		d.Close()
	}()
	for watched := true; watched; _, watched = d.State(id) {
		runtime.Gosched()
	}
	if err := d.SetInterval(id, second); !errors.Is(err, ErrClosed) {
		t.Errorf("SetInterval during Close: %v", err)
	}
	last.mu.Unlock()
	<-closed
}

// Everybody does everything at once. Still the events of each peer form a chain, and in the end everyone who fell silent
// is down.
func TestEverythingAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const peers, workers, steps = 30, 6, 300
		d, _ := New[int](Config{Interval: 50 * time.Millisecond, FirstHeartbeat: second})
		defer d.Close()
		var readers, working sync.WaitGroup
		for range 2 {
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
		}
		for w := range workers {
			working.Go(func() {
				random := rand.New(rand.NewPCG(uint64(w), 1))
				for range steps {
					id := random.IntN(peers)
					switch random.IntN(12) {
					case 0:
						d.Watch(id, 0)
					case 1:
						d.Forget(id)
					case 2:
						d.Restart(id)
					case 3:
						d.SetInterval(id, time.Duration(1+random.IntN(100))*time.Millisecond)
					case 4:
						d.Alive(id, time.Now())
					case 5:
						d.SetThresholds(1+random.Float64(), 2+random.Float64())
					case 6:
						d.Batch([]Beat[int]{{ID: id}, {ID: id + 1, Age: second}})
					case 7:
						for range d.Events(t.Context()) {
							break
						}
					default:
						d.Heartbeat(id)
					}
					time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
				}
			})
		}
		for range 3000 { // somebody always changes, or those who wait for one event would wait for ever
			d.Watch(-1, 0)
			d.Heartbeat(-1)
			d.Forget(-1)
			time.Sleep(10 * time.Millisecond)
		}
		working.Wait()
		for id := range peers {
			d.Watch(id, 0)
		}
		time.Sleep(time.Hour)
		for id := range peers {
			if state, _ := d.State(id); state != Down {
				t.Errorf("%d is %v after an hour of silence", id, state)
			}
		}
		d.Close()
		readers.Wait()
	})
}

func TestReaderMayCloseTheDetector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := New[int](Config{})
		d.Watch(1, 0)
		for range d.Events(t.Context()) {
			d.Close()
		}
	})
}

func TestWrongUse(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		cfg  Config
		want []string // in the error
	}{
		{Config{Interval: -1}, []string{"Interval", "-1ns", "1µs", "24h"}},
		{Config{Interval: 25 * time.Hour}, []string{"Interval", "25h", "24h"}},
		{Config{FirstHeartbeat: -second}, []string{"FirstHeartbeat", "-1s", "1µs"}},
		{Config{FirstHeartbeat: 25 * time.Hour}, []string{"FirstHeartbeat", "25h", "24h"}},
		{Config{SuspectPhi: nan}, []string{"SuspectPhi", "NaN", "0.01", "300"}},
		{Config{SuspectPhi: -1}, []string{"SuspectPhi", "-1", "0.01"}},
		{Config{DownPhi: nan}, []string{"DownPhi", "NaN", "300"}},
		{Config{DownPhi: -1}, []string{"DownPhi", "-1", "0.01"}},
		{Config{DownPhi: inf}, []string{"DownPhi", "Inf", "300"}},
		{Config{DownPhi: 301}, []string{"DownPhi", "301", "300"}},
		{Config{SuspectPhi: 5, DownPhi: 4}, []string{"SuspectPhi 5", "above", "DownPhi 4"}},
		{Config{SuspectPhi: 9}, []string{"SuspectPhi 9", "above", "DownPhi 8"}},
		{Config{DownPhi: 8, FalseAlarmEvery: time.Hour}, []string{"FalseAlarmEvery", "DownPhi 8", "both"}},
		{Config{SuspectPhi: 2, FalseAlarmEvery: time.Hour}, []string{"FalseAlarmEvery", "SuspectPhi 2", "both"}},
		{Config{FalseAlarmEvery: -time.Hour}, []string{"FalseAlarmEvery", "-1h", "10s"}},
		{Config{FalseAlarmEvery: 9 * second}, []string{"FalseAlarmEvery", "9s", "10s"}},
		{Config{MinStdDev: -1}, []string{"MinStdDev", "-1ns"}},
		{Config{Pause: -1}, []string{"Pause", "-1ns"}},
		{Config{Window: -1}, []string{"Window", "-1"}},
		{Config{Model: 77}, []string{"Model", "77"}},
	} {
		d, err := New[string](c.cfg)
		if err == nil {
			d.Close()
			t.Errorf("%+v is no error, want one with %q", c.cfg, c.want)
			continue
		}
		wantError(t, err, c.want...)
	}

	tell(t, Config{}, func(s *story) {
		s.watch("a", 0)
		err := s.Watch("a", 0)
		wantError(t, err, "Watch(a)", "already watched")
		if !errors.Is(err, ErrWatched) {
			t.Errorf("%v is not ErrWatched", err)
		}
		wantError(t, s.Watch("b", -second), "Watch(b)", "interval", "-1s", "1µs", "24h")
		wantError(t, s.Watch("b", 25*time.Hour), "Watch(b)", "25h", "24h")
		wantError(t, s.SetInterval("a", 0), "SetInterval(a)", "0s", "1µs")
		err = s.SetInterval("nobody", second)
		wantError(t, err, "SetInterval(nobody)", "not watched")
		if !errors.Is(err, ErrNotWatched) {
			t.Errorf("%v is not ErrNotWatched", err)
		}
		wantError(t, s.SetThresholds(nan, 8), "SetThresholds", "SuspectPhi", "NaN")
		wantError(t, s.SetThresholds(3, 2), "SetThresholds", "SuspectPhi 3", "DownPhi 2")
		state, watched := s.State("nobody")
		if s.Heartbeat("nobody") || s.HeartbeatSeq("nobody", 1) || s.HeartbeatAt("nobody", time.Now(), 1) ||
			s.Alive("nobody", time.Now()) || s.Forget("nobody") || s.Restart("nobody") ||
			watched || state != Unknown || s.Phi("nobody") != 0 {
			t.Error("nobody is watched")
		}
		s.Forget("a")
	})

	d, err := New[any](Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	wantError(t, d.Watch(nan, 0), "Watch(NaN)", "id", "not equal to itself")
	wantError(t, d.Watch([2]float64{1, nan}, 0), "Watch([1 NaN])", "id", "not equal to itself")
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with %q", parts)
		return
	}
	for _, part := range append(parts, "detector") {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not contain %q", err, part)
		}
	}
}

func TestStateStrings(t *testing.T) {
	for state, want := range map[State]string{Unknown: "unknown", Up: "up", Suspect: "suspect", Down: "down", 9: "State(9)"} {
		if got := state.String(); got != want {
			t.Errorf("%d is %q, want %q", state, got, want)
		}
	}
}

// Ranging ends with its context, while nothing happens too, and is over then for good; who ranges on with another one is told
// of what comes.
func TestRangingEndsWithItsContext(t *testing.T) {
	tell(t, Config{}, func(s *story) {
		ctx, cancel := context.WithCancel(s.Context())
		events := s.Events(ctx)
		told, ended := 0, make(chan struct{})
		go func() {
			defer close(ended)
			for range events {
				told++
			}
		}()
		s.watch("a", 0)
		s.Heartbeat("a")
		synctest.Wait()
		cancel()
		synctest.Wait()
		select {
		case <-ended:
		default:
			s.Fatal("it goes on after its context's end")
		}
		s.Restart("a")
		s.Heartbeat("a")
		for range events {
			s.Error("it goes on when ranged over again")
		}
		if told != 1 {
			s.Errorf("told %d events before the end, want 1", told)
		}
		s.events.take(3)
	})
}
