package cluster

import (
	"slices"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/path"
	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// An inquiry is the way from a member's silence to a verdict. Everybody who listens to the member holds one, and together
// they are one ear:
//
//  1. A heartbeat is overdue here. The member is asked whether it is there; most inquiries end with its answer.
//  2. No answer: the co-observers are asked what they know. Who heard later says so. Who did not asks the member on its own
//     path, and tells the others how much it doubts.
//  3. The doubts add up, since the paths lose packets independently: the verdict is due when the sum reaches the
//     cluster's DownPhi. The one thing that all paths have in common is the member itself, which may stall: silence of up to
//     StallAllowance is never a reason, nor one stall beside losses that the paths are known for (see doubt.go).
//
// Only what came due after the latest sign of life that anybody had counts as missing.
//
// Where to look: question.go for what is asked, whom and how often; doubt.go for what silence is worth; damping.go for
// members that are called down wrongly again and again; takeover.go for members whom nobody listens to.
type inquiry struct {
	urgent   bool                // the co-observers are asked too
	askAt    time.Time           // the next question
	firstAsk time.Time           // the first question since the latest sign of life
	asked    int                 // questions since then
	times    []time.Time         // when these were asked, the earliest mostTimes of them
	opinions map[string]*opinion // of the others who look into it
	alleged  *claim.Claim        // an old verdict of others, to be believed if the member does not answer; nil: none
}

const (
	minStdDev = path.MinLateness
	// successorTime is how long a process takes from joining memberlist to its boot, at most: it asks the holder of its name.
	successorTime = time.Second
	// mostTimes bounds what an inquiry remembers of its questions: more than it takes to reach any threshold.
	mostTimes = 64
)

// review opens or ends the inquiry about r, as its heartbeats are overdue or not.
func (c *core) review(now time.Time, r *record) {
	if c.left || r.unheard {
		return
	}
	late := r.State == claim.Up && !r.plain && r.path.Watched() && c.overdue(now, r)
	switch {
	case late && r.inquiry == nil:
		c.inquire(now, r, false)
	case late:
		c.pursue(now, r)
	case r.path.Watched() && (r.inquiry != nil || r.suspicion.shown):
		c.endInquiry(r)
		c.trust(now, r)
	}
}

// watchOut opens an inquiry about each member whose heartbeat is overdue, and returns when the next one would be.
func (c *core) watchOut(now time.Time) (next time.Time) {
	if c.left {
		return next
	}
	var late []*record
	for _, r := range c.watching {
		if r.State != claim.Up || r.plain || r.inquiry != nil || r.unheard {
			continue
		}
		at := c.overdueAt(r)
		switch {
		case at.IsZero():
		case !now.Before(at):
			late = append(late, r)
		case next.IsZero() || at.Before(next):
			next = at
		}
	}
	for _, r := range byName(late) {
		c.inquire(now, r, false)
	}
	return next
}

// inquire opens an inquiry about r.
func (c *core) inquire(now time.Time, r *record, urgent bool) {
	c.open(now, r, &inquiry{urgent: urgent})
}

func (c *core) open(now time.Time, r *record, in *inquiry) {
	if c.left || r.unheard {
		return
	}
	in.askAt, in.opinions = now, map[string]*opinion{}
	r.inquiry = in
	if soonest := r.askedAt.Add(c.askEvery()); now.Before(soonest) { // whatever opens one inquiry after another
		r.inquiry.askAt = soonest
	}
	c.inquiries[r.Name] = r
	c.pursue(now, r)
}

func (c *core) endInquiry(r *record) {
	r.inquiry = nil
	delete(c.inquiries, r.Name)
}

// overdueAt is from when on the silence of r, from whom heartbeats are due here, is reason to look into it. Probes of memberlist
// are too far apart and too uneven for a heartbeat to be overdue: with them φ says so. The zero time: never.
func (c *core) overdueAt(r *record) time.Time {
	if c.cfg.Heartbeats == Probes {
		return r.path.Reaches(c.quorum.Down / 2)
	}
	return r.path.Overdue(r.seen)
}

func (c *core) overdue(now time.Time, r *record) bool {
	at := c.overdueAt(r)
	return !at.IsZero() && !now.Before(at)
}

// pursue goes on with an open inquiry and returns when to come back; the zero time: when the detector has news.
func (c *core) pursue(now time.Time, r *record) time.Time {
	if c.cfg.Heartbeats == Probes {
		return c.pursueAlone(now, r)
	}
	in := r.inquiry
	if in.asked == 0 && !in.urgent && r.path.Watched() {
		if at := c.overdueAt(r); now.Before(at) {
			return at
		}
	}
	switch unanswered := c.unanswered(now, r); {
	case in.alleged == nil:
		in.urgent = in.urgent || unanswered > 0
	case unanswered >= fewestPaths: // and nobody else was asked to doubt: those who listen to it know better
		c.endInquiry(r)
		c.merge(now, nil, *in.alleged)
		if r.State == claim.Up {
			c.trust(now, r)
		}
		return time.Time{}
	}
	if !c.packetsCross(r) && c.unanswered(now, r) > 0 {
		c.knock(now, r)
		if r.streamAt.After(in.firstAsk) && c.unanswered(now, r) >= fewestPaths {
			c.unhear(now, r)
			return time.Time{}
		}
	}
	allowed := c.allowed(now, r)
	riper, _ := c.ripens(now, r, allowed)
	if !now.Before(in.askAt) || in.urgent && now.Sub(r.askedAt) >= c.wordEvery() && r.askedAt.Before(riper) {
		c.ask(now, r)
	}
	switch {
	case now.Sub(r.successor) < successorTime:
		// It was restarted, by all signs, and in a moment its new boot says so better than a verdict could.
	case now.Before(c.attention.Ready()):
		return c.attention.Ready()
	default:
		if verdict, due := c.verdict(now, r, allowed); due {
			r.Basis = verdict
			c.condemn(now, r, ReasonSilent)
			return time.Time{}
		}
		if c.suspicious(now, r, allowed) {
			c.suspect(now, r, ReasonSilent)
		}
	}
	c.checkIsolation(now)
	next := in.askAt
	if _, riper := c.ripens(now, r, allowed); !riper.IsZero() {
		if soonest := r.askedAt.Add(c.wordEvery()); riper.Before(soonest) {
			riper = soonest
		}
		if riper.Before(next) {
			next = riper
		}
	}
	return next
}

// verdict tells whether r is to be called down now, and on what. The silence has to be longer than one stall, and the doubts
// that are left after a stall could have ended have to reach DownPhi; those doubts of before it could have begun, which no
// stall explains, have to reach stallPhi.
func (c *core) verdict(now time.Time, r *record, allowed time.Time) (*claim.Basis, bool) {
	if now.Before(allowed) {
		return nil, false
	}
	sum := c.consensus(now, r, allowed.Add(-minStdDev))
	enough := len(sum.By) >= 2 || c.aloneWith(r) || len(sum.By) == 1 && c.doubt(now, r) > 0 && c.nobodyElseKnows(now, r)
	if !enough || !c.quorum.Reaches(sum) {
		return nil, false
	}
	slices.Sort(sum.By)
	return &claim.Basis{Phi: hundredths(sum.Phi), Threshold: hundredths(c.quorum.Down), By: sum.By[:min(len(sum.By), wire.MaxBy)]}, true
}

// suspicious tells whether r is to be shown as suspect: from half of DownPhi on, a quarter of the allowance before the
// verdict could come at the earliest, or where nobody is there to confirm what this node alone doubts.
func (c *core) suspicious(now time.Time, r *record, allowed time.Time) bool {
	if now.Before(allowed.Add(-c.cfg.StallAllowance / 4)) {
		return false
	}
	sum := c.consensus(now, r, time.Time{})
	if len(sum.By) >= 2 || c.aloneWith(r) || len(sum.By) == 1 && c.nobodyElseKnows(now, r) {
		return sum.Phi >= c.quorum.Down/2
	}
	return c.unanswered(now, r) >= fewestPaths && !now.Before(allowed)
}

func hundredths(phi float64) uint64 { return uint64(100 * min(max(0, phi), 100)) }

// aloneWith tells whether there is nobody but r to ask: in a cluster of two nothing tells a dead member from a dead link.
func (c *core) aloneWith(r *record) bool {
	for _, other := range c.members {
		if other != r && !other.plain && other.State == claim.Up {
			return false
		}
	}
	return true
}

// signOfLife notes that r lived at the instant at. What was missing before does not count any more, but tells what the path
// loses, if it is one that packets of r cross at all.
func (c *core) signOfLife(r *record, at time.Time) {
	if !at.After(r.seen) {
		return
	}
	r.seen = at
	if in := r.inquiry; in != nil && !at.Before(in.firstAsk) {
		if c.heardSinceUp(r) { // it lived, so they were lost, or their answers
			c.pathTo(r).Lose(at, min(c.unanswered(at, r), mostLearnt))
		}
		in.asked, in.times = 0, nil
	}
}

// mostLearnt is how many unanswered questions are learnt from at a time: a path that was gone for a while is one misfortune.
const mostLearnt = 8

// condemn gives the verdict: r is down, on the latest evidence that this node or anybody it asked has.
func (c *core) condemn(now time.Time, r *record, reason string) {
	c.endInquiry(r)
	c.count.verdicts.Add(1)
	c.accused(now, r, r.Claim, r.Claim)
	r.State = claim.Down
	c.show(now, r, reason)
	if !r.plain {
		c.spread(now, r.Claim)
	}
}
