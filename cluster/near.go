package cluster

import "time"

// near is what a node keeps about a member that it has to do with itself: that it listens to, asks, or
// doubts. In a large cluster those are few, and a node knows all the others by name and state alone.
type near struct {
	courtesyUntil time.Time // it observes this node by its own reckoning, and gets heartbeats until then
	successor     time.Time // when another process began to join under its name
	lostAt        time.Time // since when memberlist holds it for dead while this node was not cut off: see core.lost

	// What crosses the way to it at all: see knock.go.
	crossedAt time.Time // the last packet under the member's name, in whatever boot
	streamAt  time.Time // when a stream last crossed, where that is of interest: see streamCrosses
	knockAt   time.Time // the last knock
	shutAt    time.Time // when a knock was last in vain
	refused   bool      // it was refused

	askedAt   time.Time // the last question to it
	called    int       // how often the roll called it in vain
	questions fading    // about it

	penalty
	suspicion suspicion
}

// untouched is what there is about all others. Nobody writes to it.
var untouched near

// touch is what is kept about r, to be written to.
func (r *record) touch() *near {
	if r.near == &untouched {
		r.near = new(near)
	}
	return r.near
}

// renew forgets all of it for the next process of r, but when r was asked, and that it has a successor.
func (r *record) renew() {
	kept := near{askedAt: r.askedAt, successor: r.successor, lostAt: r.lostAt}
	r.near = &untouched
	if kept != untouched {
		*r.touch() = kept
	}
}
