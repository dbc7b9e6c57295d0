package link_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/detector"
	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/phiaccrual"
)

// traffic comes beside heartbeats: idle, then busy with messages so far apart, again and again. All
// times are random around these.
type traffic struct {
	idle, busy, gap time.Duration
	// late is how much later than the others one beat in twenty comes at most, as behind a
	// retransmission.
	late time.Duration
}

func (x traffic) String() string {
	return fmt.Sprintf("idle %v, a message each %v for %v, beats late by %v", x.idle, x.gap, x.busy, x.late)
}

// judgement is how a detector judged a peer that lived for an hour, and then fell silent.
type judgement struct {
	suspicions, downs int
	suspect, down     time.Duration // until it was called so in the end; 0: never within ten minutes
}

// judge has two detectors judge a peer that beats once in 0.75 to 1 s and sends messages besides: one
// whose samples are the beats, and one that takes messages for samples too.
func (x traffic) judge(t *testing.T, cfg detector.Config, hours int, seed uint64) (beats, all judgement) {
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, 3))
		around := func(d time.Duration) time.Duration { return d/2 + time.Duration(rng.Int64N(int64(d))) }
		var wg sync.WaitGroup
		defer wg.Wait()
		var mu sync.Mutex
		var ended time.Time
		watch := func(j *judgement) *detector.Detector[string] {
			d, err := detector.New[string](cfg)
			if err != nil {
				t.Fatal(err)
			}
			d.Watch("ann", 0)
			events := d.Events(t.Context())
			wg.Go(func() {
				for e := range events {
					mu.Lock()
					switch {
					case e.To == detector.Suspect && ended.IsZero():
						j.suspicions++
					case e.To == detector.Down && ended.IsZero():
						j.downs++
					case e.To == detector.Suspect && j.suspect == 0:
						j.suspect = time.Since(ended)
					case e.To == detector.Down && j.down == 0:
						if j.suspect == 0 {
							j.suspect = time.Since(ended)
						}
						j.down = time.Since(ended)
					}
					mu.Unlock()
				}
			})
			return d
		}
		one, other := watch(&beats), watch(&all)
		begin := time.Now()
		sent, beat := begin, begin
		turn := begin.Add(around(x.idle)) // between idle and busy
		message := turn
		busy := false
		for time.Since(begin) < time.Duration(hours)*time.Hour || busy {
			next := beat
			if busy && message.Before(next) {
				next = message
			}
			if turn.Before(next) {
				if busy = !busy; busy {
					message, turn = turn, turn.Add(around(x.busy))
				} else {
					turn = turn.Add(around(x.idle))
				}
				continue
			}
			time.Sleep(time.Until(next))
			if next.Equal(beat) {
				one.Heartbeat("ann")
				other.Heartbeat("ann")
				sent = sent.Add(750*time.Millisecond + time.Duration(rng.Int64N(int64(250*time.Millisecond))))
				arrives := sent
				if x.late > 0 && rng.IntN(20) == 0 {
					arrives = sent.Add(time.Duration(rng.Int64N(int64(x.late))))
				}
				if arrives.After(beat) { // they come in order
					beat = arrives
				}
				continue
			}
			message = message.Add(around(x.gap))
			one.Alive("ann", time.Time{})
			other.Heartbeat("ann")
		}
		synctest.Wait()
		mu.Lock()
		ended = time.Now()
		mu.Unlock()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		one.Close()
		other.Close()
	})
	return beats, all
}

// Messages that come in bursts reset the clock, and teach nothing: what they tell of is not when beats
// come. On a line where one beat in twenty is late by up to a second, who takes them for samples
// forgets that: it has seen a hundred messages in time for each beat, and every late one is a surprise
// once the burst is over.
func TestSamplesAreBeatsOnly(t *testing.T) {
	calibrated := detector.Config{Interval: link.DefaultInterval, FalseAlarmEvery: link.DefaultFalseAlarmEvery}
	normal := detector.Config{Model: phiaccrual.Normal, Window: 200}
	bursts := traffic{time.Minute, 30 * time.Second, 4 * time.Millisecond, time.Second}
	onTime := bursts
	onTime.late = 0
	short := traffic{10 * time.Second, 500 * time.Millisecond, 5 * time.Millisecond, 0}
	for _, test := range []struct {
		name string
		traffic
		cfg    detector.Config
		mostly int // suspicions an hour at least, with all for samples, in the median
	}{
		{"calibrated, late beats", bursts, calibrated, 50},
		{"calibrated, no late beats", onTime, calibrated, 0},
		{"normal, no late beats", short, normal, 100},
	} {
		var all []int
		for seed := range uint64(5) {
			b, a := test.judge(t, test.cfg, 1, seed)
			all = append(all, a.suspicions)
			t.Logf("%s, seed %d: samples are the beats: %d suspicions, %d down, silence found after %v; or all: %d, %d, %v",
				test.name, seed, b.suspicions, b.downs, b.down.Round(time.Millisecond), a.suspicions, a.downs, a.down.Round(time.Millisecond))
			if b.suspicions > 1 || b.downs > 0 || b.down == 0 || b.down > 6*time.Second {
				t.Errorf("%s, seed %d: %+v: want no suspicion in an hour, and silence found within 6 s", test.name, seed, b)
			}
		}
		slices.Sort(all)
		t.Logf("%s, %v: %d suspicions an hour in the median (%d to %d) where all are samples", test.name, test.traffic, all[2], all[0], all[4])
		if all[2] < test.mostly {
			t.Errorf("%s: %d suspicions an hour where all are samples, want %d at least, or this test shows nothing", test.name, all[2], test.mostly)
		}
	}
}
