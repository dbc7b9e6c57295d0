package cluster

import (
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// A member that was called down and lives has to learn of it, as its work may have been handed to
// others: its next epoch says so to everybody, and an Accused event to its own application.
//
// So whoever takes a Down back tells the member: with the verdict itself, again and again until the
// member's epoch is above the verdict's. A later heartbeat alone would bring the member back
// everywhere, without its ever knowing.

// accusedKey is what the subscribers' mailboxes keep Accused events under: not the name of this
// node, so that no later event about itself takes the place of one. Members have no such names.
const accusedKey = " accused"

// sending is when a heartbeat of this node was sent.
type sending struct {
	seq uint64
	at  time.Time
}

// tellAccused tells the application that this node was called down, and lives on under a new epoch
// or boot.
func (c *core) tellAccused(now time.Time, verdict claim.Claim) {
	since := now.Add(-min(time.Duration(min(verdict.Age, 1<<53))*time.Microsecond, maxForget))
	// Where this node stood still, the verdict waited on the way. It came no earlier than silence allows after the heartbeat
	// that it rests on.
	if sent := c.sentAt[verdict.Seq%uint64(len(c.sentAt))]; sent.seq == verdict.Seq && verdict.Boot == c.boot {
		if earliest := sent.at.Add(c.cfg.Beat + c.cfg.StallAllowance); earliest.Before(since) {
			since = earliest
		}
	}
	self := c.selfMember()
	c.log.Warn("others called this node down; what it did may have been handed to others",
		"since", since.Format(time.RFC3339Nano), "boot", self.Boot, "epoch", self.Epoch)
	c.publish(accusedKey, Event{Kind: Accused, Member: self, At: now, Reason: ReasonVerdict, Since: since})
}

// owed is the verdict that a member is to be told, and since when it held here.
type owed struct {
	verdict claim.Claim
	since   time.Time
	at      time.Time // when the member was last told
}

// absolve notes that r, which subscribers know to be down, lives: it is told so.
func (c *core) absolve(now time.Time, r *record, verdict claim.Claim) {
	if r.plain || verdict.Boot != r.Boot || r.Epoch > verdict.Epoch {
		return // it knows
	}
	since := r.since
	if o := c.owed[r.Name]; o != nil && o.verdict.Boot == verdict.Boot {
		since = o.since
	}
	verdict.State, verdict.Addr, verdict.Basis = claim.Down, "", nil
	c.owed[r.Name] = &owed{verdict: verdict, since: since}
}

// tellAgain is the time between two tries to tell a member of a verdict. Whoever does not hear the
// member itself begins after as long: by then most members have told it.
const tellAgain = time.Second

// tellOwed tells r of the verdict that it may not know of. heard: a packet of r came just now, so
// that there is a way to it.
func (c *core) tellOwed(now time.Time, r *record, heard bool) {
	o := c.owed[r.Name]
	switch {
	case o == nil:
	case r.Boot != o.verdict.Boot || r.Epoch > o.verdict.Epoch || r.State == claim.Left:
		delete(c.owed, r.Name)
	case r.State == claim.Down: // it will be told when it is back
	case o.at.IsZero() && !heard:
		o.at = now
	case now.Sub(o.at) >= tellAgain:
		o.at = now
		cl := o.verdict
		cl.Age = micros(now.Sub(o.since))
		c.send(r, &wire.Packet{Claims: []claim.Claim{cl}})
		c.count.send("claim")
	}
}
