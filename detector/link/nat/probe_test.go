package nat

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/tcp"
)

// try probes once.
func (w *world) try(sleep time.Duration) Try {
	return probe(w.t.Context(), w.dial, sleep, DefaultPatience, func() {})
}

func TestProbe(t *testing.T) {
	for _, test := range []struct {
		name         string
		how          forgets
		limit, sleep time.Duration
		want         Outcome
		slept        time.Duration
	}{
		{"no limit", dropping, 0, 30 * time.Minute, Held, 30 * time.Minute},
		{"below the limit", dropping, time.Minute, 59 * time.Second, Held, 59 * time.Second},
		{"silence", dropping, time.Minute, 61 * time.Second, Silence, 61 * time.Second},
		{"a reset when something is said", resetting, time.Minute, 90 * time.Second, Reset, 90 * time.Second},
		{"closed at the limit", closing, time.Minute, 10 * time.Minute, Reset, time.Minute},
		{"only the server is not heard", deafening, time.Minute, 90 * time.Second, Deaf, 90 * time.Second},
		{"the shortest", dropping, time.Minute, MinSleep, Held, MinSleep},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, test.how, test.limit, func(t *testing.T, w *world) {
				got := w.try(test.sleep)
				if got.Outcome != test.want || got.Err != nil || got.Asked != test.sleep {
					t.Errorf("%+v, want %v", got, test.want)
				}
				if err := about(got.Slept, test.slept, time.Millisecond); err != nil {
					t.Error("slept", err)
				}
				synctest.Wait()
				if w.left() != 0 {
					t.Errorf("%d connections are left", w.left())
				}
			})
		})
	}
}

// A server that goes down while a connection sleeps is no sleep that is too long.
func TestServerGoesDown(t *testing.T) {
	inWorld(t, dropping, 0, func(t *testing.T, w *world) {
		for _, test := range []struct {
			what string
			act  func()
			want error
		}{
			{"killed", w.stop, ErrNoServer},
			{"killed and started anew", w.start, errOther},
			{"ended in order", func() { w.server.Close() }, errGoes},
		} {
			var acts sync.WaitGroup
			acts.Go(func() {
				time.Sleep(20 * time.Second)
				test.act()
			})
			if got := w.try(30 * time.Second); got.Outcome != Unclear || !errors.Is(got.Err, test.want) {
				t.Errorf("%s: %+v, want unclear, %v", test.what, got, test.want)
			}
			acts.Wait()
			w.start()
		}
	})
}

// A cable that is pulled from before the server speaks until the question was asked in vain.
func TestCableIsPulled(t *testing.T) {
	inWorld(t, dropping, 29*time.Second, func(t *testing.T, w *world) {
		w.mu.Lock()
		w.limit = 29 * time.Second
		w.mu.Unlock()
		time.AfterFunc(25*time.Second, func() {
			w.mu.Lock()
			w.down = true
			w.mu.Unlock()
		})
		if got := w.try(30 * time.Second); got.Outcome != Unclear || !errors.Is(got.Err, ErrNoServer) {
			t.Errorf("%+v, want unclear", got)
		}
	})
}

// A server without room says so, and sleeps that it refuses count for nothing.
func TestServerIsFull(t *testing.T) {
	inWorld(t, dropping, 0, func(t *testing.T, w *world) {
		w.cfg.MaxSpares = 1
		w.start()
		var first sync.WaitGroup
		first.Go(func() {
			if got := w.try(time.Minute); got.Outcome != Held {
				t.Errorf("the first: %+v", got)
			}
		})
		time.Sleep(time.Second)
		got := w.try(time.Minute)
		if got.Outcome != Unclear || !errors.Is(got.Err, ErrFull) || !strings.Contains(got.Err.Error(), "MaxSpares") {
			t.Errorf("%+v, want unclear, as the server is full", got)
		}
		first.Wait()
		synctest.Wait() // the server has seen the end of the first
		if got := w.try(time.Minute); got.Outcome != Held {
			t.Errorf("there is room again: %+v", got)
		}
	})
}

// What can be said at once needs no sleep.
func TestProbeThatCannotBegin(t *testing.T) {
	inWorld(t, dropping, 0, func(t *testing.T, w *world) {
		begin := time.Now()
		for _, test := range []struct {
			what string
			dial link.Dialer
			want error
		}{
			{"no cable", func(context.Context) (link.Transport, error) { return nil, errCable }, errCable},
			{"no method Quiet here", func(ctx context.Context) (link.Transport, error) {
				c, err := w.dial(ctx)
				return restlessTransport{c}, err
			}, ErrRestless},
			{"a server of an earlier version", oldServer(w, `{"type":"welcome","v":1,"session":"x","secret":"y"}`), ErrRestless},
		} {
			if got := probe(t.Context(), test.dial, time.Minute, DefaultPatience, func() {}); got.Outcome != Unclear || !errors.Is(got.Err, test.want) {
				t.Errorf("%s: %+v, want unclear, %v", test.what, got, test.want)
			}
		}
		if d := time.Since(begin); d > time.Second {
			t.Errorf("it took %v", d)
		}
		if got := probe(t.Context(), oldServer(w, `x`), time.Minute, DefaultPatience, func() {}); !errors.Is(got.Err, ErrNoServer) {
			t.Errorf("a server that says nothing: %+v", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begin = time.Now()
		if got := probe(ctx, w.dial, time.Minute, DefaultPatience, func() {}); got.Outcome != Unclear || time.Since(begin) != 5*time.Second {
			t.Errorf("ended by its context: %+v after %v", got, time.Since(begin))
		}
	})
}

// oldServer is one that says something once, whatever comes.
func oldServer(w *world, says string) link.Dialer {
	return func(context.Context) (link.Transport, error) {
		a, b := net.Pipe()
		w.wg.Go(func() {
			c := tcp.NewServer(b, 0)
			defer c.Close()
			for {
				if _, err := c.Read(); err != nil {
					return
				}
				c.Write(link.Frame{Type: link.Text, Payload: []byte(says)})
			}
		})
		return tcp.New(a, 0), nil
	}
}

// A server that talks in its sleep keeps the path awake: nothing is known. One that is late says
// when it spoke.
func TestDisturbedSleep(t *testing.T) {
	for _, test := range []struct {
		what  string
		after time.Duration
		says  string
		want  error
	}{
		{"a ping", 10 * time.Second, `{"type":"slower"}`, errDisturbs},
		{"late", 34 * time.Second, `{"type":"wake","after_ms":34000}`, errLate},
	} {
		inWorld(t, dropping, 0, func(t *testing.T, w *world) {
			dial := func(context.Context) (link.Transport, error) {
				a, b := net.Pipe()
				w.wg.Go(func() {
					c := tcp.NewServer(b, 0)
					defer c.Close()
					if _, err := c.Read(); err != nil {
						return
					}
					say := func(s string) { c.Write(link.Frame{Type: link.Text, Payload: []byte(s)}) }
					say(`{"type":"welcome","v":1,"sleep_ms":30000,"boot":1}`)
					time.Sleep(test.after)
					say(test.says)
					time.Sleep(max(0, 30*time.Second-test.after))
					say(`{"type":"wake","after_ms":30000}`)
					c.Read()
				})
				return tcp.New(a, 0), nil
			}
			if got := probe(t.Context(), dial, 30*time.Second, DefaultPatience, func() {}); got.Outcome != Unclear || !errors.Is(got.Err, test.want) {
				t.Errorf("%s: %+v, want unclear, %v", test.what, got, test.want)
			}
		})
	}
}

// A clock that was set, or a machine that was suspended, cannot make a network forget; and it does
// not take back what held.
func TestClockStep(t *testing.T) {
	for _, test := range []struct {
		outcome     Outcome
		awake, wall time.Duration
		fresh       error
		want        Outcome
	}{
		{Silence, time.Minute, time.Minute, nil, Silence},
		{Reset, time.Minute, time.Minute + time.Second, nil, Reset},
		{Silence, time.Minute, time.Hour, nil, Unclear},        // suspended, or set forward
		{Deaf, time.Minute, time.Hour, nil, Unclear},           // likewise
		{Silence, time.Minute, -time.Hour, nil, Silence},       // set back: the other clock knows better
		{Held, time.Minute, time.Hour, nil, Held},              // suspended: it held for longer
		{Held, time.Minute, -time.Hour, nil, Held},             // set back
		{Silence, time.Minute, time.Minute, errOther, Unclear}, // another server
	} {
		got := Try{Outcome: test.outcome}.judged(test.awake, test.wall, test.fresh)
		if got.Outcome != test.want || (got.Err != nil) != (test.want == Unclear) {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

func TestHalf(t *testing.T) {
	for held, want := range map[time.Duration]time.Duration{
		0: 0, 15 * time.Second: 7500 * time.Millisecond, 45 * time.Second: 22 * time.Second, time.Minute: 30 * time.Second,
		10 * time.Minute: 5 * time.Minute, 5 * time.Second: 2500 * time.Millisecond, 33*time.Second + 333*time.Millisecond: 16 * time.Second,
		999 * time.Millisecond: 499 * time.Millisecond,
	} {
		if got := Half(held); got != want || got > held/2 {
			t.Errorf("half of %v is %v, want %v", held, got, want)
		}
	}
}

func TestOutcomesAsText(t *testing.T) {
	for o := Unclear; o <= Deaf; o++ {
		text, _ := o.MarshalText()
		var back Outcome
		if back.UnmarshalText(text); back != o || o.Forgotten() != strings.Contains("reset silence deaf", string(text)) {
			t.Errorf("%v becomes %v", o, back)
		}
	}
	if Outcome(77).String() != "unclear" {
		t.Error(Outcome(77))
	}
}
