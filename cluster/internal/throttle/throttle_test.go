package throttle

import (
	"testing"
	"time"
)

// takes is how many packets there is room for, tried each millisecond from now on.
func (t *Throttle) takes(now time.Time, d time.Duration) (n int) {
	for end := now.Add(d); now.Before(end); now = now.Add(time.Millisecond) {
		if t.Wait(now, 1) == 0 {
			t.Take(now)
			n++
		}
	}
	return n
}

// The bound on the packets of all inquiries is a burst and a rate, and nothing but time
// fills it up.
func TestRoomForQuestions(t *testing.T) {
	now := time.Now()
	var room Throttle
	const burst = questionRate * questionBurst
	taken := 0
	for range 2 * int(burst) {
		if room.Wait(now, 1) == 0 {
			room.Take(now)
			taken++
		}
	}
	if taken != int(burst) {
		t.Errorf("%d at once, want %v", taken, burst)
	}
	if got, want := float64(room.takes(now.Add(time.Millisecond), 10*time.Second)), 10*questionRate; got < 0.99*want || got > 1.01*want {
		t.Errorf("%v more in ten seconds, want %v", got, want)
	}
	if room.Wait(now.Add(-time.Hour), 1) == 0 {
		t.Error("a clock that steps back makes room")
	}
}

// The bound sinks while most answers are late, to leastRate at last, and comes back with
// time alone.
func TestLateAnswersThrottle(t *testing.T) {
	for _, story := range []struct {
		name         string
		late, timely int // answers a second
		want         float64
	}{
		{"most are late", 5, 4, leastRate},
		{"most come in time", 4, 5, questionRate},
		{"one member stands still", 1, 0, questionRate},
		{"the dead answer nothing", 0, 0, questionRate},
	} {
		t.Run(story.name, func(t *testing.T) {
			now := time.Now()
			var room Throttle
			for range 10 {
				room.takes(now, time.Second)
				for range story.timely {
					room.Answered(now, false)
				}
				for range story.late {
					room.Answered(now, true)
				}
				now = now.Add(time.Second)
			}
			if got := room.rate(now); got < story.want || got > story.want*1.2 {
				t.Fatalf("%.1f packets a second, want %v", got, story.want)
			}
			if got := room.rate(now.Add(6 * rateRecovery)); got != questionRate {
				t.Errorf("%.1f packets a second in the end, want %v", got, questionRate)
			}
		})
	}
}

// While there is no room Wait says how long it takes until there is, and one packet takes
// as long as its share of the rate.
func TestWait(t *testing.T) {
	now := time.Now()
	var room Throttle
	for range int(questionRate * questionBurst) {
		room.Take(now)
	}
	for packets, want := range map[int]time.Duration{1: 5 * time.Millisecond, 10: 50 * time.Millisecond, 1 << 20: 4 * time.Second} {
		if got := room.Wait(now, packets); (got - want).Abs() > time.Microsecond {
			t.Errorf("room for %d packets after %v, want %v", packets, got, want)
		}
	}
	if got := room.Spacing(now, 10); got != 50*time.Millisecond {
		t.Errorf("turns of ten packets every %v", got)
	}
	scarce := questionBurst * leastRate / questionRate
	for after, want := range map[float64]bool{0: true, scarce - 0.001: true, scarce + 0.001: false, 100: false} {
		copied := room
		if got := copied.Scarce(now.Add(time.Duration(after * float64(time.Second)))); got != want {
			t.Errorf("scarce after %.3f s: %v", after, got)
		}
	}
}

// Three late answers halve the rate, which is that of the packets sent lately where it is
// lower; and what is on its way counts.
func TestLateAnswersHalve(t *testing.T) {
	for _, story := range []struct {
		name    string
		packets int // within a second
		want    float64
	}{
		{"a full line", 200, questionRate / 2},
		{"a line that takes forty a second", 40, 20},
		{"hardly anything was sent", 2, leastRate},
	} {
		t.Run(story.name, func(t *testing.T) {
			now := time.Now()
			var room Throttle
			room.Answered(now, false) // since then they are counted
			for range story.packets {
				now = now.Add(time.Second / time.Duration(story.packets))
				room.Take(now)
			}
			room.Answered(now, true)
			room.Answered(now, true)
			if got := room.rate(now); got != questionRate {
				t.Fatalf("%.1f packets a second after two late answers", got)
			}
			room.Answered(now, true)
			if got := room.rate(now); got < 0.99*story.want || got > 1.01*story.want {
				t.Errorf("%.1f packets a second after three, want %.1f", got, story.want)
			}
			if room.Wait(now, 1) == 0 {
				t.Error("there is room at once though the line is full")
			}
			for range 3 {
				room.Answered(now.Add(lateSpacing/2), true)
			}
			if got := room.rate(now); got < 0.99*story.want {
				t.Errorf("%.1f packets a second: halved again before the first could show", got)
			}
			later := now.Add(rateRecovery)
			if got, want := room.rate(later), min(questionRate, 2*story.want); got < 0.99*want || got > 1.01*want {
				t.Errorf("%.1f packets a second a minute later, want %.1f", got, want)
			}
		})
	}
}

// What was counted longer ago than the window says nothing.
func TestOldAnswersAreForgotten(t *testing.T) {
	now := time.Now()
	var room Throttle
	room.Answered(now, true)
	room.Answered(now, true)
	room.Answered(now.Add(lateWindow), true)
	if got := room.rate(now); got != questionRate {
		t.Errorf("%.1f packets a second after three late answers in more than %v", got, lateWindow)
	}
	for range 10 {
		room.Answered(now.Add(lateWindow), false)
	}
	for range 3 {
		room.Answered(now.Add(2*lateWindow), true)
	}
	if got := room.rate(now.Add(2 * lateWindow)); got > questionRate/2*1.01 {
		t.Errorf("%.1f packets a second: answers in time of before count", got)
	}
}
