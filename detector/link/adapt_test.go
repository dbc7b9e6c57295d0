package link_test

import (
	"math/rand/v2"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pulsering/pulsering/detector/link"
)

// The death of a client is found within Config.Within, also on a link whose answers come late at random. Nobody who lives is
// suspected for it, and when the link is good again, it is pinged as seldom as on one that always was. A link whose answers take 0.4 s
// each carries 2.5 a second: one that is pinged nearly as often gets later and later, is pinged more often for that, and stays so.
func TestWithin(t *testing.T) {
	for _, lateness := range []time.Duration{0, 200 * time.Millisecond, 800 * time.Millisecond} {
		t.Run(lateness.String(), func(t *testing.T) {
			inHarbour(t, link.Config{Within: 3 * time.Second}, func(t *testing.T, h *harbour) {
				const clients = 10
				var most atomic.Int64
				most.Store(int64(lateness))
				var dead atomic.Bool
				for i := range clients {
					rng := rand.New(rand.NewPCG(1, uint64(i)))
					p := h.peer(func(p *peer, f link.Frame) {
						if !dead.Load() {
							answer(p, f)
						}
					}, func(c net.Conn) net.Conn {
						return late{c, func() time.Duration { return time.Duration(rng.Int64N(most.Load() + 1)) }}
					})
					p.say(`{"type":"hello","session":"%d"}`, i)
				}
				rate := func() float64 { // of pings, a session and second
					before := h.server.Stats().Pings.Load()
					time.Sleep(time.Minute)
					return float64(h.server.Stats().Pings.Load()-before) / 60 / clients
				}
				time.Sleep(10 * time.Minute)
				late := rate()
				most.Store(0)
				time.Sleep(time.Hour)
				calm := rate()
				if events := h.told(); len(events) != clients {
					t.Errorf("events %q, want each up once", events)
				}
				most.Store(int64(lateness))
				time.Sleep(20 * time.Minute)
				lives := func(s link.Session) bool { return s.State < link.Away }
				begin := time.Now()
				dead.Store(true)
				for slices.ContainsFunc(h.server.Sessions(), lives) && time.Since(begin) < time.Minute {
					time.Sleep(10 * time.Millisecond)
				}
				took := time.Since(begin)
				t.Logf("%.2f pings a second, %.2f when the links are good again; the last death is found after %v", late, calm, took)
				// The last answers are on their way, and what the link is like again is being learnt: 3.9 s at most of 150 at 800 ms.
				if took > 3*time.Second+3*lateness/2 {
					t.Errorf("the last death is found after %v", took)
				}
				if calm > 1.5 || lateness == 0 && late > 1.4 || lateness > 500*time.Millisecond && (late < 1.4 || late > 1.85) {
					t.Errorf("%.2f pings a second, and %.2f when the links are good again", late, calm)
				}
			})
		})
	}
}
