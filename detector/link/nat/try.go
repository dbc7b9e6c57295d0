package nat

import "time"

// Outcome is what came of a sleep.
type Outcome uint8

const (
	// Unclear: something else came between, and nothing is known. Try.Err says what.
	Unclear Outcome = iota
	// Held: the server's word came through after the sleep.
	Held
	// Reset: the path forgot the connection, and said so, by closing it or with a reset.
	Reset
	// Silence: the path forgot the connection. What either end says is lost.
	Silence
	// Deaf: the path forgot the connection for what comes from the server, until this end says
	// something. A server that pings is not heard, and may take this end for dead.
	Deaf
)

var outcomeNames = [...]string{"unclear", "held", "reset", "silence", "deaf"}

// String returns "unclear", "held", "reset", "silence" or "deaf".
func (o Outcome) String() string {
	if int(o) >= len(outcomeNames) {
		o = Unclear
	}
	return outcomeNames[o]
}

// MarshalText returns what String does.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText takes what MarshalText returns. Any other word is Unclear.
func (o *Outcome) UnmarshalText(text []byte) error {
	*o = Unclear
	for i, name := range outcomeNames {
		if name == string(text) {
			*o = Outcome(i)
		}
	}
	return nil
}

// Forgotten tells whether the path forgot the connection, in whatever way.
func (o Outcome) Forgotten() bool { return o >= Reset }

// A Try is what came of one sleep on a spare connection.
type Try struct {
	// Asked is for how long the connection was to sleep.
	Asked time.Duration
	// Slept is for how long it did: of one that was closed meanwhile, until then.
	Slept   time.Duration
	Outcome Outcome
	// Err is why the outcome is Unclear.
	Err error
}

// Half is the longest interval between two beats where a sleep of this length held: half of it,
// rounded down to what people say.
//
// Not all of it: a beat is late now and then, and at an interval equal to the limit every late one
// comes too late. Half is what stands one beat that is lost: the next one comes 2·I after the last
// that got through, which still is no longer than what held. The rest of the margin is in the beats
// themselves, which come after 75 to 100 % of I.
func Half(held time.Duration) time.Duration {
	half := held / 2
	switch {
	case half >= 10*time.Second:
		return half.Truncate(time.Second)
	case half >= time.Second:
		return half.Truncate(100 * time.Millisecond)
	}
	return half.Truncate(time.Millisecond)
}

// judged decides about a forgotten connection by what else is known.
//
// awake is how long the sleep took by the clock that stops while the machine is suspended, wall by
// the one that goes on and can be set. Where they differ the real sleep may have been longer than
// the measured one, so a path that forgot says nothing of the latter. One that remembered did so
// for the measured one at least.
func (t Try) judged(awake, wall time.Duration, fresh error) Try {
	switch {
	case !t.Outcome.Forgotten():
	case wall-awake > clockSlack:
		t.Err = errClock
	case fresh != nil:
		t.Err = fresh
	}
	if t.Err != nil {
		t.Outcome = Unclear
	}
	return t
}

// clockSlack is how far two clocks may drift apart in a sleep: 500 ppm, what NTP corrects at most,
// of an hour is 1.8 s.
const clockSlack = 2 * time.Second
