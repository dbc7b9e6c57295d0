package cluster

import (
	"testing"
	"time"
)

// takes is how many packets there is room for, tried each millisecond from now on.
func (t *throttle) takes(now time.Time, d time.Duration) (n int) {
	for end := now.Add(d); now.Before(end); now = now.Add(time.Millisecond) {
		if t.wait(now, 1) == 0 {
			t.take(now)
			n++
		}
	}
	return n
}

// The bound on the packets of all inquiries is a burst and a rate, and nothing but time fills it up.
func TestRoomForQuestions(t *testing.T) {
	now := time.Now()
	var room throttle
	const burst = questionRate * questionBurst
	taken := 0
	for range 2 * int(burst) {
		if room.wait(now, 1) == 0 {
			room.take(now)
			taken++
		}
	}
	if taken != int(burst) {
		t.Errorf("%d at once, want %v", taken, burst)
	}
	if got, want := float64(room.takes(now.Add(time.Millisecond), 10*time.Second)), 10*questionRate; got < 0.99*want || got > 1.01*want {
		t.Errorf("%v more in ten seconds, want %v", got, want)
	}
	if room.wait(now.Add(-time.Hour), 1) == 0 {
		t.Error("a clock that steps back makes room")
	}
}

// The bound sinks while most answers are late, to leastRate at last, and comes back with time alone.
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
			var room throttle
			for range 10 {
				room.takes(now, time.Second)
				for range story.timely {
					room.answered(now, false)
				}
				for range story.late {
					room.answered(now, true)
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
