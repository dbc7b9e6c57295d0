package nat

import (
	"errors"
	"time"
)

// course is what a Learner knows of one network, and what it tries next. Time comes in as an
// argument. Whoever has it owns it.
//
//	          held: a longer one                    forgotten twice, or held up to the longest
//	begin ───▶ trying ──────────────────────────────────────────────────────▶ settled
//	  ▲          │ ▲ unclear: later                                              │
//	  │          └─┘                                                             │
//	  └──── 10 min, 20 min, … after the connection was lost; a week later ◀──────┘
type course struct {
	safe, longest time.Duration // intervals
	anew          time.Duration // after which it begins again

	held, forgotten time.Duration // as in bracket
	how             Outcome
	at              time.Time // when that was found

	asked   time.Duration // the sleep that held last
	doubt   bool          // the latest try was forgotten, for the first time
	unclear int           // tries in a row
	next    time.Time     // nothing is tried before

	losses int
	lostAt time.Time
}

const (
	// shortest is the shortest sleep that is tried, where longer ones were forgotten.
	shortest = time.Second
	// firstWait and lastWait bound how long a loss keeps it from learning: each doubles the wait,
	// so that a network that breaks its word is asked once a day.
	firstWait, lastWait = 10 * time.Minute, 24 * time.Hour
	// firstUnclear and lastUnclear are the same for tries of which nothing is known.
	firstUnclear, lastUnclear = time.Minute, time.Hour
	// restless is how long it rests where nothing can be measured.
	restless = 24 * time.Hour
)

// doubled is first, doubled n-1 times, at most last.
func doubled(first, last time.Duration, n int) time.Duration {
	for ; n > 1 && first < last; n-- {
		first *= 2
	}
	return min(first, last)
}

// recall takes over what is remembered. Of a record that is older than anew, or from the future,
// only the losses count.
func (c *course) recall(r Record, now time.Time) {
	if age := now.Sub(r.At); age >= 0 && age <= c.anew {
		c.held, c.forgotten, c.how, c.at, c.asked = r.Held, r.Forgotten, r.How, r.At, r.Held
	}
	c.losses, c.lostAt = r.Losses, r.LostAt
	if c.losses > 0 {
		wait := doubled(firstWait, lastWait, c.losses)
		c.next = now.Add(min(wait, wait-now.Sub(c.lostAt))) // also if the clock was set back
	}
}

// record is what is to be remembered.
func (c *course) record(n Network, server string, now time.Time) Record {
	r := Record{Network: n, Server: server, Held: c.held, Forgotten: c.forgotten, How: c.how, At: c.at, Losses: c.losses, LostAt: c.lostAt}
	if r.At.IsZero() {
		r.At = now
	}
	return r
}

// interval is how far apart beats may be now.
func (c *course) interval() time.Duration {
	switch {
	case c.held >= 2*c.safe:
		return min(Half(c.held), c.longest)
	case c.forgotten == 0:
		return c.safe
	case c.held > 0:
		return min(Half(c.held), c.safe)
	}
	return min(c.safe, max(c.forgotten, shortest)/4) // which is what the next try would allow
}

// settled tells whether there is nothing to try.
func (c *course) settled() bool {
	if c.forgotten > 0 {
		return c.held > 0 || c.forgotten <= shortest
	}
	return c.held >= 2*c.longest
}

// try returns the next sleep to try, and when.
func (c *course) try(now time.Time) (sleep time.Duration, at time.Time) {
	if c.settled() {
		if again := c.at.Add(c.anew); now.Before(again) {
			return 0, again
		}
		c.begin()
	}
	return c.sleep(), c.next
}

// begin forgets what was found.
func (c *course) begin() {
	c.held, c.forgotten, c.how, c.at, c.asked, c.doubt, c.unclear = 0, 0, 0, time.Time{}, 0, false, 0
}

func (c *course) sleep() time.Duration {
	first, last := 2*c.safe, 2*c.longest
	switch {
	case c.forgotten > 0:
		return max(c.forgotten/2, shortest).Truncate(time.Millisecond)
	case c.asked < first:
		return first
	}
	for _, r := range rungs {
		if r > c.asked && r < last {
			return r
		}
	}
	return last
}

// took learns from a try.
func (c *course) took(t Try, now time.Time) {
	switch {
	case t.Outcome == Unclear:
		c.unclear++
		wait := doubled(firstUnclear, lastUnclear, c.unclear)
		if errors.Is(t.Err, ErrRestless) {
			wait = restless
		}
		c.next = now.Add(wait)
		return
	case t.Outcome == Held:
		c.held, c.asked, c.at, c.doubt = max(c.held, t.Slept), t.Asked, now, false
	case !c.doubt:
		c.doubt = true // it may have been an accident
	default:
		c.forgotten, c.how, c.at, c.doubt = max(t.Slept, 1), t.Outcome, now, false
		if c.held >= c.forgotten {
			c.held = 0
		}
	}
	c.unclear = 0
}

// lost notes that the connection that matters was lost while it beat at an interval that was
// learnt.
func (c *course) lost(now time.Time) {
	if now.Sub(c.lostAt) > c.anew {
		c.losses = 0
	}
	c.losses++
	c.lostAt = now
	c.begin()
	c.next = now.Add(doubled(firstWait, lastWait, c.losses))
}
