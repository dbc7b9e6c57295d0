package link_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/detector/link"
)

// restart is how a server went away, and for how long nothing listens then.
type restart struct {
	ordered bool // it told each client when to come back; or else it crashed
	down    time.Duration
}

func (r restart) String() string {
	if r.ordered {
		return fmt.Sprintf("ordered, down for %v", r.down)
	}
	return fmt.Sprintf("crash, down for %v", r.down)
}

// returns are when clients tried to connect, and when each was back, since the server went.
type returns struct{ tries, back []time.Duration }

// simulate has so many clients lose their server at time 0. They do not notice each other, so each
// is simulated alone, with the decision that a Client makes. A try takes no time.
func (r restart) simulate(clients int, grace time.Duration, seed uint64) (all returns) {
	rng := rand.New(rand.NewPCG(seed, 1))
	random := func(d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(max(1, d)))) }
	for range clients {
		var told time.Duration
		if r.ordered {
			told = max(time.Millisecond, random(link.Spread(grace)).Round(time.Millisecond))
		}
		refused := false
		for tries, now := 0, time.Duration(0); ; tries++ {
			kept := grace
			if now >= grace {
				kept = 0
			}
			now += link.ComebackWait(tries, told, kept, refused, random)
			told = 0
			all.tries = append(all.tries, now)
			if now >= r.down {
				all.back = append(all.back, now)
				break
			}
			refused = true
		}
	}
	slices.Sort(all.tries)
	slices.Sort(all.back)
	return all
}

// peak is how many of the times, which are sorted, lie within d of each other at most.
func peak(times []time.Duration, d time.Duration) (most int) {
	first := 0
	for last := range times {
		for times[last]-times[first] >= d {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}

// share is when so large a part of the clients was back.
func (r returns) share(part float64) time.Duration {
	return r.back[min(len(r.back)-1, int(part*float64(len(r.back))))]
}

// A hundred thousand clients lose their server, and come back with the waits that Client has. The
// bounds are for those that a server which is up has to take; a try that is refused costs little.
func TestReturnsAreSpread(t *testing.T) {
	const clients = 100_000
	for _, test := range []struct {
		restart
		second, tenth int           // come back in any second, and in any 100 ms, at most
		back          time.Duration // until 99 % are back since the server is, at most
	}{
		{restart{true, 0}, 7_200, 850, 15 * time.Second},
		{restart{true, 5 * time.Second}, 22_500, 2_600, 10 * time.Second},
		{restart{true, 30 * time.Second}, 7_200, 850, 30 * time.Second},
		{restart{false, 0}, clients, 10_600, time.Second},
		{restart{false, 5 * time.Second}, 40_000, 4_700, 5 * time.Second},
		{restart{false, 30 * time.Second}, 6_000, 700, 30 * time.Second},
		{restart{false, 300 * time.Second}, 7_200, 850, 30 * time.Second},
	} {
		got := test.simulate(clients, link.DefaultGrace, 1)
		second, tenth := peak(got.back, time.Second), peak(got.back, time.Second/10)
		late := got.share(0.99) - test.down
		t.Logf("%-26v come back: %6d in a second, %5d in 100 ms; 99 %% after %5.1f s, half after %4.1f s;"+
			" tries: %6d in a second, %5d in 100 ms, %.1f each", test.restart, second, tenth, late.Seconds(),
			(got.share(0.5) - test.down).Seconds(), peak(got.tries, time.Second), peak(got.tries, time.Second/10),
			float64(len(got.tries))/clients)
		if second > test.second || tenth > test.tenth || late > test.back {
			t.Errorf("%v: %d come back in a second, %d in 100 ms, 99 %% after %v: want at most %d, %d, %v",
				test.restart, second, tenth, late, test.second, test.tenth, test.back)
		}
	}
}

// Real clients come back as the simulated ones do.
func TestClientsReturnAsSimulated(t *testing.T) {
	clients, most := 500, 0.12
	if raceDetector { // which fails itself with many more (a CHECK in tsan_rtl.cpp)
		clients, most = 20, 0.6
	}
	cfg := link.Config{Interval: 10 * time.Second} // few beats, as they are not the matter
	for _, r := range []restart{
		{true, 0}, {true, 5 * time.Second}, {true, 30 * time.Second},
		{false, 0}, {false, 5 * time.Second}, {false, 30 * time.Second}, {false, 300 * time.Second},
	} {
		t.Run(r.String(), func(t *testing.T) {
			inHarbour(t, cfg, func(t *testing.T, h *harbour) {
				var mu sync.Mutex
				var lost time.Time // when the server went
				var got returns
				dial := func(ctx context.Context) (link.Transport, error) {
					mu.Lock()
					defer mu.Unlock()
					h.mu.Lock()
					shut := h.shut
					h.mu.Unlock()
					if !lost.IsZero() {
						got.tries = append(got.tries, time.Since(lost))
					}
					if shut {
						return nil, fmt.Errorf("dial: %w", syscall.ECONNREFUSED)
					}
					if !lost.IsZero() {
						got.back = append(got.back, time.Since(lost))
					}
					return h.dial(ctx)
				}
				for range clients {
					c, err := link.Dial(t.Context(), link.Config{}, dial)
					if err != nil {
						t.Fatal(err)
					}
					h.clients = append(h.clients, c)
				}
				next, err := link.NewServer(cfg)
				if err != nil {
					t.Fatal(err)
				}
				defer next.Close()
				mu.Lock()
				lost = time.Now()
				mu.Unlock()
				h.setShut(r.down > 0)
				h.mu.Lock()
				before := h.server
				h.server = next
				h.mu.Unlock()
				if !r.ordered {
					h.cut()
				}
				before.Close()
				time.Sleep(r.down - time.Since(lost))
				h.setShut(false)
				time.Sleep(45 * time.Second) // 15 s until the first try, and 30 s to the next
				synctest.Wait()
				mu.Lock()
				defer mu.Unlock()
				slices.Sort(got.tries)
				slices.Sort(got.back)
				if len(got.back) != clients {
					t.Fatalf("%d of %d clients came back", len(got.back), clients)
				}
				want := r.simulate(100_000, link.DefaultGrace, 2)
				tries, back := distance(got.tries, want.tries), distance(got.back, want.back)
				t.Logf("%.1f tries each, simulated %.1f; 99 %% back after %v, simulated %v; distance %.3f, %.3f",
					float64(len(got.tries))/float64(clients), float64(len(want.tries))/100_000,
					got.share(0.99), want.share(0.99), tries, back)
				// Of n samples the distance is more than 2.7/√n once in a million times (Kolmogorov).
				if tries > most || back > most {
					t.Errorf("the distribution of tries is off by %.3f, that of returns by %.3f: want at most %.2f", tries, back, most)
				}
			})
		})
	}
}

// distance is the greatest difference of two distributions whose samples are sorted.
func distance(a, b []time.Duration) (most float64) {
	for i, j := 0, 0; i < len(a) && j < len(b); {
		if a[i] <= b[j] {
			i++
		} else {
			j++
		}
		most = max(most, float64(i)/float64(len(a))-float64(j)/float64(len(b)),
			float64(j)/float64(len(b))-float64(i)/float64(len(a)))
	}
	return most
}

// What a server that closes tells its clients is bounded, however short or long its Grace is.
func TestCloseSpreadsWhateverTheGrace(t *testing.T) {
	for grace, want := range map[time.Duration]time.Duration{
		-1: time.Second, 10 * time.Millisecond: time.Second, 20 * time.Second: 20 * time.Second, 24 * time.Hour: 30 * time.Second,
	} {
		inHarbour(t, link.Config{Grace: grace}, func(t *testing.T, h *harbour) {
			var peers []*peer
			for range 100 {
				p := h.peer(nil)
				p.say(`{"type":"hello"}`)
				peers = append(peers, p)
			}
			h.server.Close()
			synctest.Wait()
			late := 0
			for _, p := range peers {
				after, _ := p.told("retry")["after_ms"].(float64)
				wait := time.Duration(after) * time.Millisecond
				if wait <= 0 || wait > want {
					t.Fatalf("Grace %v: told to come back after %v, want up to %v", grace, wait, want)
				}
				if wait > want/2 {
					late++
				}
			}
			if late < 20 || late > 80 {
				t.Errorf("Grace %v: %d of 100 in the second half of %v", grace, late, want)
			}
		})
	}
}
