package cluster

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/pulsering/pulsering/detector"
)

// An inquiry is the way from a member's silence to a verdict. Everybody who listens to the member holds one, and together
// they are one ear:
//
//  1. A heartbeat is overdue here. The member is asked whether it is there; most inquiries end with its answer.
//  2. No answer: the co-observers are asked what they know. Who heard later says so. Who did not asks the member on its own
//     path, and tells the others how much it doubts.
//  3. The doubts add up, since the paths lose packets independently: the verdict is due when the sum reaches the
//     cluster's DownPhi. The one thing that all paths have in common is the member itself, which may stall: silence of up to
//     StallAllowance is never a reason.
//
// Only what came due after the latest sign of life that anybody had counts as missing.
type inquiry struct {
	urgent   bool                // the co-observers are asked too
	askAt    time.Time           // the next question
	firstAsk time.Time           // the first question since the latest sign of life
	asked    int                 // questions since then
	opinions map[string]*opinion // of the others who look into it
	alleged  *claim              // an old verdict of others, to be believed if the member does not answer; nil: none
}

// opinion is another member's doubt.
type opinion struct {
	seq, epoch uint64 // since that heartbeat
	phi        float64
	awaits     uint64    // how many heartbeats after seq the next one to come to it is due; 0: none come
	at         time.Time // when it came
	words      int       // how often it came since that heartbeat, at its pace, with none missing
}

// follows counts o among the words since the heartbeat that last is about too. Nobody asks more often than every, so one that comes
// sooner was doubled or held up on the way, and counts no more; one that comes later than at their pace begins anew.
func (o *opinion) follows(last *opinion, every, pace time.Duration) {
	switch since := o.at.Sub(last.at); {
	case since < every/2:
		o.words = last.words
	case since <= pace*3/2+minStdDev:
		o.words = last.words + 1
	default:
		o.words = 1
	}
}

const (
	// inquirePhi is where the detector begins to tell of a member: four heartbeats in ten are this late, or, on a path that
	// loses that many, missing.
	inquirePhi = 0.4
	// minStdDev is the lateness that a link is always allowed: timers and the scheduling of a busy machine.
	minStdDev = 10 * time.Millisecond
	// lookEvery is how soon an overdue heartbeat is looked at again that is not late enough yet.
	lookEvery = 10 * time.Millisecond
	// minUnanswered is how likely a question goes unanswered at least, where the path lost nothing so far.
	minUnanswered = 0.05
	// successorTime is how long a process takes from joining memberlist to its boot, at most: it asks the holder of its name.
	successorTime = time.Second
	// fewestPaths is how many paths it takes to condemn, where so many can be had: a path that is gone is one misfortune,
	// however many questions it swallows, so each counts no more than its share.
	fewestPaths = 3
	// steadyWords is how many words without a gap it takes from whoever is to condemn with this node alone while more should know:
	// those of a StallAllowance (see askEvery). On a path that loses eight in ten, one word in 125 goes on like that.
	steadyWords = 4
)

// askEvery is the time between two questions: four in the time that a member may stall.
func (c *core) askEvery() time.Duration {
	return min(max(c.cfg.StallAllowance/4, 10*time.Millisecond), 100*time.Millisecond)
}

// pace is the time to the next question: longer and longer while an inquiry leads nowhere, as it does for a node that is cut
// off, so that it does not shout into the void for hours.
func (c *core) pace(in *inquiry) time.Duration { return c.askEvery() << min(in.asked/8, 4) }

// replyTime is how long an answer of r may take: the scheduling of a loaded machine, or the network's two ways with some to
// spare.
func (c *core) replyTime(r *record) time.Duration {
	return max(c.askEvery(), 2*r.edge.rtt+minStdDev)
}

// review opens or ends the inquiry about r, as the detector sees it now.
func (c *core) review(now time.Time, r *record) {
	if c.left {
		return
	}
	late := r.State == StateUp && !r.plain && r.edge.watched && c.detected(r) >= detector.Suspect
	switch {
	case late && r.inquiry == nil:
		c.inquire(now, r, false)
	case late:
		c.pursue(now, r)
	case r.edge.watched && (r.inquiry != nil || r.suspicion.shown):
		c.endInquiry(r)
		c.trust(now, r)
	}
}

func (c *core) detected(r *record) detector.State {
	s, _ := c.det.State(r.Name)
	return s
}

// inquire opens an inquiry about r.
func (c *core) inquire(now time.Time, r *record, urgent bool) {
	if c.left {
		return
	}
	r.inquiry = &inquiry{urgent: urgent, askAt: now, opinions: map[string]*opinion{}}
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

// overdue tells whether r's heartbeat is later than those that arrive: by four times their mean deviation, as for TCP's
// retransmission (RFC 6298, section 2). A φ would not do: on a path that loses many it does not rise before the next one is due.
func (c *core) overdue(now time.Time, r *record) bool {
	e := &r.edge
	return now.Sub(e.heardAt.Add(e.interval)) >= minStdDev+4*e.late
}

// pursue goes on with an open inquiry and returns when to come back; the zero time: when the detector has news.
func (c *core) pursue(now time.Time, r *record) time.Time {
	if c.cfg.Heartbeats == Probes {
		return c.pursueAlone(now, r)
	}
	in := r.inquiry
	if in.asked == 0 && !in.urgent && r.edge.watched && !c.overdue(now, r) {
		return now.Add(lookEvery)
	}
	switch unanswered := c.unanswered(now, r); {
	case in.alleged == nil:
		in.urgent = in.urgent || unanswered > 0
	case unanswered >= fewestPaths: // and nobody else was asked to doubt: those who listen to it know better
		c.endInquiry(r)
		c.merge(now, nil, *in.alleged)
		if r.State == StateUp {
			c.trust(now, r)
		}
		return time.Time{}
	}
	if !now.Before(in.askAt) {
		c.ask(now, r)
		in.askAt = now.Add(c.pace(in))
	}
	phi, supporters := c.consensus(now, r)
	allowed := c.allowed(now, r)
	enough := supporters >= 2 || c.aloneWith(r) || supporters == 1 && c.buried(now, r) && c.doubt(now, r) > 0
	switch {
	case now.Sub(r.successor) < successorTime:
		// It was restarted, by all signs, and in a moment its new boot says so better than a verdict could.
	case enough && phi >= c.downPhi && !now.Before(allowed) && now.Before(c.ready):
		return c.ready
	case enough && phi >= c.downPhi && !now.Before(allowed):
		c.condemn(now, r, ReasonSilent)
		return time.Time{}
	case enough && phi >= c.downPhi/2 && !now.Before(allowed.Add(-c.cfg.StallAllowance/4)),
		!enough && c.unanswered(now, r) >= fewestPaths && !now.Before(allowed):
		c.suspect(now, r, ReasonSilent)
	}
	c.checkIsolation(now)
	if now.Before(allowed) && allowed.Before(in.askAt) {
		return allowed
	}
	return in.askAt
}

// allowed is until when silence is explained by one stall of r: one that began just before the heartbeat after the latest sign of
// life, and took all of the allowance. That may have been one that nobody can tell of (see untold). Each wrong verdict about r
// quadruples the allowance for a while, up to sixteenfold, so that a member that stalls again and again, or that few packets of get
// through, does not flap: a silence that was survived twice will come again, until the losses are learnt that explain it.
func (c *core) allowed(now time.Time, r *record) time.Time {
	allowance := float64(c.cfg.StallAllowance) * math.Exp2(2*min(r.wrongedBy(r.seen), mostWronged))
	return r.seen.Add(time.Duration(1+c.untold(now, r))*r.beatEvery(c.cfg.Beat) + time.Duration(allowance) + minStdDev)
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
	for o := range c.opinions(now, r) {
		heed(o.awaits)
	}
	return int(next - 1)
}

// mostUntold bounds what is held for untold: beyond two it would take three observers that stand still at the same time, while
// among a few members of which most died at once, the dead are silent too, and each costs the survivors a Beat.
const mostUntold = 2

// accused notes a verdict about r, of whom known is the latest that this node knew before it. It was wrong if r goes on to send
// heartbeats of later than now: that it sent more than the verdict rests on says little, as the dead do so too. All who listen to
// r note it, whether the verdict or its refutation came first, so that all allow r the same; but once, not again when it is repeated,
// nor when several come to theirs at the same time on evidence that differs by a heartbeat. A verdict on evidence that is long outdated
// was about a silence that is over: r was cut off then, as survived has it.
func (c *core) accused(now time.Time, r *record, verdict, known claim) {
	old := cmp.Or(cmp.Compare(verdict.Epoch, r.refutedEpoch), cmp.Compare(verdict.Seq, r.refutedSeq)) < 0
	old = old || known.Seq > verdict.Seq && known.Seq-verdict.Seq > c.flapBeats(r)
	same := r.wronged > 0 && now.Sub(r.wrongedAt) < c.cfg.StallAllowance
	if !old && !same && r.accusedSeq == 0 {
		r.accusedSeq = max(1, known.Seq+uint64(max(0, now.Sub(r.seen))/r.beatEvery(c.cfg.Beat)))
	}
}

// survived counts the verdict about r as wrong if r has sent later heartbeats since. Who sent many meanwhile did not flap: it was cut
// off, and the verdict right.
func (c *core) survived(now time.Time, r *record) {
	if r.accusedSeq == 0 || r.State != StateUp || r.Seq <= r.accusedSeq {
		return
	}
	if r.Seq-r.accusedSeq <= c.flapBeats(r) {
		r.wronged, r.wrongedAt = min(r.wrongedBy(now), mostWronged)+1, now
		r.refutedEpoch, r.refutedSeq = r.Epoch, r.Seq
	}
	r.accusedSeq = 0
}

// flapBeats is how many heartbeats r sends in flapTime.
func (c *core) flapBeats(r *record) uint64 { return uint64(flapTime / r.beatEvery(c.cfg.Beat)) }

// wrongedBy is the number of wrong verdicts about r, each of which counts half after wrongHalfLife.
func (r *record) wrongedBy(now time.Time) float64 {
	return r.wronged * math.Exp2(-float64(max(0, now.Sub(r.wrongedAt)))/float64(wrongHalfLife))
}

const (
	flapTime      = 10 * time.Second
	wrongHalfLife = 10 * time.Minute
	// mostWronged bounds the allowance to sixteen times the configured one: 6.4 s by default. One more is remembered, so that it stays
	// there for six minutes after the last one, however many there were.
	mostWronged = 2
)

// pursueAlone judges by φ alone, which has reached half of DownPhi, as long as memberlist's probes reach anybody else. φ does not
// know that there is an end to the gaps: see mostUnprobed.
func (c *core) pursueAlone(now time.Time, r *record) time.Time {
	since := r.edge.lastHeard
	if since.Before(c.connected) { // this node was cut off itself: its turn has to come anew
		since = c.connected
	}
	if due := since.Add(c.mostUnprobed()); now.Before(due) {
		return due
	}
	if c.detected(r) == detector.Down && c.probesArrive(now, r) {
		c.condemn(now, r, ReasonSilent)
		return time.Time{}
	}
	c.suspect(now, r, ReasonSilent)
	return now.Add(probeInterval)
}

// probesArrive tells whether anybody but r acknowledged a probe lately, or nobody else is there.
func (c *core) probesArrive(now time.Time, r *record) bool {
	for _, other := range c.members {
		if other != r && other.State == StateUp && now.Sub(other.edge.lastHeard) < recentProbe {
			return true
		}
	}
	return c.aloneWith(r)
}

// recentProbe is how long an acknowledged probe tells that probes arrive. It is no longer than memberlist takes to call anybody
// dead: a probe interval, and a suspicion of four and more.
const recentProbe = 5 * probeInterval

// unanswered is how many questions r has left unanswered for longer than an answer may take.
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

// doubt is how unlikely this node's own path to r would stay silent if r lived: the φ of the overdue heartbeats, and the
// questions that it left unanswered. Before one was left unanswered there is no doubt: a node that was itself held up for a
// while finds everybody late, and has to ask first. Nor does a node doubt anybody that hears nobody.
func (c *core) doubt(now time.Time, r *record) float64 {
	phi, unanswered := 0.0, c.unanswered(now, r)
	if unanswered == 0 || c.isolated {
		return 0
	}
	if r.edge.watched {
		phi = c.det.Phi(r.Name)
	}
	heard := 1 - r.edge.loss.rate()
	return phi - float64(unanswered)*math.Log10(max(minUnanswered, 1-heard*heard))
}

// opinions are those of the others that are about the present silence, and not old.
func (c *core) opinions(now time.Time, r *record) iter.Seq[*opinion] {
	return func(yield func(*opinion) bool) {
		for _, o := range r.inquiry.opinions {
			if o.epoch == r.Epoch && o.seq == r.Seq && now.Sub(o.at) <= 3*c.pace(r.inquiry) && !yield(o) {
				return
			}
		}
	}
}

// doubts are those of all who look into it since the same heartbeat, this node among them. Those who do not listen to r know nothing of
// what their paths to it lose, so they count only where fewer than two who do are left.
func (c *core) doubts(now time.Time, r *record) []voice {
	var listeners, others []voice
	add := func(v voice, listens bool) {
		switch {
		case v.phi <= 0:
		case listens:
			listeners = append(listeners, v)
		default:
			others = append(others, v)
		}
	}
	add(voice{c.doubt(now, r), true}, r.edge.watched)
	for o := range c.opinions(now, r) {
		add(voice{o.phi, o.words >= steadyWords}, o.awaits > 0)
	}
	if len(listeners) < 2 {
		return append(listeners, others...)
	}
	return listeners
}

// consensus adds up the doubts, and counts those that it goes by. Where fewer than three doubt and others who listen say nothing,
// those may be dead, or the few may have bad links, to r as to the others. Whether the few hear each other well tells the two apart,
// so only those count who are heard without a gap.
func (c *core) consensus(now time.Time, r *record) (phi float64, supporters int) {
	doubts := c.doubts(now, r)
	if len(doubts) < fewestPaths && len(c.coObservers(r)) >= len(doubts) {
		doubts = slices.DeleteFunc(doubts, func(v voice) bool { return !v.steady })
	}
	share := c.downPhi / float64(min(fewestPaths, max(1, len(doubts))))
	for _, v := range doubts {
		phi += min(v.phi, share*1.001) // so that rounding does not stand in the way
	}
	return phi, len(doubts)
}

// voice is one doubt of the sum; that of another member is steady once it came steadyWords times with none missing.
type voice struct {
	phi    float64
	steady bool
}

// aloneWith tells whether there is nobody but r to ask: in a cluster of two nothing tells a dead member from a dead link.
func (c *core) aloneWith(r *record) bool {
	for _, other := range c.members {
		if other != r && !other.plain && other.State == StateUp {
			return false
		}
	}
	return true
}

// ask asks r itself whether it is there, and when it is urgent everybody else who listens to r what they know.
func (c *core) ask(now time.Time, r *record) {
	in := r.inquiry
	if in.asked == 0 {
		in.firstAsk = now
	}
	in.asked++
	r.askedAt = now
	question := c.question(now, r)
	if !in.urgent || c.isolated { // an isolated node has no doubt to tell
		return
	}
	question.Doubt = uint64(100 * c.doubt(now, r))
	others := c.coObservers(r)
	if len(c.doubts(now, r)) < 2 && c.unanswered(now, r) >= 2 { // an unsteady doubter looks into it already
		others = append(others, c.witnesses(r, others)...)
	}
	for _, o := range others {
		c.send(o, &packet{Asks: []ask{question}})
		c.count.send("ask")
	}
	if len(others) > 0 && c.vainSince.IsZero() {
		c.vainSince = now
	}
}

// question asks r itself whether it is there, and returns what it said.
func (c *core) question(now time.Time, r *record) ask {
	q := ask{Name: r.Name, Boot: r.Boot, Epoch: r.Epoch, Seq: r.Seq, Age: micros(now.Sub(r.seen)), Awaits: c.awaits(r)}
	c.send(r, &packet{Asks: []ask{q}})
	c.count.send("ask")
	return q
}

// coObservers are the others who listen to r, by this node's reckoning: those who did before anybody fell silent, and those who
// take the place of the ones that are down.
func (c *core) coObservers(r *record) []*record {
	others := func(count func(*record) bool) (listeners int, up []*record) {
		of := c.graph.observers(r.Name, count)
		return len(of), slices.DeleteFunc(of, func(o *record) bool { return o.Name == c.cfg.Name || o.State != StateUp })
	}
	listeners, up := others(isPlaced)
	if len(up) < listeners-1 || len(up) == 0 {
		_, up = others(isLiving)
	}
	return up
}

// witnesses are others to ask about r where its observers say nothing, perhaps because they died with it: members that this
// node hears itself. They look into it on their own paths, without an earlier heartbeat.
func (c *core) witnesses(r *record, asked []*record) []*record {
	var found []*record
	for _, o := range c.duty {
		if o == r || o.State != StateUp || o.inquiry != nil || !o.edge.watched || slices.Contains(asked, o) {
			continue
		}
		if found = append(found, o); len(found) == fewestPaths {
			break
		}
	}
	return found
}

// asked acts on a question of another member about a third one.
func (c *core) asked(now time.Time, from *record, a ask) (answer claim, ok bool) {
	later, ok := c.merge(now, from, a.claim())
	r := c.members[a.Name]
	if ok || r == nil || r.plain || r.State != StateUp || r.Boot != a.Boot || a.Doubt == 0 {
		return later, ok
	}
	if r.inquiry == nil {
		c.inquire(now, r, true)
	}
	if r.inquiry != nil {
		o := &opinion{seq: a.Seq, epoch: a.Epoch, phi: float64(min(a.Doubt, 10_000)) / 100, awaits: a.Awaits, at: now}
		if last := r.inquiry.opinions[from.Name]; last != nil && last.seq == o.seq && last.epoch == o.epoch {
			o.follows(last, c.askEvery(), c.pace(r.inquiry))
		} else {
			o.words = 1
		}
		r.inquiry.opinions[from.Name] = o
		r.inquiry.urgent = true
		c.pursue(now, r)
	}
	return claim{}, false
}

// mostLearnt is how many unanswered questions are learnt from at a time: a path that was gone for a while is one misfortune.
const mostLearnt = 8

// signOfLife notes that r lived at the instant at. What was missing before does not count any more, but tells what the path loses.
func (c *core) signOfLife(r *record, at time.Time) {
	if !at.After(r.seen) {
		return
	}
	r.seen = at
	if in := r.inquiry; in != nil && !at.Before(in.firstAsk) {
		r.edge.loss.lose(min(c.unanswered(at, r), mostLearnt)) // it lived, so they were lost, or their answers
		in.asked = 0
	}
}

// condemn gives the verdict: r is down, on the latest evidence that this node or anybody it asked has.
func (c *core) condemn(now time.Time, r *record, reason string) {
	c.endInquiry(r)
	c.accused(now, r, r.claim, r.claim)
	r.State = StateDown
	c.show(now, r, reason)
	if !r.plain {
		c.spread(now, r.claim)
	}
}

// takeOver looks after members whose observers are down themselves, or who died before their first heartbeat: nobody dies
// unseen. They are those that this node listens to where the dead have no place, and from whom no heartbeat is due here. They
// are given the time of a round, in which a newcomer's first heartbeat comes, and of the gossip before it.
func (c *core) takeOver(now time.Time) {
	if c.cfg.Heartbeats == Probes || !c.speaks() || c.left {
		return
	}
	patience := c.patience()
	for _, r := range c.duty {
		if r.plain || r.State != StateUp || r.edge.watched || r.inquiry != nil {
			continue
		}
		if now.Sub(r.seen) >= patience || now.After(c.allowed(now, r)) && c.unheard(r) {
			c.inquire(now, r, false)
		}
	}
}

// patience is how long a newcomer's first heartbeat may take: a round, and the gossip before it.
func (c *core) patience() time.Duration { return time.Duration(len(c.duty))*c.cfg.Beat + newcomerTime }

// unheard tells whether all who listened to r are down.
func (c *core) unheard(r *record) bool {
	return !slices.ContainsFunc(c.graph.observers(r.Name, isPlaced), func(o *record) bool {
		return o.Name == c.cfg.Name || o.State == StateUp
	})
}

// newcomerTime is how long the gossip may take to bring two members together: two of its rounds, and some to spare.
const newcomerTime = 500 * time.Millisecond
