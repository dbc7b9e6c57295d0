package nat

import (
	"errors"
	"testing"
	"time"
)

// journey is a course in a network that forgets after limit, and the time there.
type journey struct {
	*course
	t     *testing.T
	now   time.Time
	limit time.Duration
	tries []time.Duration
}

func newJourney(t *testing.T, limit time.Duration) *journey {
	return &journey{course: &course{safe: DefaultSafe, longest: DefaultLearnt, anew: DefaultAnew}, t: t, now: noon, limit: limit}
}

// outcome is what the network does.
func (j *journey) outcome(sleep time.Duration) Try {
	t := Try{Asked: sleep, Slept: sleep, Outcome: Held}
	if sleep > j.limit {
		t.Outcome = Silence
	}
	return t
}

// travel goes on until a time, and checks at each step that no interval is longer than half of the
// limit, once anything is known.
func (j *journey) travel(d time.Duration) {
	j.t.Helper()
	end := j.now.Add(d)
	for {
		sleep, at := j.try(j.now)
		if at.After(j.now) {
			if at.After(end) {
				j.now = end
				return
			}
			j.now = at
			continue
		}
		if j.now = j.now.Add(sleep); j.now.After(end) {
			j.now = end
			return
		}
		j.tries = append(j.tries, sleep)
		if len(j.tries) > 10000 {
			j.t.Fatal("it tries without end")
		}
		j.took(j.outcome(sleep), j.now)
		if i := j.interval(); i > j.safe && 2*i > j.limit {
			j.t.Errorf("an interval of %v, and the network forgets after %v", i, j.limit)
		}
	}
}

func TestCourseFindsTheLimit(t *testing.T) {
	for _, test := range []struct {
		limit, interval time.Duration
		tries           int
	}{
		{time.Hour, 4 * time.Minute, 9},                // 30 s to 8 min
		{65 * time.Second, 30 * time.Second, 5},        // 30, 45, 60, 90 twice
		{350 * time.Second, 150 * time.Second, 10},     // up to 5 min, 8 min twice
		{35 * time.Second, 15 * time.Second, 3},        // the safe one is the best
		{20 * time.Second, 7500 * time.Millisecond, 3}, // it was not so safe
		{5 * time.Second, 1800 * time.Millisecond, 7},
		{100 * time.Millisecond, 250 * time.Millisecond, 12},
	} {
		j := newJourney(t, test.limit)
		if j.interval() != DefaultSafe {
			t.Errorf("it begins at %v", j.interval())
		}
		j.travel(6 * 24 * time.Hour)
		if j.interval() != test.interval || len(j.tries) != test.tries {
			t.Errorf("limit %v: interval %v after %d tries %v; want %v after %d", test.limit, j.interval(), len(j.tries), j.tries, test.interval, test.tries)
		}
	}
}

// A week later it is found anew: a network that became worse is noticed, and one that became better
// too.
func TestCourseBeginsAnew(t *testing.T) {
	j := newJourney(t, time.Hour)
	j.travel(6 * 24 * time.Hour)
	j.limit = time.Minute
	j.travel(3 * 24 * time.Hour)
	if j.interval() != 30*time.Second {
		t.Errorf("interval %v, want 30 s", j.interval())
	}
	j.limit = time.Hour
	j.travel(8 * 24 * time.Hour)
	if j.interval() != 4*time.Minute {
		t.Errorf("interval %v, want 4 min", j.interval())
	}
}

// One try that is forgotten may be an accident; two in a row are none.
func TestCourseDoubts(t *testing.T) {
	j := newJourney(t, time.Hour)
	j.took(j.outcome(30*time.Second), j.now)
	accident := Try{Asked: 45 * time.Second, Slept: 45 * time.Second, Outcome: Reset}
	j.took(accident, j.now)
	if sleep, _ := j.try(j.now); sleep != 45*time.Second || j.settled() {
		t.Errorf("it tries %v next, settled %v; want the same once more", sleep, j.settled())
	}
	j.took(j.outcome(45*time.Second), j.now)
	j.took(Try{Asked: time.Minute, Slept: time.Minute, Outcome: Reset}, j.now)
	j.took(Try{Asked: time.Minute, Slept: 50 * time.Second, Outcome: Reset}, j.now)
	if !j.settled() || j.forgotten != 50*time.Second || j.held != 45*time.Second {
		t.Errorf("%+v", j.course)
	}
}

// A connection that is reset before what held earlier: what held counts no more.
func TestCourseThatContradictsItself(t *testing.T) {
	j := newJourney(t, time.Hour)
	j.took(j.outcome(30*time.Second), j.now)
	j.took(j.outcome(45*time.Second), j.now)
	for range 2 {
		j.took(Try{Asked: time.Minute, Slept: 20 * time.Second, Outcome: Reset}, j.now)
	}
	if sleep, _ := j.try(j.now); j.interval() != 5*time.Second || sleep != 10*time.Second {
		t.Errorf("interval %v, next %v; want 5 s, and to prove it", j.interval(), sleep)
	}
}

// After a loss at an interval that was learnt it is the safe one, and the longer it takes to try
// again the more often that happens.
func TestCourseAfterLosses(t *testing.T) {
	j := newJourney(t, time.Hour)
	want := []time.Duration{10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440}
	for i, minutes := range want {
		j.travel(24 * time.Hour)
		before := len(j.tries)
		if j.interval() != 4*time.Minute {
			t.Fatalf("interval %v", j.interval())
		}
		j.lost(j.now)
		if j.interval() != DefaultSafe {
			t.Errorf("after a loss: %v", j.interval())
		}
		j.travel(minutes*time.Minute - time.Second)
		if len(j.tries) != before || j.interval() != DefaultSafe {
			t.Errorf("loss %d: tried again before %v min", i+1, int(minutes))
		}
		j.travel(time.Minute)
		if len(j.tries) == before {
			t.Errorf("loss %d: not tried after %v min", i+1, int(minutes))
		}
	}
	j.travel(8 * 24 * time.Hour)
	j.lost(j.now)
	if j.losses != 1 {
		t.Errorf("%d losses: those of weeks ago count", j.losses)
	}
}

// Of what is unclear nothing is learnt, and it is tried less and less often.
func TestCourseOfTheUnclear(t *testing.T) {
	j := newJourney(t, time.Hour)
	j.took(j.outcome(30*time.Second), j.now)
	for i, minutes := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		before := *j.course
		j.took(Try{Asked: 45 * time.Second, Err: ErrNoServer}, j.now)
		if _, at := j.try(j.now); at.Sub(j.now) != minutes*time.Minute || j.interval() != before.interval() || j.held != before.held {
			t.Errorf("%d: next after %v, want %v min", i, at.Sub(j.now), int(minutes))
		}
	}
	j.took(Try{Err: errors.Join(ErrRestless)}, j.now)
	if _, at := j.try(j.now); at.Sub(j.now) != restless {
		t.Errorf("where nothing can be measured, next after %v", at.Sub(j.now))
	}
}

func TestCourseRecalls(t *testing.T) {
	for _, test := range []struct {
		what     string
		r        Record
		interval time.Duration
		wait     time.Duration // until the next try
	}{
		{"fresh", Record{Held: 45 * time.Second, Forgotten: time.Minute, At: noon.Add(-time.Hour)}, 22 * time.Second, DefaultAnew - time.Hour},
		{"not finished", Record{Held: 45 * time.Second, At: noon.Add(-time.Hour)}, 22 * time.Second, 0},
		{"held for longer than is of use", Record{Held: time.Hour, At: noon}, DefaultLearnt, DefaultAnew},
		{"a week old", Record{Held: 45 * time.Second, Forgotten: time.Minute, At: noon.Add(-8 * 24 * time.Hour)}, DefaultSafe, 0},
		{"of the future: the clock was set back", Record{Held: 45 * time.Second, Forgotten: time.Minute, At: noon.Add(time.Hour)}, DefaultSafe, 0},
		{"lost a minute ago", Record{Losses: 1, LostAt: noon.Add(-time.Minute), At: noon}, DefaultSafe, 9 * time.Minute},
		{"lost in the future", Record{Losses: 1, LostAt: noon.Add(time.Hour), At: noon}, DefaultSafe, 10 * time.Minute},
		{"lost long ago", Record{Losses: 3, LostAt: noon.Add(-time.Hour), At: noon}, DefaultSafe, 0},
		{"short", Record{Held: 8 * time.Second, Forgotten: 9 * time.Second, At: noon}, 4 * time.Second, DefaultAnew},
	} {
		j := newJourney(t, time.Hour)
		j.recall(test.r, noon)
		_, at := j.try(noon)
		if wait := max(0, at.Sub(noon)); j.interval() != test.interval || at.IsZero() && test.wait != 0 || !at.IsZero() && wait != test.wait {
			t.Errorf("%s: interval %v, next try after %v; want %v, %v", test.what, j.interval(), wait, test.interval, test.wait)
		}
	}
}
