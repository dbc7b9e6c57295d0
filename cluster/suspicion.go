package cluster

import "time"

// suspicion is why a member that lives, as far as is known, is shown as suspect: it is silent for longer than its path explains, or its
// heartbeats say that it hears nobody. Who beats lives, so nobody is down for being deaf, but whoever cannot hear cannot be given work
// either. What a deaf member thinks of others needs no guard here: it has no doubt to offer (see doubt).
type suspicion struct {
	shown bool
	again bool      // it had been shown shortly before it was this time
	deaf  bool      // its last heartbeat said so
	last  time.Time // when there was last a reason for it
	ended time.Time // when it was last shown no more, and not down either
}

// suspicionMemory is how long a member that was suspect is held for one that may be again: if it is, it has to give no reason for as
// long before it is up again. One that goes deaf and hears in turns, or of which few packets arrive, so changes its state three times
// and then no more (as in the damping of routes that flap, RFC 2439).
const suspicionMemory = 5 * time.Minute

// suspect shows r as suspect, for a reason that there is now.
func (c *core) suspect(now time.Time, r *record, reason string) {
	s := &r.touch().suspicion
	if !s.shown {
		s.again = !s.ended.IsZero() && now.Sub(s.ended) < suspicionMemory
	}
	s.shown, s.last = true, now
	c.show(now, r, reason)
}

// trust shows r as suspect no more, now that it was heard: at once the first time, and later if it was suspect shortly before. What this
// node suspected before it was cut off itself does not count: nobody here could be heard.
func (c *core) trust(now time.Time, r *record) {
	s := &r.suspicion
	switch {
	case r.unheard:
		return
	case s.deaf:
		s.last = now
	case !s.last.After(c.connected):
		s.confirm() // nor is it remembered
	case s.shown && s.again && r.path.Watched() && now.Sub(s.last) < suspicionMemory: // its next heartbeat leads here again
	default:
		s.end(now)
	}
	c.show(now, r, ReasonHeard)
}

// confirm ends it by something worse, which is no false alarm to be remembered: after an outage a member is up when it is back.
func (s *suspicion) confirm() {
	if s.shown || s.deaf {
		s.shown, s.deaf = false, false
	}
}

// end shows the member as suspect no more: it is heard again, or not heard here any more.
func (s *suspicion) end(now time.Time) {
	if s.shown {
		s.ended = now
	}
	s.confirm()
}
