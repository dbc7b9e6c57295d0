package detector

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// wantStatus compares what Status and All say of a peer, and both with what is wanted; φ with Phi.
func (s *story) wantStatus(id string, state State, lastHeard, since time.Time) {
	s.Helper()
	got, watched := s.Status(id)
	if !watched {
		s.Fatalf("%s is not watched", id)
	}
	if got.State != state || !got.LastHeard.Equal(lastHeard) || !got.Since.Equal(since) || got.LastHeard.IsZero() != lastHeard.IsZero() {
		s.Errorf("at %v: %s is %v, last heard at %v, since %v; want %v, %v, %v", time.Since(s.start), id,
			got.State, got.LastHeard.Sub(s.start), got.Since.Sub(s.start), state, lastHeard.Sub(s.start), since.Sub(s.start))
	}
	if phi := s.Phi(id); got.Phi != phi {
		s.Errorf("%s: φ = %v in Status, and %v", id, got.Phi, phi)
	}
	for other, status := range s.All() {
		if other == id && status != got {
			s.Errorf("%s is %+v for Status, and %+v in All", id, got, status)
		}
	}
}

// Timeout says when the death of a peer will be told.
func TestTimeout(t *testing.T) {
	tell(t, Config{}, func(s *story) {
		s.watch("a", 0)
		if d, ok := s.Timeout("a"); ok {
			t.Errorf("%v before the first heartbeat", d)
		}
		s.beats("a", 50, second)
		s.wants("a", Unknown, Up)
		d, ok := s.Timeout("a")
		if !ok || d < second || d > 10*second {
			t.Fatalf("%v, %v after 50 heartbeats a second apart", d, ok)
		}
		time.Sleep(d - time.Millisecond)
		synctest.Wait()
		if state, _ := s.State("a"); state == Down {
			t.Errorf("down before %v", d)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if state, _ := s.State("a"); state != Down {
			t.Errorf("%v after %v", state, d)
		}
		s.wants("a", Up, Suspect)
		s.wants("a", Suspect, Down)
		if d, ok := s.Timeout("b"); ok {
			t.Errorf("%v of nobody", d)
		}
	})
}

func TestStatus(t *testing.T) {
	tell(t, Config{}, func(s *story) {
		s.watch("a", 0)
		time.Sleep(2 * second)
		s.wantStatus("a", Unknown, time.Time{}, s.start)
		s.beats("a", 1, 0)
		up := time.Now()
		s.wantStatus("a", Up, up, up)
		s.wants("a", Unknown, Up)
		time.Sleep(second)
		s.beats("a", 50, second)
		last := time.Now()
		s.wantStatus("a", Up, last, up)

		t.Log("Evidence that is no heartbeat, and an old number, are not heard.")
		s.Alive("a", time.Now())
		s.HeartbeatSeq("a", 7)
		last = time.Now()
		time.Sleep(second)
		s.Alive("a", time.Now())
		s.HeartbeatSeq("a", 7)
		s.wantStatus("a", Up, last, up)

		t.Log("A heartbeat reported late was heard when it was.")
		time.Sleep(second / 2)
		last = time.Now().Add(-second / 4)
		s.HeartbeatAt("a", last, 8)
		s.wantStatus("a", Up, last, up)

		time.Sleep(20 * second)
		suspect := s.wants("a", Up, Suspect)
		down := s.wants("a", Suspect, Down)
		if !suspect.At.Before(down.At) {
			t.Errorf("suspect at %v, down at %v", suspect.At, down.At)
		}
		s.wantStatus("a", Down, last, down.At)
		if status, _ := s.Status("a"); status.Phi < 8 {
			t.Errorf("down at φ = %v", status.Phi)
		}
		s.Restart("a")
		s.wants("a", Down, Unknown)
		s.wantStatus("a", Unknown, time.Time{}, time.Now())
		time.Sleep(second)
		s.Restart("a")
		s.wantStatus("a", Unknown, time.Time{}, time.Now())
		s.Forget("a")
		if status, watched := s.Status("a"); watched || status != (Status{}) {
			t.Errorf("a forgotten peer is %+v, %v", status, watched)
		}
		s.watch("b", 0) // in a's place
		s.wantStatus("b", Unknown, time.Time{}, time.Now())
	})
}

// A local pause is no silence of a peer, but it does not move when the peer was heard.
func TestLastHeardAcrossPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := New[string](Config{})
		defer d.Close()
		d.Watch("a", 0)
		for range 20 {
			d.Heartbeat("a")
			time.Sleep(second)
		}
		last := time.Now().Add(-second)
		want := func() {
			t.Helper()
			if got, _ := d.Status("a"); !got.LastHeard.Equal(last) {
				t.Errorf("last heard %v ago, want %v ago", time.Since(got.LastHeard), time.Since(last))
			}
		}
		now := d.now()
		d.skip(now-instant(3*second), now)
		want()
		time.Sleep(second / 4)
		d.skip(d.now()-instant(8*second), d.now())
		want()
		d.ear.ready.Store(int64(d.now().add(second))) // what comes before waited in a queue
		for range 4 {
			time.Sleep(second / 2)
			d.Heartbeat("a")
			last = time.Now()
			want()
		}
		time.Sleep(second / 2)
		d.HeartbeatSeq("a", 77)
		last = time.Now()
		want()
	})
}

func TestAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := New[int](Config{})
		const peers = 500
		for id := range peers {
			d.Watch(id, 0)
			if id%3 == 0 {
				d.Heartbeat(id)
			}
		}
		all := d.All()
		for round := range 2 { // a second time too
			seen := map[int]int{}
			for id, status := range all {
				seen[id]++
				if want, _ := d.Status(id); status != want || (status.State == Up) != (id%3 == 0) {
					t.Errorf("%d is %+v, want %+v", id, status, want)
				}
			}
			for id := range peers {
				if seen[id] != 1 {
					t.Errorf("round %d: %d came %d times", round, id, seen[id])
				}
			}
		}
		for range all {
			break
		}

		t.Log("The body may do anything, to this peer and others.")
		seen := map[int]bool{}
		for id := range all {
			if seen[id] {
				t.Errorf("%d came twice", id)
			}
			seen[id] = true
			d.Heartbeat(id)
			d.Restart(id)
			d.SetInterval(id, 2*second)
			d.SetThresholds(3, 6)
			d.Status(id)
			for range d.All() {
				break
			}
			d.Forget(id)
			if other := (id + 1) % peers; !seen[other] {
				d.Forget(other)
				seen[other] = true // must not come
			}
			time.Sleep(time.Millisecond)
		}
		for id := range all {
			t.Errorf("%d is left", id)
		}

		for id := range peers {
			d.Watch(id, 0)
		}
		n := 0
		for range all {
			n++
			d.Close()
		}
		if n != 1 {
			t.Errorf("%d peers came after Close", n-1)
		}
		for id := range all {
			t.Errorf("%d came after Close", id)
		}
		if _, watched := d.Status(1); watched {
			t.Error("watched after Close")
		}
	})
}

// Whatever others do meanwhile, a peer that is watched all the while comes exactly once, with a
// status that was true.
func TestAllWhileOthersComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := New[int](Config{})
		defer d.Close()
		const fixed, passing = 200, 300
		for id := range fixed {
			d.Watch(id, 0)
		}
		var working sync.WaitGroup
		var done atomic.Bool
		for w := range 2 {
			working.Go(func() {
				random := rand.New(rand.NewPCG(uint64(w), 5))
				for !done.Load() {
					id := fixed + 2*random.IntN(passing) + w
					d.Watch(id, 0)
					d.Heartbeat(id)
					d.Heartbeat(random.IntN(fixed))
					d.Alive(random.IntN(fixed), time.Now())
					if random.IntN(3) > 0 {
						d.Forget(id)
					}
					d.skip(d.now(), d.now())
					runtime.Gosched()
				}
			})
		}
		for range 100 {
			seen := map[int]int{}
			for id, status := range d.All() {
				seen[id]++
				if status.State > Up || status.Since.IsZero() || status.LastHeard.IsZero() != (status.State == Unknown) ||
					status.LastHeard.After(time.Now()) {
					t.Errorf("%d: %+v", id, status)
				}
			}
			for id := range fixed {
				if seen[id] != 1 {
					t.Fatalf("%d came %d times", id, seen[id])
				}
			}
		}
		done.Store(true)
		working.Wait()
	})
}

func TestStateAsText(t *testing.T) {
	got, err := json.Marshal(map[State]Status{Suspect: {State: Down}})
	if err != nil || !strings.HasPrefix(string(got), `{"suspect":{"State":"down",`) {
		t.Errorf("%s, %v", got, err)
	}
	if text, err := State(9).MarshalText(); string(text) != "State(9)" || err != nil {
		t.Errorf("%s, %v", text, err)
	}
}

// A Detector that was not made by New says so, in each method.
func TestZeroDetector(t *testing.T) {
	var d Detector[string]
	for name, f := range map[string]func(){
		"Watch":         func() { d.Watch("a", 0) },
		"Forget":        func() { d.Forget("a") },
		"Restart":       func() { d.Restart("a") },
		"Heartbeat":     func() { d.Heartbeat("a") },
		"HeartbeatSeq":  func() { d.HeartbeatSeq("a", 1) },
		"HeartbeatAt":   func() { d.HeartbeatAt("a", time.Now(), 1) },
		"Batch":         func() { d.Batch([]Beat[string]{{ID: "a"}}) },
		"Batch of none": func() { d.Batch(nil) },
		"Alive":         func() { d.Alive("a", time.Now()) },
		"SetInterval":   func() { d.SetInterval("a", second) },
		"SetThresholds": func() { d.SetThresholds(1, 2) },
		"Phi":           func() { d.Phi("a") },
		"State":         func() { d.State("a") },
		"Status":        func() { d.Status("a") },
		"All":           func() { d.All() },
		"Events":        func() { d.Events(context.Background()) },
		"Close":         func() { d.Close() },
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); got != "detector: a Detector that New did not make" {
					t.Errorf("%s: panic %v", name, got)
				}
			}()
			f()
		}()
	}
}

// A machine that slept finds its peers' numbers far ahead, by a clock that stood still. A peer
// that dies then is told as fast as any.
func TestPeerDiesAfterTheMachineSlept(t *testing.T) {
	report := map[string]func(d *Detector[string], seq uint64){
		"HeartbeatSeq": func(d *Detector[string], seq uint64) { d.HeartbeatSeq("a", seq) },
		"HeartbeatAt":  func(d *Detector[string], seq uint64) { d.HeartbeatAt("a", time.Now(), seq) },
		"Batch":        func(d *Detector[string], seq uint64) { d.Batch([]Beat[string]{{ID: "a", Seq: seq}}) },
	}
	for name, report := range report {
		t.Run(name, func(t *testing.T) {
			took := func(slept uint64, awake int) (took time.Duration) {
				synctest.Test(t, func(t *testing.T) {
					d, _ := New[string](Config{})
					defer d.Close()
					events := d.Events(t.Context())
					d.Watch("a", 0)
					seq := uint64(0)
					for n := range 300 + awake {
						if n == 300 {
							seq += slept
						}
						time.Sleep(second)
						seq++
						report(d, seq)
					}
					died := time.Now()
					for e := range events {
						if e.To == Down {
							took = e.At.Sub(died)
							break
						}
					}
				})
				return took
			}
			for _, awake := range []int{1, 10, 200} {
				want := took(0, awake)
				for _, slept := range []uint64{2, 5, 20, 60, 28_800} {
					if got := took(slept, awake); got > want+second/10 {
						t.Errorf("slept for %d heartbeats, awake for %d: told after %v, without the sleep %v", slept, awake, got, want)
					}
				}
			}
		})
	}
}
