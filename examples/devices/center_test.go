package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/detector"
	"github.com/pulsering/pulsering/detector/link"
)

// Two hours of days and nights, in which batteries run low: no schedule that was announced is taken
// for silence, here or at the center.
func TestSchedulesRaiseNoSuspicion(t *testing.T) {
	inWorld(t, 20, 20*time.Second, 2*time.Minute, func(w *world) {
		ctx, cancel := context.WithCancel(w.Context())
		doubts := w.center.judge.Events(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for e := range doubts {
				if e.To == detector.Suspect || e.To == detector.Down {
					w.Errorf("the center has %s %v, φ %.1f", e.ID, e.To, e.Phi)
				}
			}
		}()
		w.on()
		promises := map[time.Duration]bool{}
		for range 120 {
			w.pass(time.Minute)
			for _, s := range w.gateway.server.Sessions() {
				promises[s.Every] = true
			}
		}
		for _, e := range slices.Concat(w.saw(link.Suspect), w.saw(link.Away)) {
			w.Errorf("%s is %s, φ %.1f, every %v", e.Session.ID, e.Kind(), e.Session.Phi, e.Session.Every)
		}
		for _, factor := range []time.Duration{1, nightFactor, lowFactor} {
			if !promises[factor*w.every] {
				w.Errorf("nobody beat every %v: %v", factor*w.every, promises)
			}
		}
		if n := w.center.count(); n["up"] != 20 {
			w.Errorf("the center has %v", n)
		}
		cancel()
		<-done
	})
}

// agreed is a state in the words of both: one that was not heard yet is up to the gateway.
func agreed(state string) string { return strings.Replace(state, "unknown", "up", 1) }

// Whatever befalls the devices, the center, which has no connection to them, agrees with the
// gateway within a beat.
func TestCenterAgrees(t *testing.T) {
	const devices = 30
	inWorld(t, devices, 5*time.Second, 25*time.Second, func(w *world) {
		w.on()
		w.pass(20 * time.Second)
		random := rand.New(rand.NewPCG(3, 4))
		since := map[string]time.Time{}
		seen := map[string]int{}
		for second := range 1200 {
			if second%10 == 0 {
				n := random.IntN(devices)
				all := []deed{stick, cut, mend, drop, crash, leave, start}
				do := all[random.IntN(len(all))]
				if do != start || w.fleet.devices[n].client == nil {
					w.order(do, n)
				}
			}
			w.pass(time.Second)
			now := time.Now()
			for _, s := range w.gateway.server.Sessions() {
				there, _ := w.center.verdict(s.ID)
				seen[there]++
				if agreed(there) == agreed(s.State.String()) {
					delete(since, s.ID)
					continue
				}
				if since[s.ID].IsZero() {
					since[s.ID] = now
				}
				if d := now.Sub(since[s.ID]); d > s.Every {
					w.Fatalf("%s is %s at the gateway and %s at the center since %v, beats are %v apart", s.ID, s.State, there, d, s.Every)
				}
			}
		}
		for _, state := range []string{"up", "suspect", "away", "gone"} {
			if seen[state] == 0 {
				w.Errorf("the center had nobody %s: %v", state, seen)
			}
		}
	})
}

// The center's own φ finds who is silent when the gateway's does, within a beat; also one that was
// away before, whose absence was no silence of its line.
func TestCenterFindsByItself(t *testing.T) {
	inWorld(t, 10, 5*time.Second, time.Minute, func(w *world) {
		down := map[string]time.Time{}
		ctx, cancel := context.WithCancel(w.Context())
		doubts := w.center.judge.Events(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for e := range doubts {
				if e.To == detector.Down {
					down[e.ID] = e.At
				}
			}
		}()
		w.on()
		w.pass(25 * time.Second)
		w.order(crash, 4)
		w.pass(40 * time.Second)
		w.order(start, 4)
		w.pass(time.Minute)
		w.order(stick, 0, 1, 4)
		w.order(cut, 2, 3)
		w.pass(3 * time.Minute)
		cancel()
		<-done
		lost := map[string]link.Event{} // the latest of each
		for _, e := range w.saw(link.Away) {
			lost[e.Session.ID] = e
		}
		if len(lost) != 5 || len(down) != 5 {
			w.Fatalf("the gateway lost %d, the center %d, want 5", len(lost), len(down))
		}
		for id, e := range lost {
			if d := down[id].Sub(e.At).Abs(); d > e.Session.Every {
				w.Errorf("%s: %v between the two, beats are %v apart", id, d, e.Session.Every)
			}
		}
	})
}

// Reports that waited for a connection are as old as they are: who died meanwhile was heard before.
// And while none come the center believes nobody, but the two whose batteries are low, who sleep
// for longer.
func TestReportsThatWaited(t *testing.T) {
	inWorld(t, 10, 2*time.Second, time.Minute, func(w *world) {
		w.on()
		w.pass(26 * time.Second) // the second morning
		w.up.set(true)
		w.pass(4 * time.Second)
		w.order(cut, 1)
		died := time.Now()
		w.pass(8 * time.Second) // within the center's grace
		if n := w.center.count(); n["up"] > 2 {
			w.Errorf("without reports for 12 s the center has %v", n)
		}
		w.up.set(false)
		w.pass(20 * time.Second)
		if s, _ := w.center.judge.Status(nameOf(1)); s.LastHeard.After(died.Add(worldReport)) || s.LastHeard.IsZero() {
			w.Errorf("%s was heard %v after its path was lost, says the center", nameOf(1), s.LastHeard.Sub(died))
		}
		if n := w.center.count(); n["up"] != 9 {
			w.Errorf("the center has %v, want 9 up", n)
		}
	})
}

// A gateway whose center is away drops what does not fit behind it, and tells everything anew then:
// who has left meanwhile is not kept.
func TestToldAnewWhenBehind(t *testing.T) {
	inWorld(t, 10, 4*time.Second, time.Minute, func(w *world) {
		w.on()
		w.pass(10 * time.Second)
		w.up.set(true)
		synctest.Wait()
		filler := report{Sent: time.Since(w.gateway.reporter.begun)}
		for n := maxReport - 1000; n > 0; n /= 2 { // less and less, until nothing fits
			filler.Beats = make([]detector.Beat[string], n/4)
			data, err := filler.encode()
			if err != nil {
				w.Fatal(err)
			}
			for w.gateway.center.Send(data) == nil {
			}
		}
		w.order(leave, 0)
		w.order(crash, 1)
		w.pass(5 * time.Second) // within the center's grace
		w.up.set(false)
		w.pass(90 * time.Second)
		if n := w.center.count(); n["up"] != 8 || len(n) != 1 {
			w.Errorf("the center has %v, want 8 up", n)
		}
	})
}

// A center that begins anew is told of everybody, those who are away too.
func TestToldAnewAfterRestart(t *testing.T) {
	inWorld(t, 10, 4*time.Second, 10*time.Minute, func(w *world) {
		w.on()
		w.pass(10 * time.Second)
		w.order(crash, 1)
		w.pass(10 * time.Second)
		w.restartCenter()
		w.pass(90 * time.Second)
		if n := w.center.count(); n["up"] != 9 || n["away"] != 1 {
			w.Errorf("the center has %v, want 9 up and 1 away", n)
		}
	})
}

// A session that came, and whose connection ended, between two reports is told.
func TestReporter(t *testing.T) {
	zero := time.Now()
	at := func(seconds int) time.Time { return zero.Add(time.Duration(seconds) * time.Second) }
	session := func(state link.State, remote string, heard int, every time.Duration) []link.Session {
		return []link.Session{{ID: "a", State: state, Remote: remote, LastHeard: at(heard), Every: every}}
	}
	r := newReporter(zero)
	for i, s := range []struct {
		sessions []link.Session
		ops      []op
		beats    int
	}{
		{nil, nil, 0},
		{session(link.Away, "1", 1, time.Minute), []op{arrived, ended}, 0},
		{session(link.Away, "1", 1, time.Minute), nil, 0},
		{session(link.Up, "2", 3, time.Minute), []op{arrived}, 0},
		{session(link.Up, "2", 3, time.Minute), nil, 0},
		{session(link.Suspect, "2", 5, time.Minute), nil, 1},
		{session(link.Up, "2", 6, time.Hour), []op{planned}, 1},
		{session(link.Up, "3", 7, time.Hour), []op{arrived}, 0}, // resumed meanwhile
		{session(link.Gone, "3", 7, time.Hour), []op{left}, 0},
		{session(link.Gone, "3", 7, time.Hour), nil, 0},
		{session(link.Up, "4", 10, time.Hour), []op{arrived}, 0},
		{nil, []op{left}, 0},
	} {
		news := r.next(s.sessions, at(i))
		var ops []op
		for _, c := range news.Changes {
			ops = append(ops, c.Op)
		}
		if !slices.Equal(ops, s.ops) || len(news.Beats) != s.beats || news.Whole != (i == 0) || news.Sent != at(i).Sub(zero) {
			t.Errorf("report %d: %+v, want changes %v and %d beats", i, news, s.ops, s.beats)
		}
	}
}

func TestReport(t *testing.T) {
	good := report{
		Whole: true, Sent: time.Hour,
		Changes: []change{{arrived, "a", time.Minute}, {left, strings.Repeat("b", maxID), 0}},
		Beats:   []detector.Beat[string]{{ID: "a", Age: time.Second}},
	}
	data, err := good.encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeReport(data)
	if err != nil || got.Whole != good.Whole || got.Sent != good.Sent || !slices.Equal(got.Changes, good.Changes) ||
		!slices.Equal(got.Beats, good.Beats) {
		t.Errorf("%+v, %v; want %+v", got, err, good)
	}
	for n := range data {
		if _, err := decodeReport(data[:n]); err == nil {
			t.Errorf("%d bytes of %d were taken", n, len(data))
		}
	}
	if _, err := decodeReport(append(data, 0)); err == nil {
		t.Error("a report with a byte too many was taken")
	}
	for name, bad := range map[string]report{
		"an op":      {Changes: []change{{0, "a", 0}}},
		"a long id":  {Changes: []change{{left, strings.Repeat("b", maxID+1), 0}}},
		"no id":      {Changes: []change{{left, "", 0}}},
		"an every":   {Changes: []change{{arrived, "a", maxPromise + time.Second}}},
		"a long way": {Sent: maxSent + time.Hour},
	} {
		data, err := bad.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeReport(data); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func FuzzDecodeReport(f *testing.F) {
	data, _ := report{
		Changes: []change{{arrived, "a", time.Minute}, {left, "b", 0}},
		Beats:   []detector.Beat[string]{{ID: "a", Age: time.Second}},
	}.encode()
	f.Add(data)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeReport(b)
		if err != nil {
			return
		}
		again, err := r.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeReport(again); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	})
}
