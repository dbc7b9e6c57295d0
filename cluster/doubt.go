package cluster

import (
	"iter"
	"math"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/path"
	"github.com/pulsering/pulsering/cluster/internal/quorum"
)

// What a silence is worth. Three things explain one: the member is dead, its paths lost what it sent, or it stalls. Losses
// are told by many paths, which lose independently: doubt is how unlikely it is that one path lost all that is missing, and
// the doubts of all who listen add up to DownPhi. A stall is told by time alone: silence of one StallAllowance is never a
// verdict. And the two may come together: a member whose heartbeat is lost just before it stalls is silent for longer than
// any stall. So what was missing already when the longest stall that could be going on began has to be unlikely by itself:
// unexplained is the part of the doubt that is older than one StallAllowance, and stallPhi what it has to reach.

// opinion is another member's doubt.
type opinion struct {
	seq, epoch uint64    // since that heartbeat
	phi        float64   // doubt
	before     float64   // the part of it that no stall explains
	awaits     uint64    // how many heartbeats after seq the next one to come to it is due; 0: none come
	at         time.Time // when it came
	words      int       // how often it came since that heartbeat, at its pace, with none missing
	wordAt     time.Time // when the last of these came
}

// follows counts o among the words since the heartbeat that last is about too. Words that come sooner than every were doubled,
// held up on the way, or sent between two at the pace, and are no further ones; one that comes later than at their pace begins
// anew.
func (o *opinion) follows(last *opinion, every, pace time.Duration) {
	switch since := o.at.Sub(last.wordAt); {
	case since < every/2:
		o.words, o.wordAt = last.words, last.wordAt
	case since <= pace*3/2+minStdDev:
		o.words, o.wordAt = last.words+1, o.at
	default:
		o.words, o.wordAt = 1, o.at
	}
}

const (
	// mostUnanswered is how likely a question is believed to go unanswered at most: whatever a path was learnt to lose, many
	// questions into a silence are worth something.
	mostUnanswered = 0.96
	fewestPaths    = quorum.FewestPaths
	// steadyWords is how many words without a gap it takes from whoever is to condemn with this node alone while more should know:
	// those of a StallAllowance (see askEvery). On a path that loses eight in ten, one word in 125 goes on like that.
	steadyWords = 4
	// stallEvery is how often a member is taken to stall for nearly all of its allowance. With it FalseAlarmEvery says how rarely
	// losses may come together with such a stall: see stallPhi in regraph.
	stallEvery = 10 * time.Minute
	// leastStallPhi bounds what follows from a short FalseAlarmEvery.
	leastStallPhi = 2
)

// stallOf is how long a stall of r may take. Each wrong verdict about r quadruples the allowance for a while, up to
// sixteenfold, so that a member that stalls again and again, or that few packets of get through, does not flap: a silence that
// was survived twice will come again, until the losses are learnt that explain it.
func (c *core) stallOf(r *record) time.Duration {
	return time.Duration(float64(c.cfg.StallAllowance) * math.Exp2(2*min(r.wrongedBy(r.seen), mostWronged)))
}

// allowed is until when silence is explained by one stall of r: one that began just before the heartbeat after the latest sign of
// life, and took all of the allowance. That may have been one that nobody can tell of (see untold).
func (c *core) allowed(now time.Time, r *record) time.Time {
	return r.seen.Add(time.Duration(1+c.untold(now, r))*r.path.Every(c.cfg.Beat) + c.stallOf(r) + minStdDev)
}

// ripens returns the latest instant up to now, and the next one, at which this node's own case against r becomes stronger: when
// the allowance is over, and when a question comes to be older than a stall. The others are told then, as their verdict may hang
// on it. The zero time: there is none.
func (c *core) ripens(now time.Time, r *record, allowed time.Time) (last, next time.Time) {
	if now.Before(allowed) {
		return last, allowed
	}
	last = allowed
	stall := c.stallOf(r) + minStdDev
	for _, t := range r.inquiry.times { // in their order
		if t = t.Add(stall); t.After(now) {
			return last, t
		}
		if t.After(last) {
			last = t
		}
	}
	return last, next
}

// untold is how many heartbeats r may have sent after the latest known one without anybody's knowing who looks into its silence.
// Heartbeats go to one observer after the other, and the one whose turn was next may stand still itself, with a sign of life that it
// cannot tell of. So observers say which heartbeat they wait for: r is known to be silent from the first of these on.
func (c *core) untold(now time.Time, r *record) int {
	if r.inquiry == nil {
		return 0
	}
	next := uint64(mostUntold + 1)
	heed := func(awaits uint64) {
		if awaits > 0 {
			next = min(next, awaits)
		}
	}
	heed(c.awaits(r))
	for _, o := range c.opinions(now, r) {
		heed(o.awaits)
	}
	return int(next - 1)
}

// mostUntold bounds what is held for untold: beyond two it would take three observers that stand still at the same time, while
// among a few members of which most died at once, the dead are silent too, and each costs the survivors a Beat.
const mostUntold = 2

// unanswered is how many questions r has left unanswered for longer than an answer may take, of those that were askEvery apart.
func (c *core) unanswered(now time.Time, r *record) int {
	in := r.inquiry
	if in.asked == 0 {
		return 0
	}
	waited := now.Sub(in.firstAsk) - c.replyTime(r)
	if waited < 0 {
		return 0
	}
	return min(in.asked, 1+int(waited/c.askEvery()))
}

// worth is the doubt in one question that was left unanswered on this node's path to r.
func (r *record) worth(now time.Time) float64 {
	return -math.Log10(min(r.path.Unanswered(now), mostUnanswered))
}

// doubt is how unlikely this node's own path to r would stay silent if r lived: the φ of the overdue heartbeats, and the
// questions that it left unanswered. Before one was left unanswered there is no doubt: a node that was itself held up for a
// while finds everybody late, and has to ask first. Nor does a node doubt anybody that hears nobody, or a member of whom it
// never heard a packet since it is up, unless its host refuses streams or does not answer them either.
func (c *core) doubt(now time.Time, r *record) float64 {
	unanswered := c.unanswered(now, r)
	if unanswered == 0 || c.isolated {
		return 0
	}
	if !c.packetsCross(r) {
		if !r.shutAt.After(r.inquiry.firstAsk) {
			return 0
		}
		if r.refused {
			return c.quorum.Down
		}
	}
	return r.path.Phi(now) + float64(unanswered)*r.worth(now)
}

// unexplained is the part of this node's doubt about r that no stall explains, if one has begun since: the questions that were
// asked, and the heartbeats that were due here, a stall and some lateness ago.
func (c *core) unexplained(now time.Time, r *record) float64 {
	if c.doubt(now, r) == 0 {
		return 0
	}
	then := now.Add(-c.stallOf(r) - minStdDev)
	asked := 0
	for _, t := range r.inquiry.times {
		if t.After(then) {
			break
		}
		asked++
	}
	if asked == 0 {
		return 0
	}
	if !c.packetsCross(r) && r.refused {
		return c.quorum.Stall
	}
	missing := r.path.Missing(r.seen, then)
	return float64(asked)*r.worth(now) - float64(missing)*math.Log10(r.path.Loss(now))
}

// opinions are those of the others, by name, that are about the present silence, and not old.
func (c *core) opinions(now time.Time, r *record) iter.Seq2[string, *opinion] {
	old := 3 * max(c.slowPace(r.questions.level(now)), c.room.Spacing(now, 1+c.cfg.Observers))
	return func(yield func(string, *opinion) bool) {
		for name, o := range inOrder(r.inquiry.opinions) {
			counts := o.epoch == r.Epoch && o.seq == r.Seq && now.Sub(o.at) <= old && c.attention.Hears(o.at)
			if counts && !yield(name, o) {
				return
			}
		}
	}
}

// testimonies are the doubts since the same heartbeat, this node's among them, that were told since the instant given.
func (c *core) testimonies(now time.Time, r *record, since time.Time) []quorum.Testimony {
	all := []quorum.Testimony{{
		By: c.cfg.Name, Phi: c.doubt(now, r), Before: c.unexplained(now, r),
		Listens: r.path.Watched(), Steady: true, Clean: r.path.Loss(now) <= path.PriorLoss,
	}}
	for name, o := range c.opinions(now, r) {
		if !o.at.Before(since) {
			all = append(all, quorum.Testimony{By: name, Phi: o.phi, Before: o.before, Listens: o.awaits > 0, Steady: o.words >= steadyWords})
		}
	}
	return all
}

// consensus adds up the doubts that were told since the instant given.
func (c *core) consensus(now time.Time, r *record, since time.Time) quorum.Sum {
	return c.quorum.Weigh(c.testimonies(now, r, since), func() int { return len(c.coObservers(r)) })
}
