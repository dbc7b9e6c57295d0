package cluster

import (
	"time"

	"github.com/pulsering/pulsering/detector"
)

// An inquiry is the way from a member's silence here to a suspicion and a verdict. It opens when the detector suspects the
// member, asks the co-observers for the latest they heard and the member itself whether it is there, and ends with
// an answer that explains the silence or with a verdict. Nothing is shown to subscribers before the asked had time to
// answer, so that one lost path is nobody's event.
//
// Seam: the verdict of one observer stands here. A combined φ and a quorum over those who answered belong in pursue.
type inquiry struct {
	since   time.Time // when it opened
	askAt   time.Time // when to ask next
	reply   time.Time // until when the asked may answer
	suspect bool      // subscribers know
}

const (
	// askEvery is the time between two rounds of questions in one inquiry.
	askEvery = 200 * time.Millisecond
	// replyTime is how long the asked have to answer at least: a loaded machine's scheduling, not the network.
	// Networks that need longer are allowed three of their round-trip times.
	replyTime = 100 * time.Millisecond
)

// review opens or ends the inquiry about r, as the detector sees it now.
func (c *core) review(now time.Time, r *record) {
	suspicious := r.State == StateUp && !r.plain && r.edge.watched && c.detected(r) >= detector.Suspect
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

func (c *core) detected(r *record) detector.State {
	s, _ := c.det.State(r.Name)
	return s
}

func (c *core) endInquiry(r *record) {
	r.inquiry = nil
	delete(c.inquiries, r.Name)
}

// pursue goes on with an open inquiry and returns when to come back; the zero time: when the detector has news.
func (c *core) pursue(now time.Time, r *record) time.Time {
	in := r.inquiry
	if c.cfg.Heartbeats == Ring && !now.Before(in.askAt) {
		c.ask(r)
		in.askAt = now.Add(askEvery)
	}
	if now.Before(in.reply) {
		return in.reply
	}
	if c.detected(r) == detector.Down {
		c.condemn(now, r, ReasonSilent)
		return time.Time{}
	}
	in.suspect = true
	c.show(now, r, ReasonSilent)
	if c.cfg.Heartbeats == Probes {
		return time.Time{}
	}
	return in.askAt
}

// ask asks the co-observers of r and r itself.
func (c *core) ask(r *record) {
	question := r.claim
	question.Addr = ""
	for _, name := range append(c.coObservers(r), r.Name) {
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

func (c *core) doubt(now time.Time, r *record) {
	c.orphans[r.Name] = orphan{claim: r.claim, deadline: now.Add(orphanWait)}
	c.ask(r)
}

func (c *core) judgeOrphan(now time.Time, o orphan) {
	r := c.members[o.claim.Name]
	if r != nil && r.claim == o.claim && r.State == StateUp {
		c.condemn(now, r, ReasonMemberlist)
	}
}
