package phiaccrual

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// clocks is a sender on a link, heard by two estimators: one whose listener's clock stands
// still when the story says so, and a twin for whom nothing of the kind happens.
type clocks struct {
	e, twin *Estimator
	now     time.Time     // of the twin
	seq     uint64        // of the twin
	ahead   uint64        // by which the numbers for e are higher
	shift   time.Duration // by which its clock is
	random  *rand.Rand
	loss    float64
	jitter  float64 // exponential, in intervals
	last    time.Time
}

// beat sends a heartbeat, one interval after the last one.
func (c *clocks) beat() {
	c.now = c.now.Add(c.e.interval)
	c.seq++
	if c.random.Float64() < c.loss {
		return
	}
	at := c.now.Add(time.Duration(c.jitter * c.random.ExpFloat64() * float64(c.e.interval)))
	if at.Before(c.last) {
		at = c.last
	}
	c.last = at
	c.e.HeartbeatSeq(at.Add(c.shift), c.seq+c.ahead)
	c.twin.HeartbeatSeq(at, c.seq)
}

func (c *clocks) beats(n int) {
	for range n {
		c.beat()
	}
}

func (c *clocks) copy() *clocks {
	copied, e, twin := *c, *c.e, *c.twin
	copied.e, copied.twin = &e, &twin
	return &copied
}

// differs returns how many times as long as the twin's a time-out is, at worst.
func (c *clocks) differs() (factor float64, timeouts string) {
	factor = 1
	for _, phi := range []float64{1, 2, 4, 6, 8, 12} {
		a, _ := c.e.Timeout(phi)
		b, _ := c.twin.Timeout(phi)
		factor = max(factor, float64(a)/float64(b))
		timeouts += fmt.Sprintf(" φ %v: %v, %v;", phi, a, b)
	}
	return factor, timeouts
}

// links are what the estimators hear before and after.
func links(t *testing.T, cfg Config, f func(t *testing.T, c *clocks)) {
	for _, l := range []struct {
		name         string
		heard        int
		loss, jitter float64
	}{
		{"young", 30, 0, 0}, {"quiet", 50_000, 0, 0}, {"jitter", 20_000, 0, 0.1}, {"loss 5 %", 20_000, 0.05, 0.01}, {"loss 20 %", 20_000, 0.2, 0.3},
	} {
		t.Run(l.name, func(t *testing.T) {
			c := &clocks{e: mustNew(t, cfg), twin: mustNew(t, cfg), now: epoch, random: rand.New(rand.NewPCG(1, 2)), loss: l.loss, jitter: l.jitter}
			c.beats(l.heard)
			f(t, c)
		})
	}
}

// A machine that sleeps has a clock that stands still, on Linux the one that Go reads. The next
// heartbeat is a little after the last one by that clock, and its number is as much higher as
// the machine slept. Nothing was lost: ten heartbeats later at the latest the peer is judged as
// if nothing had been.
func TestListenerSlept(t *testing.T) {
	links(t, Config{Interval: 250 * time.Millisecond}, func(t *testing.T, trained *clocks) {
		for _, slept := range []uint64{1, 2, 3, 5, 10, 16, 17, 20, 60, 3600, 28_800, 1 << 40} {
			for _, after := range []float64{0.02, 0.5, 1, 1.3, 1.9} { // from the last heartbeat to the next, by the clock that slept between
				c := trained.copy()
				c.ahead += slept
				c.shift += time.Duration((after - 1) * float64(c.e.interval))
				c.beats(10)
				// One more is a loss, if as much time passed as for one.
				if f, timeouts := c.differs(); f > 1.1 && (slept > 1 || f > 2) {
					t.Errorf("%d heartbeats slept, the next %v intervals after the last: time-outs are up to %.2f times what they were else:%s",
						slept, after, f, timeouts)
				}
			}
		}
	})
}

// A laptop that sleeps again and again, for as long as it likes, learns nothing from it either.
func TestListenerSleepsAgainAndAgain(t *testing.T) {
	links(t, Config{}, func(t *testing.T, trained *clocks) {
		for _, awake := range []int{1, 2, 7, 50} {
			c := trained.copy()
			for n := range 40 {
				c.ahead += uint64(2 + 3*n)
				c.beats(awake)
			}
			c.beats(10)
			if f, timeouts := c.differs(); f > 1.3 {
				t.Errorf("awake for %d heartbeats at a time: time-outs are up to %.2f times what they were else:%s", awake, f, timeouts)
			}
		}
	})
}

// Numbers that do not count heartbeats, a time for one, do not make a lossy link of a good one:
// what was lost is then inferred from silences, as without numbers.
func TestNumbersThatCountNoHeartbeats(t *testing.T) {
	for _, step := range []uint64{3, 10, 1000, 1_000_000_000} {
		e, plain := mustNew(t, Config{}), mustNew(t, Config{})
		at, random := epoch, rand.New(rand.NewPCG(3, 4))
		for i := range uint64(5000) {
			at = at.Add(time.Second)
			if random.Float64() < 0.03 {
				continue
			}
			late := time.Duration(2e7 * random.ExpFloat64())
			e.HeartbeatSeq(at.Add(late), i*step)
			plain.Heartbeat(at.Add(late))
		}
		for _, phi := range []float64{2, 4, 8} {
			got, _ := e.Timeout(phi)
			want, _ := plain.Timeout(phi)
			if math.Abs(float64(got)/float64(want)-1) > 0.05 {
				t.Errorf("numbers that grow by %d: φ = %v after %v, without numbers after %v", step, phi, got, want)
			}
		}
	}
}

// What time explains is believed: losses on a link that is late, and those in what a sender
// sends at once after a stall.
func TestLossesThatTimeExplains(t *testing.T) {
	type arrival struct {
		after float64 // the one before, in intervals
		n     uint64  // which heartbeat since it
	}
	for name, c := range map[string]struct {
		arrivals []arrival
		lost     uint16
	}{
		"in time":                        {[]arrival{{3, 3}}, 2},
		"early":                          {[]arrival{{2.3, 3}}, 2},
		"after one that was late":        {[]arrival{{1.9, 1}, {2.1, 3}}, 2},
		"in what piled up":               {[]arrival{{6.3, 1}, {0.01, 1}, {0.01, 3}, {0.7, 1}}, 2},
		"at the end of what piled up":    {[]arrival{{6.3, 1}, {0.01, 1}, {0.01, 1}, {0.7, 4}}, 3},
		"all that piled up":              {[]arrival{{6.3, 1}, {0.7, 6}}, 5},
		"by a sender that is slow":       {append(repeat(arrival{1.05, 1}, 200), arrival{4.2, 4}), 3},
		"by a sender that is fast":       {append(repeat(arrival{0.95, 1}, 200), arrival{3.8, 4}), 3},
		"a sleep, and what is lost then": {[]arrival{{1, 61}, {1, 1}, {3, 3}}, 2},
		"a slow sender, then a sleep":    {append(repeat(arrival{1.05, 1}, 200), arrival{1, 5}), 0},
		"a stall not made up, a sleep":   {append(append([]arrival{{7, 1}}, repeat(arrival{1, 1}, 40)...), arrival{1, 5}), 0},
		"an outage, what waited, a gap":  {[]arrival{{60, 1}, {0.5, 60}}, 0}, // the gap is part of the outage
		"time stands still, a gap":       {[]arrival{{0, 1}, {0, 4}, {-0.5, 9}}, 0},
	} {
		e, at := steady(t, Config{}, 100)
		for _, a := range c.arrivals {
			at = at.Add(time.Duration(a.after * float64(e.interval)))
			e.HeartbeatSeq(at, e.seq+a.n)
		}
		if got := e.learnt.long.lost; got != c.lost {
			t.Errorf("%s: %d lost, want %d", name, got, c.lost)
		}
	}
}

func repeat[T any](x T, n int) (xs []T) {
	for range n {
		xs = append(xs, x)
	}
	return xs
}

// The mirror: the clock went on and the numbers did not, because the sender stood still or the
// listener's clock was set ahead. That is a silence like any other, and no loss: φ up to what
// the history is evidence of stays where it was, beyond it a time-out is at most one bucket
// longer than the silence and two intervals, and it is forgotten. From 16 intervals on it is an
// outage, which teaches nothing.
func TestTimePassesWithoutNumbers(t *testing.T) {
	for _, silence := range []float64{2, 5, 10, 15.9, 16.1, 20, 60, 3600} {
		t.Run(fmt.Sprintf("%v intervals", silence), func(t *testing.T) {
			e, at := steady(t, Config{}, 50_000)
			before, _ := e.Timeout(8)
			at = at.Add(time.Duration(silence * float64(e.interval)))
			e.HeartbeatSeq(at, e.seq+1)
			seen := time.Duration(silence * math.Sqrt2 * float64(e.interval))
			for n := range 100_000 {
				if n%1000 == 10 {
					four, _ := e.Timeout(4)
					eight, _ := e.Timeout(8)
					if four > 1100*time.Millisecond || eight > before+2*e.interval+seen || silence > 16 && eight > before+e.interval/10 {
						t.Fatalf("after %d more: φ = 4 after %v and 8 after %v, was %v", n, four, eight, before)
					}
				}
				at = at.Add(e.interval)
				e.HeartbeatSeq(at, e.seq+1)
			}
			if eight, _ := e.Timeout(8); eight > before+e.interval {
				t.Errorf("φ = 8 after %v, was %v", eight, before)
			}
			if e.learnt.long.lost != 0 {
				t.Errorf("%d lost", e.learnt.long.lost)
			}
		})
	}
}

// Numbers that go back are old news, whatever they are, and leave the history alone, but for
// the latest loss: it may not have been one. Reset says that they begin anew.
func TestNumbersGoBack(t *testing.T) {
	links(t, Config{}, func(t *testing.T, c *clocks) {
		highest := c.e.seq
		for n := range uint64(500) {
			for _, old := range []uint64{highest, highest - min(highest, n), min(highest, n), 0} {
				c.e.HeartbeatSeq(c.last.Add(time.Duration(n)*c.e.interval), old)
			}
		}
		if f, timeouts := c.differs(); f > 1.2 {
			t.Errorf("time-outs are up to %.2f times what they were without old numbers:%s", f, timeouts)
		}
		for _, e := range []*Estimator{c.e, c.twin} {
			e.Reset()
		}
		c.ahead = -c.seq // begins at 1
		c.beats(200)
		if f, timeouts := c.differs(); f > 1 || c.e.seq > 200 {
			t.Errorf("numbers anew: number %d, time-outs %.2f times those under the numbers of before:%s", c.e.seq, f, timeouts)
		}
	})
}

// A single wrong number, of a bit that fell over on the way, does not make all that follow old.
// It costs what one or two losses do.
func TestWrongNumber(t *testing.T) {
	links(t, Config{}, func(t *testing.T, trained *clocks) {
		for bit := range 64 {
			c := trained.copy()
			c.loss = 0
			c.seq |= 1 << 40
			c.beats(20) // from 2^40 on, so that the bit may be set
			right := c.ahead
			c.ahead = (c.seq + 1) ^ 1<<bit - (c.seq + 1)
			c.beats(1)
			c.ahead = right
			c.beats(10)
			if c.e.seq != c.seq || !c.e.last.Equal(c.last) {
				t.Fatalf("bit %d: the last number is %d, want %d", bit, c.e.seq, c.seq)
			}
			if f, timeouts := c.differs(); f > 3 {
				t.Errorf("bit %d: time-outs are up to %.2f times what they were else:%s", bit, f, timeouts)
			}
		}
	})
}

// Old numbers that come after a jump are no signs of life.
func TestOldNumbersAfterAJump(t *testing.T) {
	e, at := steady(t, Config{}, 1000)
	sent := e.seq
	at = at.Add(time.Second)
	e.HeartbeatSeq(at, sent+3601)
	for n := range uint64(100) {
		e.HeartbeatSeq(at.Add(time.Duration(n+1)*time.Second), sent-n%10)
	}
	if !e.Last().Equal(at) {
		t.Errorf("the last sign of life is %v after the jump", e.Last().Sub(at))
	}
	// And the peer that goes on is heard.
	at = at.Add(time.Minute)
	e.HeartbeatSeq(at, sent+3661)
	if !e.Last().Equal(at) {
		t.Error("the peer that goes on is not heard")
	}
}
