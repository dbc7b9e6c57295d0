package cluster

import (
	"time"

	"github.com/pulsering/pulsering/detector"
)

// An inquiry is the way from a member's silence here to a suspicion and a verdict. It opens when φ says that a heartbeat is
// missing, asks the co-observers for the latest they heard and the member itself whether it is there, and ends with
// an answer that explains the silence, or with a verdict. Nothing is shown to subscribers before the asked had time to
// answer, so that one lost path is nobody's event.
//
// What is believed while nobody answers is the sum of two pieces of evidence: the φ of the overdue heartbeats, and the
// questions that the member left unanswered. Suspect is shown from half of the cluster's DownPhi on, and the verdict is due
// at DownPhi, if somebody else was heard while the inquiry was open: one who hears nobody is cut off, and judges nobody.
//
// Seam: this is the opinion of one observer. What the co-observers miss, a combined φ and a quorum belong in doubt.
type inquiry struct {
	since      time.Time // when it opened, or when an isolation ended that it lived through
	askAt      time.Time // when to ask next
	reply      time.Time // until when the asked may answer the first time
	asked      int       // questions to the member so far
	unanswered int       // those that it has had time to answer
	suspect    bool      // subscribers know
}

const (
	// inquirePhi opens an inquiry: one heartbeat in a hundred is this late. On a link that loses little that is the first
	// one missing, on one that loses a tenth the second.
	inquirePhi = 2
	// askEvery is the time between two questions to the member. The co-observers are asked every askOthers-th time: they hear
	// no more than one heartbeat in that time.
	askEvery  = 100 * time.Millisecond
	askOthers = 4
	// askPhi is what one unanswered question adds: the question or its answer was lost, one time in ten at 5 % loss each way.
	// On links that lose more, co-observers are the likelier to have heard.
	askPhi = 1
	// replyTime is how long the asked have to answer at least: a loaded machine's scheduling, not the network.
	// Networks that need longer are allowed three of their round-trip times.
	replyTime = 100 * time.Millisecond
)

// review opens or ends the inquiry about r, as the detector sees it now.
func (c *core) review(now time.Time, r *record) {
	suspicious := r.State == StateUp && !r.plain && r.edge.watched && c.overdue(r)
	switch {
	case suspicious && r.inquiry == nil:
		r.inquiry = &inquiry{since: now, askAt: now, reply: now.Add(c.replyTime(r))}
		c.inquiries[r.Name] = r
		c.pursue(now, r)
	case suspicious:
		c.pursue(now, r)
	case r.inquiry != nil:
		c.endInquiry(r)
		c.show(now, r, ReasonHeard)
	}
}

// overdue tells whether the detector misses a heartbeat of r.
func (c *core) overdue(r *record) bool {
	s, _ := c.det.State(r.Name)
	return s >= detector.Suspect
}

func (c *core) endInquiry(r *record) {
	r.inquiry = nil
	delete(c.inquiries, r.Name)
}

// pursue goes on with an open inquiry and returns when to come back; the zero time: when the detector has news.
func (c *core) pursue(now time.Time, r *record) time.Time {
	in := r.inquiry
	if c.cfg.Heartbeats == Ring && !now.Before(in.askAt) {
		if now.Sub(in.since) >= c.replyTime(r) {
			in.unanswered++
		}
		c.ask(r, in.asked%askOthers == 0)
		in.asked++
		in.askAt = now.Add(askEvery)
	}
	if now.Before(in.reply) {
		return in.reply
	}
	switch phi := c.doubt(r); {
	case phi >= c.downPhi && c.connected(r):
		c.condemn(now, r, ReasonSilent)
		return time.Time{}
	case phi >= c.downPhi/2:
		in.suspect = true
		c.show(now, r, ReasonSilent)
	}
	c.checkIsolation(now)
	if c.cfg.Heartbeats == Probes {
		return time.Time{}
	}
	return in.askAt
}

// doubt is how unlikely it is that r lives: the φ of its overdue heartbeats and of its silence to questions.
func (c *core) doubt(r *record) float64 {
	return c.det.Phi(r.Name) + askPhi*float64(r.inquiry.unanswered)
}

// ask asks r itself whether it is there, and others, if wanted, the co-observers of r for the latest they heard.
func (c *core) ask(r *record, others bool) {
	question := r.claim
	question.Addr = ""
	names := []string{r.Name}
	if others {
		names = append(names, c.coObservers(r)...)
	}
	for _, name := range names {
		if to := c.members[name]; to != nil {
			c.send(to, &packet{Asks: []claim{question}})
			c.count.send("ask")
		}
	}
}

// coObservers are the others who listen to r, by this node's reckoning.
func (c *core) coObservers(r *record) []string {
	var names []string
	for _, name := range observers(r.Name, c.graph, c.cfg.Observers) {
		if name != c.cfg.Name {
			names = append(names, name)
		}
	}
	return names
}

func (c *core) replyTime(r *record) time.Duration {
	longest := r.edge.rtt
	for _, name := range c.coObservers(r) {
		if o := c.members[name]; o != nil {
			longest = max(longest, o.edge.rtt)
		}
	}
	return max(replyTime, 3*longest)
}

// condemn gives the verdict: r is down, on the latest evidence that this node or anybody it asked has.
func (c *core) condemn(now time.Time, r *record, reason string) {
	c.endInquiry(r)
	r.State = StateDown
	c.show(now, r, reason)
	if !r.plain {
		c.spread(r.claim)
	}
}

// orphan is a member that memberlist calls dead while no heartbeat of it comes here: perhaps nobody listens to it, because
// it died before its first heartbeat or together with its observers.
type orphan struct {
	claim    claim // what was known when memberlist spoke
	deadline time.Time
}

// orphanWait is how long later evidence about an orphan is waited for. Its observers, where it has any, are asked at once.
const orphanWait = time.Second

func (c *core) adoptOrphan(now time.Time, r *record) {
	c.orphans[r.Name] = orphan{claim: r.claim, deadline: now.Add(orphanWait)}
	c.ask(r, true)
}

func (c *core) judgeOrphan(now time.Time, o orphan) {
	r := c.members[o.claim.Name]
	if r != nil && r.claim == o.claim && r.State == StateUp && !c.isolated {
		c.condemn(now, r, ReasonMemberlist)
	}
}
