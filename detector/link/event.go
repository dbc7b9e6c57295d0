package link

import (
	"time"
)

// Event says that a session's state changed, or that many fell silent together.
type Event struct {
	// Outage is not nil where the event is about the sessions of a network, and not about one: Session is empty then.
	Outage *Outage
	// Session is as after the change.
	Session Session
	// From is the state before; zero: it is new.
	From State
	// Resumed: its owner is back, and nothing was lost.
	Resumed bool
	// Goodbye: the session is Gone because either end said so, and not because its owner did not come back.
	Goodbye bool
	// At is when this was noticed, with a monotonic reading.
	At time.Time
	// Folded counts the earlier changes of this session that came while the reader was busy and are contained in this one:
	// From is the state before the first of them.
	Folded int
}

// about is what an event is about: those about the same are in order.
type about struct{ session, network string }

// Kind is what happened, in a word: "outage" or "outage over", "resumed", or the State of the session: "up", "suspect", "away",
// "gone".
func (e Event) Kind() string {
	switch {
	case e.Outage != nil && e.Outage.Over:
		return "outage over"
	case e.Outage != nil:
		return "outage"
	}
	if e.Resumed && e.Session.State == Up {
		return "resumed"
	}
	return e.Session.State.String()
}

// foldEvents decides what waits for a reader that is slower than a session changes: its latest event; but a session that is gone,
// and a new one under its name, are two.
func foldEvents(pending []Event, next Event) []Event {
	if len(pending) == 0 {
		return append(pending, next)
	}
	last := &pending[len(pending)-1]
	if last.Session.State == Gone && len(pending) == 1 {
		return append(pending, next)
	}
	next.Folded += last.Folded + 1
	next.From = last.From
	next.Resumed = next.Resumed || last.Resumed
	*last = next
	return pending
}
