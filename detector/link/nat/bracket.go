package nat

import "time"

// bracket is what several tries say together.
type bracket struct {
	held      time.Duration // the longest sleep that held, of those shorter than forgotten; 0: none
	forgotten time.Duration // the shortest that did not; 0: none
	how       Outcome       // of the latter
}

// of returns the bracket of all tries. A path may contradict itself: one sleep is forgotten, and a
// longer one held. A single one of those was an accident, such as a cable that was pulled when the
// server spoke. Of several the shortest counts, as the other error costs the connection.
func of(tries []Try) (b bracket) {
	var longest time.Duration
	for _, t := range tries {
		if t.Outcome == Held {
			longest = max(longest, t.Slept)
		}
	}
	contradicted := 0
	for _, t := range tries {
		if t.Outcome.Forgotten() && t.Slept <= longest {
			contradicted++
		}
	}
	for _, t := range tries {
		switch {
		case !t.Outcome.Forgotten(), contradicted == 1 && t.Slept <= longest:
		case b.forgotten == 0 || t.Slept < b.forgotten:
			b.forgotten, b.how = max(t.Slept, 1), t.Outcome
		}
	}
	for _, t := range tries {
		if t.Outcome == Held && (b.forgotten == 0 || t.Slept < b.forgotten) {
			b.held = max(b.held, t.Slept)
		}
	}
	return b
}

// sure tells whether a second try says that the path forgets.
func sure(tries []Try) bool {
	n := 0
	for _, t := range tries {
		if t.Outcome.Forgotten() {
			n++
		}
	}
	return n >= 2
}

// precise tells whether nothing has to be tried between the two. Where nothing held there is no
// interval to recommend yet.
func (b bracket) precise(precision time.Duration) bool {
	switch {
	case b.forgotten == 0:
		return true
	case b.held == 0:
		return b.forgotten <= MinSleep
	}
	return precision == 0 || b.forgotten-b.held <= precision
}
