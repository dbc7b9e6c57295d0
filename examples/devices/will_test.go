package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pulsering/pulsering/detector/link"
)

// What may befall a device, a letter each, three seconds apart. opPass is longer than it takes to
// miss a device, and the grace, which is longer than all the others together.
const (
	opDrop  = 'd' // the connection fails, and the device makes another one
	opCut   = 'x' // the path is lost
	opMend  = 'm' // and back
	opCrash = 'c'
	opBye   = 'b'
	opStart = 's'
	opPass  = 'p'
	opsAll  = "dxmcbsp"
)

// expected is the dumb reference: which wills are delivered, by the number of the device's wills,
// and how many after each letter. A device that is silent for too long has died, and one that came
// back in time, or said goodbye, has not. It says a new will whenever it is switched on, or its
// session is new.
func expected(ops string) (wills, counts []int) {
	on, cutOff, session := true, false, true
	said := 1
	for _, op := range ops {
		switch op {
		case opCut:
			cutOff = cutOff || on
		case opMend:
			if cutOff && !session { // it finds out with its next beat, and comes back
				said++
			}
			session = session || cutOff
			cutOff = false
		case opCrash:
			on, cutOff = false, false
		case opBye:
			if on && !cutOff { // nobody hears it through a path that is lost
				session = false
			}
			on, cutOff = false, false
		case opStart:
			if !on {
				on, session = true, true
				said++
			}
		case opPass:
			if session && (!on || cutOff) {
				session = false
				wills = append(wills, said)
			}
		}
		counts = append(counts, len(wills))
	}
	return wills, counts
}

// tryOps has it befall one device, and compares.
func tryOps(t *testing.T, ops string) {
	inWorld(t, 1, time.Second, 30*time.Second, func(w *world) {
		w.on()
		w.pass(3 * time.Second)
		wills, want := expected(ops)
		on := true
		for i, op := range ops {
			switch op {
			case opDrop:
				w.order(drop, 0)
			case opCut:
				if on {
					w.order(cut, 0)
				}
			case opMend:
				w.order(mend, 0)
			case opCrash:
				w.order(crash, 0)
				on = false
			case opBye:
				w.order(leave, 0)
				on = false
			case opStart:
				w.order(start, 0)
				on = true
			case opPass:
				w.pass(90 * time.Second)
			}
			w.pass(3 * time.Second)
			if n := len(w.delivered()); n != want[i] {
				w.Errorf("%s: %d wills after %q, want %d", ops, n, ops[:i+1], want[i])
				return
			}
		}
		for i, last := range w.delivered() {
			begin := fmt.Sprintf("will %d: look after %s", wills[i], nameOf(0))
			if last.Session != nameOf(0) || !strings.HasPrefix(string(last.Message), begin) {
				w.Errorf("%s: delivered %q, want %q", ops, last.Message, begin)
			}
		}
	})
}

// Each order of two, and some of eight: a will is delivered once for each death, and for nothing
// else.
func TestWillOncePerDeath(t *testing.T) {
	for _, story := range []struct{ ops, why string }{
		{"dp", "a drop with a return within the grace"},
		{"cp", "a crash"},
		{"bp", "a goodbye"},
		{"csp", "a crash and a return within the grace"},
		{"cpscp", "a crash, a return with a new will, and another crash"},
		{"xmp", "a path that is lost for a moment"},
		{"xpmxp", "a path that is lost twice for long"},
		{"xbp", "a goodbye that nobody hears"},
		{"cpsbp", "a crash, a return and a goodbye"},
		{"bscp", "a goodbye, a return and a crash"},
	} {
		t.Run(strings.ReplaceAll(story.why, " ", "_"), func(t *testing.T) { tryOps(t, story.ops) })
	}
	for _, a := range opsAll {
		for _, b := range opsAll {
			tryOps(t, string([]rune{a, b, opPass}))
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		ops := make([]byte, 8)
		for i := range ops {
			ops[i] = opsAll[random.IntN(len(opsAll))]
		}
		tryOps(t, string(ops))
	}
}

// gone is an event.
func gone(bye bool, since time.Time, cause link.Cause) link.Event {
	return link.Event{Goodbye: bye, At: since, Session: link.Session{ID: "a", State: link.Gone, Cause: cause, Since: since}}
}

// Rules that need an event which comes late.
func TestWillTake(t *testing.T) {
	zero := time.Now()
	at := func(seconds int) time.Time { return zero.Add(time.Duration(seconds) * time.Second) }
	type step struct {
		say  string // at a time
		at   int
		e    link.Event
		want string // "": nothing is delivered
	}
	for name, steps := range map[string][]step{
		"the end of the old session comes after the will of the new one": {
			{say: "old", at: 0}, {say: "new", at: 21},
			{e: gone(false, at(20), link.Clean), want: "old"},
			{e: gone(false, at(40), link.Path), want: "new"},
		},
		"the goodbye of the old session comes after the will of the new one": {
			{say: "old", at: 0}, {say: "new", at: 21},
			{e: gone(true, at(20), link.Clean)},
			{e: gone(false, at(40), link.Path), want: "new"},
		},
		"the same end twice": {
			{say: "x", at: 0},
			{e: gone(false, at(20), link.Clean), want: "x"},
			{e: gone(false, at(20), link.Clean)},
		},
		"a later will takes the place of the one before": {
			{say: "x", at: 0}, {say: "y", at: 1},
			{e: gone(false, at(16), link.Clean), want: "y"},
		},
		"nobody left a will": {{e: gone(false, at(16), link.Clean)}},
		"an end that is no end": {
			{say: "x", at: 0},
			{e: link.Event{From: link.Up, At: at(3), Session: link.Session{ID: "a", State: link.Away}}},
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			w := newWills()
			for i, s := range steps {
				if s.say != "" {
					if err := w.say("a", []byte(s.say), at(s.at)); err != nil {
						t.Fatal(err)
					}
					continue
				}
				last, died := w.take(s.e)
				if string(last.Message) != s.want || died != (s.want != "") {
					t.Errorf("step %d: %q, %v; want %q", i, last.Message, died, s.want)
				}
			}
		})
	}
}

func TestWillLimits(t *testing.T) {
	w := newWills()
	if w.say("a", make([]byte, maxWill+1), time.Now()) == nil || w.kept() != 0 {
		t.Error("a will that is too long was kept")
	}
	now := time.Now()
	for i := range 1000 {
		if err := w.say("a", fmt.Append(nil, i), now); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(w.said["a"]); n > maxSayings {
		t.Errorf("%d sayings are kept of one session", n)
	}
	if last, _ := w.take(gone(false, now.Add(time.Minute), link.Clean)); string(last.Message) != "999" {
		t.Errorf("delivered %q", last.Message)
	}
	if w.kept() != 0 {
		t.Error("a will is kept for somebody who is gone")
	}
}

// A subscriber that takes so long that a device dies, comes back and dies again meanwhile still
// gets both wills, each once; one that has cancelled gets none.
func TestWillSlowSubscriber(t *testing.T) {
	inWorld(t, 2, time.Second, 10*time.Second, func(w *world) {
		var got []string
		w.gateway.wills.subscribe(func(last will) {
			time.Sleep(25 * time.Second)
			got = append(got, last.Session)
		})
		w.gateway.wills.subscribe(func(will) { w.Error("a subscription that was cancelled") })()
		w.on()
		w.pass(3 * time.Second)
		w.order(crash, 1)
		w.pass(11 * time.Second) // the subscriber is busy with it from here on
		w.order(crash, 0)
		w.pass(12 * time.Second)
		w.order(start, 0)
		w.pass(time.Second)
		w.order(crash, 0)
		w.pass(time.Minute + 30*time.Second)
		if want := []string{nameOf(1), nameOf(0), nameOf(0)}; !slices.Equal(got, want) {
			w.Errorf("the wills of %v, want %v", got, want)
		}
	})
}
