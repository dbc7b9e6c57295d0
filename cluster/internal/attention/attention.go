// Package attention knows whether a node has been listening. A node that stood still, or that was
// cut off, finds everybody silent, and doubts of a while ago in its queues: what it missed has to
// come in before it judges anybody.
package attention

import "time"

// Attention owns from when on a node judges. The zero value judges at once, and is late for
// nothing.
type Attention struct {
	due    time.Time // when the node meant to look at the clock
	ready  time.Time // nobody is judged before
	since  time.Time // what was told before does not count
	short  time.Time // the end of the last hold for a short delay of its own,
	rested time.Time // and for a long one
}

// Rules are what an Attention goes by.
type Rules struct {
	// Miss is how long a node may be away and have missed no answer.
	Miss time.Duration
	// Reply is how long the answers to the questions under way may take.
	Reply time.Duration
	// Stall is how long any member may stand still and is never called down for it.
	Stall time.Duration
}

const (
	// Overslept is how late a timer may be before that says anything: a busy machine has some
	// milliseconds.
	Overslept = 10 * time.Millisecond
	// LongHold is how long a node judges nobody that stood still for longer than any member may.
	// Whatever held it up, a suspended host, a paused virtual machine, may let go of others some
	// seconds later.
	LongHold = 3 * time.Second
)

// Promise says when the node looks at the clock again.
func (a *Attention) Promise(due time.Time) { a.due = due }

// Due is what was promised.
func (a *Attention) Due() time.Time { return a.due }

// Late is by how much the promise was broken, where that says anything, or 0. It is to be asked
// before what has come is handled: answers may have come meanwhile that are not read yet.
func (a *Attention) Late(now time.Time) time.Duration {
	if late := now.Sub(a.due); !a.due.IsZero() && late >= Overslept {
		return late
	}
	return 0
}

// StoodStill says that the node did not run for a while, which ends now. It judges nobody until
// it has listened for as long again, for one Reply at most; after more than a Stall, for all of
// LongHold. Where it may have missed answers, it believes nothing that is told before the hold
// ends. A machine on which timers are always late judges all the same: between two such
// holds it does so for as long as a hold takes.
func (a *Attention) StoodStill(now time.Time, late time.Duration, r Rules) {
	last, most, hold := &a.short, r.Reply, min(late, r.Reply)
	if late > r.Stall {
		last, most, hold = &a.rested, LongHold, LongHold
	}
	if now.Sub(*last) > most {
		*last = now.Add(hold)
		a.hold(*last, late >= r.Miss)
	}
}

// CutOff says that nobody was heard for a while, which ends now: what comes first waited on the
// way. The node judges nobody for one Reply, and believes nothing that it is told in that time.
func (a *Attention) CutOff(now time.Time, r Rules) { a.hold(now.Add(r.Reply), true) }

// hold lets the later of two holds count.
func (a *Attention) hold(until time.Time, deaf bool) {
	if a.ready.Before(until) {
		a.ready = until
	}
	if deaf && a.since.Before(until) {
		a.since = until
	}
}

// Ready is from when on the node judges.
func (a *Attention) Ready() time.Time { return a.ready }

// Hears tells whether what was told at an instant counts.
func (a *Attention) Hears(at time.Time) bool { return !at.Before(a.since) }
