package cluster

import "time"

// deafness is what the heartbeats of a member say of its ear. Who beats lives, so it is never down for it; but whoever cannot hear
// cannot be given work either, so those who observe it show it as suspect. What it thinks of others needs no guard here: a member
// that hears nobody has no doubt to offer (see doubt).
type deafness struct {
	shown bool
	said  time.Time // its last heartbeat that said so
	ended time.Time // when it was last shown as deaf
}

// deafMemory is how long a member that was deaf is held for one that may be again: if it is, it has to hear for as long before it is
// up again. One that goes deaf and hears in turns so changes its state three times and then no more (as in the damping of routes
// that flap, RFC 2439).
const deafMemory = 5 * time.Minute

// hears takes what a heartbeat of r says: that it hears others, or that it hears nobody.
func (c *core) hears(now time.Time, r *record, hears bool) {
	d := &r.deaf
	if !hears {
		d.said, d.shown = now, true
		c.show(now, r, ReasonDeaf)
		return
	}
	again := !d.ended.IsZero() && d.said.Sub(d.ended) < deafMemory
	if !d.shown || again && now.Sub(d.said) < deafMemory {
		return
	}
	d.end(now)
	c.show(now, r, ReasonHeard)
}

// end shows the member as deaf no more: it hears again, or is down, or not heard here any more.
func (d *deafness) end(now time.Time) {
	if d.shown {
		d.shown, d.ended = false, now
	}
}
