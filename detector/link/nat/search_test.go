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
)

func TestSearch(t *testing.T) {
	for _, test := range []struct {
		name               string
		how                forgets
		limit              time.Duration
		longest, precision time.Duration
		held, most         time.Duration // forgotten is at most so long
		outcome            Outcome
		interval           time.Duration
		atLeast, within    time.Duration
	}{
		{name: "nothing is forgotten", longest: 10 * time.Minute, held: 10 * time.Minute,
			interval: 5 * time.Minute, atLeast: 10 * time.Minute, within: 10*time.Minute + time.Second},
		{name: "60 s, silence", limit: 60*time.Second + time.Millisecond, held: time.Minute, most: 90 * time.Second, outcome: Silence,
			interval: 30 * time.Second, atLeast: 90 * time.Second, within: 135 * time.Second},
		{name: "60 s, deaf", how: deafening, limit: 60*time.Second + time.Millisecond, held: time.Minute, most: 90 * time.Second, outcome: Deaf,
			interval: 30 * time.Second, atLeast: 90 * time.Second, within: 130 * time.Second},
		{name: "50 s, told at once", how: closing, limit: 50 * time.Second, held: 45 * time.Second, most: 50 * time.Second, outcome: Reset,
			interval: 22 * time.Second, atLeast: 50 * time.Second, within: 51 * time.Second},
		{name: "350 s, reset, to a second", how: resetting, limit: 350*time.Second + time.Millisecond, precision: time.Second,
			held: 349*time.Second + 1, most: 351 * time.Second, outcome: Reset, interval: 174 * time.Second, atLeast: 10 * time.Minute, within: time.Hour},
		{name: "3 s, shorter than all", limit: 3 * time.Second, held: 1600 * time.Millisecond, most: 3400 * time.Millisecond, outcome: Silence,
			interval: 800 * time.Millisecond, atLeast: 15 * time.Second, within: time.Minute + 30*time.Second},
		{name: "3 s, and a coarse precision", limit: 3 * time.Second, precision: time.Minute, held: 1600 * time.Millisecond, most: 3400 * time.Millisecond,
			outcome: Silence, interval: 800 * time.Millisecond, atLeast: 15 * time.Second, within: time.Minute + 30*time.Second},
		{name: "15 s only", limit: 10 * time.Second, longest: 15 * time.Second, precision: 100 * time.Millisecond, held: 9900 * time.Millisecond,
			most: 10100 * time.Millisecond, outcome: Silence, interval: 4900 * time.Millisecond, atLeast: 15 * time.Second, within: 3 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, test.how, test.limit, func(t *testing.T, w *world) {
				var story []string
				s := Search{Dial: w.dial, Longest: test.longest, Precision: test.precision, Progress: func(p Progress) {
					story = append(story, fmt.Sprintf("%v %v %v", p.Sleep, p.Phase, p.Try.Outcome))
				}}
				begin := time.Now()
				got, err := s.Run(t.Context())
				took := time.Since(begin)
				if err != nil || !got.Complete {
					t.Errorf("%v, complete %v", err, got.Complete)
				}
				if got.Held < test.held || test.limit > 0 && got.Held > test.limit {
					t.Errorf("held %v, want %v to the limit", got.Held, test.held)
				}
				if got.Forgotten > test.most || test.limit > 0 && got.Forgotten < test.limit || got.How != test.outcome {
					t.Errorf("forgotten %v %v, want up to %v, %v", got.Forgotten, got.How, test.most, test.outcome)
				}
				if got.Interval < test.interval || got.Interval > got.Held/2 {
					t.Errorf("interval %v, want %v to half of %v", got.Interval, test.interval, got.Held)
				}
				if p := test.precision; p > 0 && got.Forgotten-got.Held > p {
					t.Errorf("%v to %v, want a distance of %v at most", got.Held, got.Forgotten, p)
				}
				if took < test.atLeast || took > test.within {
					t.Errorf("it took %v, want %v to %v", took, test.atLeast, test.within)
				}
				synctest.Wait()
				if w.left() != 0 {
					t.Errorf("%d connections are left", w.left())
				}
				if t.Failed() {
					t.Log(strings.Join(story, "\n"))
				}
			})
		})
	}
}

// A cable that is pulled while the server speaks makes one sleep look too long. A longer one that
// holds says better.
func TestOneAccidentIsNoLimit(t *testing.T) {
	inWorld(t, dropping, 0, func(t *testing.T, w *world) {
		begin := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			time.Sleep(29 * time.Second)
			w.mu.Lock() // what sleeps for 30 s is on a path that forgets; what comes afterwards is not
			for p := range w.paths {
				if p.asked == 30*time.Second {
					p.mu.Lock()
					p.forgot = true
					p.mu.Unlock()
				}
			}
			w.mu.Unlock()
		})
		got, err := Search{Dial: w.dial, Longest: 2 * time.Minute}.Run(t.Context())
		wg.Wait()
		if err != nil || got.Held != 2*time.Minute || got.Forgotten != 0 {
			t.Errorf("%+v, %v after %v", got, err, time.Since(begin))
		}
		n := 0
		for _, one := range got.Tries {
			if one.Outcome == Silence {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d accidents, want 1: %+v", n, got.Tries)
		}
	})
}

// Where no longer sleep says better, one that was forgotten is tried once more.
func TestOneAccidentOfTheLongest(t *testing.T) {
	inWorld(t, dropping, 10*time.Second, func(t *testing.T, w *world) {
		time.AfterFunc(14*time.Second, func() { w.set(dropping, 0) }) // for connections that are made later
		got, err := Search{Dial: w.dial, Longest: 15 * time.Second}.Run(t.Context())
		if err != nil || got.Held != 15*time.Second || got.Forgotten != 0 || len(got.Tries) != 2 {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// A server that goes away ends the search: what held before is told.
func TestSearchWithoutServer(t *testing.T) {
	inWorld(t, dropping, 0, func(t *testing.T, w *world) {
		var wg sync.WaitGroup
		wg.Go(func() {
			time.Sleep(50 * time.Second)
			w.stop()
		})
		begin := time.Now()
		got, err := Search{Dial: w.dial}.Run(t.Context())
		wg.Wait()
		if !errors.Is(err, ErrNoServer) || got.Held != 45*time.Second || got.Complete {
			t.Errorf("%+v, %v", got, err)
		}
		if d := time.Since(begin); d > time.Minute {
			t.Errorf("it took %v", d)
		}
		if _, err := (Search{Dial: w.dial}).Run(t.Context()); !errors.Is(err, ErrNoServer) {
			t.Errorf("no server from the beginning: %v", err)
		}
	})
}

// A gateway that goes away while the limit is refined: the limit is known to be between two, and
// the search ends.
func TestServerGoesWhileRefining(t *testing.T) {
	inWorld(t, closing, 50*time.Second, func(t *testing.T, w *world) {
		var wg sync.WaitGroup
		wg.Go(func() {
			time.Sleep(55 * time.Second)
			w.stop()
		})
		got, err := Search{Dial: w.dial, Precision: 100 * time.Millisecond}.Run(t.Context())
		wg.Wait()
		if !errors.Is(err, ErrNoServer) || got.Held != 45*time.Second || got.Forgotten == 0 || got.Complete {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// What is known so far is told when it is stopped.
func TestSearchIsStopped(t *testing.T) {
	inWorld(t, dropping, 0, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancelCause(t.Context())
		enough := errors.New("enough")
		time.AfterFunc(100*time.Second, func() { cancel(enough) })
		begin := time.Now()
		got, err := Search{Dial: w.dial}.Run(ctx)
		if !errors.Is(err, enough) || got.Held != 90*time.Second || got.Complete || time.Since(begin) != 100*time.Second {
			t.Errorf("%+v, %v after %v", got, err, time.Since(begin))
		}
	})
}

func TestSearchOutOfRange(t *testing.T) {
	_, err := Search{Longest: 2 * time.Hour, Precision: time.Millisecond, Patience: time.Hour}.Run(t.Context())
	for _, want := range []string{"Dial", "Longest = 2h0m0s: want 10ms to 1h0m0s", "Precision = 1ms: want 0, or 10ms to 10m0s",
		"Patience = 1h0m0s: want 100ms to 1m0s"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: no %q", err, want)
		}
	}
}

func TestLadder(t *testing.T) {
	for longest, want := range map[time.Duration]int{time.Second: 1, 15 * time.Second: 1, 16 * time.Second: 2, 10 * time.Minute: 11, time.Hour: 15} {
		if got := ladder(longest); len(got) != want || got[len(got)-1] != longest || !slices.IsSorted(got) {
			t.Errorf("%v: %v", longest, got)
		}
	}
}

// Whatever the bracket, the next sleeps lie inside, and each round makes it smaller.
func TestBetween(t *testing.T) {
	for _, high := range []time.Duration{2 * MinSleep, time.Second, 15 * time.Second, time.Hour} {
		for _, low := range []time.Duration{0, high / 2, high - MinSleep, high - 1} {
			for _, precision := range []time.Duration{0, MinSleep, time.Second, time.Minute} {
				list := between(low, high, precision, side)
				if len(list) > side || high-low > max(precision, 3*MinSleep) && len(list) == 0 {
					t.Errorf("%v to %v, %v: %v", low, high, precision, list)
				}
				for i, s := range list {
					if s <= low || s >= high || s < MinSleep || i > 0 && s <= list[i-1] {
						t.Errorf("%v to %v, %v: %v", low, high, precision, list)
					}
				}
			}
		}
	}
}

func TestBracket(t *testing.T) {
	held := func(d time.Duration) Try { return Try{Asked: d, Slept: d, Outcome: Held} }
	lost := func(d time.Duration, how Outcome) Try { return Try{Asked: d, Slept: d, Outcome: how} }
	for _, test := range []struct {
		what  string
		tries []Try
		want  bracket
	}{
		{"nothing", nil, bracket{}},
		{"all held", []Try{held(1), held(3), held(2)}, bracket{held: 3}},
		{"in order", []Try{held(1), lost(4, Silence), lost(3, Reset), held(2)}, bracket{2, 3, Reset}},
		{"one accident", []Try{held(1), lost(2, Silence), held(3), held(2)}, bracket{held: 3}},
		{"one accident, and a limit", []Try{held(1), lost(2, Silence), held(3), lost(5, Deaf)}, bracket{3, 5, Deaf}},
		{"two are no accident", []Try{held(1), lost(2, Silence), held(3), lost(2, Silence)}, bracket{1, 2, Silence}},
		{"closed long before its end", []Try{held(2), {Asked: 9, Slept: 4, Outcome: Reset}}, bracket{2, 4, Reset}},
		{"unclear is nothing", []Try{held(2), {Asked: 1, Slept: 1}}, bracket{held: 2}},
	} {
		if got := of(test.tries); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.what, got, test.want)
		}
	}
}
