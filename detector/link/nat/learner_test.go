package nat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/detector/link"
)

// student is a Learner in a world, and what it said.
type student struct {
	*Learner
	mu   sync.Mutex
	said []time.Duration
	here Network
}

func (w *world) learn(cfg Config) *student {
	w.t.Helper()
	s := &student{here: Network{ID: "home", Name: "home"}}
	cfg.Dial, cfg.Server = w.dial, "gate:1"
	cfg.Set = func(d time.Duration) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.said = append(s.said, d)
	}
	cfg.Network = func(context.Context) (Network, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.here.ID == "" {
			return Network{}, errCable
		}
		return s.here, nil
	}
	l, err := Learn(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	s.Learner = l
	return s
}

func (s *student) move(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.here = Network{ID: id, Name: id}
}

func (s *student) words() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Trim(fmt.Sprint(s.said), "[]")
}

func event(state link.State, cause link.Cause) link.Event {
	return link.Event{Session: link.Session{State: state, Cause: cause}}
}

// It begins with the safe interval and goes up step by step, with one spare connection at a time.
func TestLearnerGoesUp(t *testing.T) {
	inWorld(t, dropping, 65*time.Second, func(t *testing.T, w *world) {
		s := w.learn(Config{})
		defer s.Close()
		if got := s.words(); got != "15s" {
			t.Errorf("before anything is known: %s", got)
		}
		time.Sleep(time.Hour)
		if got := s.words(); got != "15s 22s 30s" || s.Interval() != 30*time.Second || s.Err() != nil {
			t.Errorf("%s, at last %v, %v; want 15s 22s 30s", got, s.Interval(), s.Err())
		}
		if dials, most := w.count(); most != 1 || dials != 7 { // 30, 45, 60, 90 twice, and two to see whether the server is there
			t.Errorf("%d connections, %d at a time; want 7, 1", dials, most)
		}
	})
}

// A loss at an interval that was learnt: at once the safe one, also while a spare connection
// sleeps, and anew after a while.
func TestLearnerFallsBack(t *testing.T) {
	inWorld(t, dropping, 0, func(t *testing.T, w *world) {
		m, _ := openMemory(t)
		s := w.learn(Config{Memory: m})
		defer s.Close()
		time.Sleep(5 * time.Minute) // 30 + 45 + 60 + 90 s are over, and 2 min are tried
		if s.Interval() != 45*time.Second {
			t.Fatalf("interval %v", s.Interval())
		}
		s.Saw(event(link.Away, link.Path))
		if s.Interval() != DefaultSafe || !strings.HasSuffix(s.words(), " 15s") {
			t.Errorf("after the loss %v, said %s", s.Interval(), s.words())
		}
		synctest.Wait()
		if w.left() != 0 {
			t.Error("a spare connection sleeps while the other one is lost")
		}
		dials, _ := w.count()
		time.Sleep(time.Minute)
		s.Saw(event(link.Up, 0))
		time.Sleep(9 * time.Minute)
		if now, _ := w.count(); now != dials || s.Interval() != DefaultSafe {
			t.Errorf("%d spare connections within 10 min of the loss, interval %v", now-dials, s.Interval())
		}
		if r, ok := m.Load(s.here, "gate:1", time.Now()); !ok || r.Losses != 1 || r.Held != 0 {
			t.Errorf("remembered %+v", r)
		}
		time.Sleep(time.Hour)
		if s.Interval() != DefaultLearnt {
			t.Errorf("an hour later %v", s.Interval())
		}
	})
}

// What the network is not to blame for changes nothing: a loss at the safe interval, or one that
// this end made.
func TestLossesThatDoNotCount(t *testing.T) {
	inWorld(t, dropping, 35*time.Second, func(t *testing.T, w *world) {
		s := w.learn(Config{})
		defer s.Close()
		time.Sleep(time.Hour)
		s.Saw(event(link.Away, link.Path))
		s.Saw(event(link.Up, 0))
		synctest.Wait()
		if s.words() != "15s" || s.course.losses != 0 {
			t.Errorf("at the safe interval: %s, %d losses", s.words(), s.course.losses)
		}
	})
	inWorld(t, dropping, 0, func(t *testing.T, w *world) {
		s := w.learn(Config{})
		defer s.Close()
		time.Sleep(time.Hour)
		s.Saw(event(link.Away, link.Local))
		s.Saw(event(link.Up, 0))
		synctest.Wait()
		if s.Interval() != DefaultLearnt || s.course.losses != 0 {
			t.Errorf("this end closed it: %v, %d losses", s.Interval(), s.course.losses)
		}
	})
}

// Each network has its own interval, which is remembered; a loss that came with the move is not the
// old one's fault.
func TestLearnerMoves(t *testing.T) {
	inWorld(t, dropping, 0, func(t *testing.T, w *world) {
		m, path := openMemory(t)
		s := w.learn(Config{Memory: m})
		time.Sleep(time.Hour)
		if s.Interval() != DefaultLearnt {
			t.Errorf("at home %v", s.Interval())
		}
		s.Saw(event(link.Away, link.Path))
		s.move("train")
		w.set(closing, 40*time.Second)
		s.Saw(event(link.Up, 0))
		synctest.Wait()
		if s.Interval() != DefaultSafe {
			t.Errorf("in the train, at first %v", s.Interval())
		}
		time.Sleep(time.Hour)
		if s.Interval() != DefaultSafe {
			t.Errorf("in the train %v, want 15 s of 30 s that hold", s.Interval())
		}
		s.Saw(event(link.Away, link.Clean))
		s.move("home")
		w.set(dropping, 0)
		s.Saw(event(link.Up, 0))
		synctest.Wait()
		if s.Interval() != DefaultLearnt {
			t.Errorf("at home again %v", s.Interval())
		}
		s.Close()
		dials, _ := w.count()
		again, err := OpenMemory(path)
		if err != nil {
			t.Fatal(err)
		}
		next := w.learn(Config{Memory: again})
		defer next.Close()
		time.Sleep(time.Hour)
		if now, _ := w.count(); next.Interval() != DefaultLearnt || now != dials {
			t.Errorf("the next process: %v after %d spare connections", next.Interval(), now-dials)
		}
	})
}

// Where the network is not known nothing is remembered, and it learns all the same.
func TestLearnerWithoutNetwork(t *testing.T) {
	inWorld(t, dropping, 0, func(t *testing.T, w *world) {
		m, _ := openMemory(t)
		s := w.learn(Config{Memory: m})
		defer s.Close()
		s.move("")
		s.Saw(event(link.Away, link.Path))
		s.Saw(event(link.Up, 0))
		synctest.Wait()
		if !errors.Is(s.Err(), errCable) {
			t.Errorf("error %v", s.Err())
		}
		time.Sleep(time.Hour)
		if list, _ := m.read(); s.Interval() != DefaultLearnt || slices.ContainsFunc(list, func(r storedRecord) bool { return r.Held > 0 }) {
			t.Errorf("%v, remembered %+v", s.Interval(), list)
		}
	})
}

// A server that is down teaches nothing. When it is back it goes on.
func TestLearnerWithoutServer(t *testing.T) {
	inWorld(t, dropping, 0, func(t *testing.T, w *world) {
		s := w.learn(Config{})
		defer s.Close()
		time.Sleep(50 * time.Second) // 30 s held, and 45 s are tried
		w.stop()
		time.Sleep(10 * time.Minute)
		if s.Interval() != DefaultSafe || !errors.Is(s.Err(), ErrNoServer) || s.course.forgotten != 0 {
			t.Errorf("%v, %v, %+v", s.Interval(), s.Err(), s.course)
		}
		if dials, _ := w.count(); dials > 8 {
			t.Errorf("%d connections in 10 min to a server that is down", dials)
		}
		w.start()
		time.Sleep(2 * time.Hour)
		if s.Interval() != DefaultLearnt || s.Err() != nil {
			t.Errorf("%v, %v", s.Interval(), s.Err())
		}
	})
}

// A memory that cannot be written is said, and nothing else.
func TestLearnerThatCannotRemember(t *testing.T) {
	inWorld(t, dropping, 65*time.Second, func(t *testing.T, w *world) {
		s := w.learn(Config{Memory: &Memory{path: "/dev/null/m.json"}})
		defer s.Close()
		time.Sleep(time.Hour)
		if s.Interval() != 30*time.Second || s.Err() == nil {
			t.Errorf("%v, %v", s.Interval(), s.Err())
		}
	})
}

// Close ends a spare connection in its sleep, at any moment; Set is not called afterwards.
func TestLearnerCloses(t *testing.T) {
	for after := range 20 {
		inWorld(t, closing, 40*time.Second, func(t *testing.T, w *world) {
			s := w.learn(Config{})
			time.Sleep(time.Duration(after) * 7 * time.Second)
			begin := time.Now()
			s.Close()
			s.Close()
			if d := time.Since(begin); d > 0 {
				t.Errorf("Close took %v", d)
			}
			said := s.words()
			s.Saw(event(link.Away, link.Path))
			s.Saw(event(link.Up, 0))
			time.Sleep(time.Hour)
			if s.words() != said || w.left() != 0 {
				t.Errorf("after Close: %s, then %s; %d connections", said, s.words(), w.left())
			}
		})
	}
}

func TestLearnerOutOfRange(t *testing.T) {
	_, err := Learn(Config{Safe: time.Millisecond, Longest: 2 * time.Hour, Anew: time.Second, Patience: -1})
	for _, want := range []string{"Config.Dial", "Config.Set", "Config.Safe = 1ms: want 1s to 10m0s", "Config.Longest = 2h0m0s: want ", "to 30m0s",
		"Config.Anew = 1s: want 1h0m0s to 2160h0m0s", "Config.Patience = -1ns"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: no %q", err, want)
		}
	}
	if _, err := Learn(Config{Safe: 5 * time.Minute, Longest: time.Minute}); err == nil || !strings.Contains(err.Error(), "Config.Longest = 1m0s: want 5m0s") {
		t.Errorf("%v", err)
	}
}

// A client whose interval is learnt beats below the limit: its connection is never lost.
func TestLearnerKeepsAClientUp(t *testing.T) {
	inWorld(t, dropping, 65*time.Second, func(t *testing.T, w *world) {
		client, err := link.Dial(t.Context(), link.Config{}, w.dial)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		l, err := Learn(Config{Dial: w.dial, Set: func(d time.Duration) { client.SetInterval(d) }})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		events := client.Events(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		lost := 0
		wg.Go(func() {
			for e := range events {
				if l.Saw(e); e.Session.State == link.Away {
					lost++
				}
			}
		})
		time.Sleep(10 * time.Minute)
		before := w.server.Stats().Pings.Load()
		time.Sleep(time.Hour)
		pings := w.server.Stats().Pings.Load() - before
		if lost > 0 || l.Interval() != 30*time.Second {
			t.Errorf("lost %d times, interval %v", lost, l.Interval())
		}
		if pings > 3600/22+1 {
			t.Errorf("%d pings in an hour: not the interval that was learnt", pings)
		}
	})
}
