package cluster

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/quorum"
	"github.com/pulsering/pulsering/internal/level"
)

// Explanation is why this node thinks of a member what it does, at one moment; it is the caller's to keep.
type Explanation struct {
	Member Member
	// Threshold is the sum of doubts that a verdict takes: Config.FalseAlarmEvery, for the present number of members.
	Threshold float64
	// StallThreshold is what the part of that sum has to reach that no stall explains.
	StallThreshold float64
	// Observers are the members that listen to this one by this node's reckoning, sorted, this node among them where it
	// does.
	Observers []string
	// LastAlive is the latest sign of life that anybody had of the member, as far as is known here; zero: none.
	LastAlive time.Time
	// Excused is until when silence is explained by one stall that began right after LastAlive, however likely that is. No
	// verdict comes before.
	Excused time.Time
	// Path is what this node knows of its own path to the member; nil where it does not listen to it.
	Path *Path
	// Inquiry is what has been asked and said since the member fell silent; nil while nobody here doubts that it is alive.
	Inquiry *Inquiry
	// Verdict is the doubt that the member was called down for; nil where it was not, or the reasons are not known here.
	Verdict *Verdict
}

// Path is the way that heartbeats of a member take to this node, and what was learnt of it.
type Path struct {
	// Interval is the time to the next heartbeat of the member to this node that the last one promised.
	Interval time.Duration
	// Mean is the mean time between two heartbeats that arrived, and Deviation the mean deviation of their arrival from the
	// promise, both over about the last eight. Zero until there were two.
	Mean, Deviation time.Duration
	// Loss is the share of packets that is taken to be lost, 0.01 at least.
	Loss float64
	// Heartbeats and Lost count those that arrived and those that did not, in the member's present boot.
	Heartbeats, Lost uint64
	// LastHeartbeat is when the last one arrived.
	LastHeartbeat time.Time
	// Overdue is from when on the next one is late for this path, and the member is asked.
	Overdue time.Time
	// Reaches is when this node's own φ comes to Threshold if nothing more is heard. Zero: never, as no heartbeat arrived.
	Reaches time.Time
}

// Inquiry is an open inquiry about a silent member.
type Inquiry struct {
	// Since is when the member was first asked since the latest sign of life; zero: it has not been.
	Since time.Time
	// Asked counts the questions since then, and Unanswered those that an answer should have come to by now.
	Asked, Unanswered int
	// Doubts are those of this node and of the others that count, sorted by name.
	Doubts []Doubt
	// Phi is the sum of these, each bounded to its share of Threshold, and BeforeStall the part that no stall explains.
	Phi, BeforeStall float64
}

// Doubt is how sure one member is that another one is dead.
type Doubt struct {
	By               string
	Phi, BeforeStall float64
}

// Verdict is what a member was called down for.
type Verdict struct {
	Phi, Threshold float64
	// By are the members who doubted, sorted: up to 8 of them.
	By []string
	// Exit is of what the member died where it said so itself (Node.Fail); Phi and Threshold are zero then.
	Exit string
}

// Explain returns why this node thinks what it does of the member of that name; false where it knows no such member. Of this
// node itself it tells who listens to it.
func (n *Node) Explain(name string) (Explanation, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if name == n.cfg.Name {
		e := Explanation{Member: n.core.selfMember(), Threshold: n.core.quorum.Down, StallThreshold: n.core.quorum.Stall}
		e.Observers = n.core.rings.Successors(name)
		return e, true
	}
	r := n.core.members[name]
	if r == nil {
		return Explanation{}, false
	}
	return n.core.explain(now, r), true
}

func (c *core) explain(now time.Time, r *record) Explanation {
	e := Explanation{
		Member: c.member(now, r), Threshold: c.quorum.Down, StallThreshold: c.quorum.Stall,
		Observers: c.rings.Successors(r.Name), LastAlive: r.seen,
	}
	if b := r.Basis; b != nil && r.State == claim.Down {
		e.Verdict = &Verdict{Phi: float64(b.Phi) / 100, Threshold: float64(b.Threshold) / 100, By: slices.Clone(b.By), Exit: b.Exit}
	}
	if r.State == claim.Up && !c.judged(r) {
		e.Excused = c.allowed(now, r)
	}
	if r.path.Watched() {
		e.Path = c.path(now, r)
	}
	if r.inquiry != nil && c.cfg.Heartbeats == Ring {
		e.Inquiry = c.inquiryOf(now, r)
	}
	return e
}

func (c *core) path(now time.Time, r *record) *Path {
	s := r.path.Status()
	return &Path{
		Interval: s.Interval, Mean: s.Mean, Deviation: s.Deviation, Loss: r.path.Loss(now),
		Heartbeats: s.Heard, Lost: s.Lost, LastHeartbeat: s.Last,
		Overdue: c.overdueAt(r), Reaches: r.path.Reaches(c.quorum.Down),
	}
}

func (c *core) inquiryOf(now time.Time, r *record) *Inquiry {
	q := &Inquiry{Since: r.inquiry.firstAsk, Asked: r.inquiry.asked, Unanswered: c.unanswered(now, r)}
	for _, t := range quorum.Heard(c.testimonies(now, r, time.Time{})) {
		q.Doubts = append(q.Doubts, Doubt{t.By, t.Phi, t.Before})
	}
	slices.SortFunc(q.Doubts, func(a, b Doubt) int { return cmp.Compare(a.By, b.By) })
	sum := c.consensus(now, r, time.Time{})
	q.Phi, q.BeforeStall = sum.Phi, sum.Before
	return q
}

// How an Explanation looks in JSON. Fields are only ever added.
type (
	explanationJSON struct {
		Member         Member       `json:"member"`
		Threshold      level.Phi    `json:"threshold"`
		StallThreshold level.Phi    `json:"stall_threshold"`
		Observers      []string     `json:"observers"`
		LastAlive      time.Time    `json:"last_alive,omitzero"`
		Excused        time.Time    `json:"excused_until,omitzero"`
		Path           *pathJSON    `json:"path,omitempty"`
		Inquiry        *inquiryJSON `json:"inquiry,omitempty"`
		Verdict        *verdictJSON `json:"verdict,omitempty"`
	}
	pathJSON struct {
		Interval      float64   `json:"interval_ms"`
		Mean          float64   `json:"mean_ms"`
		Deviation     float64   `json:"deviation_ms"`
		Loss          float64   `json:"loss"`
		Heartbeats    uint64    `json:"heartbeats"`
		Lost          uint64    `json:"lost"`
		LastHeartbeat time.Time `json:"last_heartbeat,omitzero"`
		Overdue       time.Time `json:"overdue,omitzero"`
		Reaches       time.Time `json:"reaches_threshold,omitzero"`
	}
	inquiryJSON struct {
		Since       time.Time   `json:"since,omitzero"`
		Asked       int         `json:"asked"`
		Unanswered  int         `json:"unanswered"`
		Doubts      []doubtJSON `json:"doubts"`
		Phi         level.Phi   `json:"phi"`
		BeforeStall level.Phi   `json:"before_stall"`
	}
	doubtJSON struct {
		By          string    `json:"by"`
		Phi         level.Phi `json:"phi"`
		BeforeStall level.Phi `json:"before_stall"`
	}
	verdictJSON struct {
		Phi       level.Phi `json:"phi"`
		Threshold level.Phi `json:"threshold"`
		By        []string  `json:"by"`
		Exit      string    `json:"exit,omitempty"`
	}
)

// MarshalJSON implements json.Marshaler: times in UTC and left out where they are zero, durations in milliseconds.
func (e Explanation) MarshalJSON() ([]byte, error) {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	j := explanationJSON{
		Member: e.Member, Threshold: level.Phi(e.Threshold), StallThreshold: level.Phi(e.StallThreshold),
		Observers: array(e.Observers), LastAlive: e.LastAlive.UTC(), Excused: e.Excused.UTC(),
	}
	if p := e.Path; p != nil {
		j.Path = &pathJSON{
			ms(p.Interval), ms(p.Mean), ms(p.Deviation), p.Loss, p.Heartbeats, p.Lost,
			p.LastHeartbeat.UTC(), p.Overdue.UTC(), p.Reaches.UTC(),
		}
	}
	if q := e.Inquiry; q != nil {
		j.Inquiry = &inquiryJSON{q.Since.UTC(), q.Asked, q.Unanswered, []doubtJSON{}, level.Phi(q.Phi), level.Phi(q.BeforeStall)}
		for _, d := range q.Doubts {
			j.Inquiry.Doubts = append(j.Inquiry.Doubts, doubtJSON{d.By, level.Phi(d.Phi), level.Phi(d.BeforeStall)})
		}
	}
	if v := e.Verdict; v != nil {
		j.Verdict = &verdictJSON{level.Phi(v.Phi), level.Phi(v.Threshold), array(v.By), v.Exit}
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements json.Unmarshaler for what MarshalJSON writes.
func (e *Explanation) UnmarshalJSON(b []byte) error {
	var j explanationJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	span := func(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }
	*e = Explanation{
		Member: j.Member, Threshold: float64(j.Threshold), StallThreshold: float64(j.StallThreshold),
		Observers: j.Observers, LastAlive: j.LastAlive, Excused: j.Excused,
	}
	if p := j.Path; p != nil {
		e.Path = &Path{
			span(p.Interval), span(p.Mean), span(p.Deviation), p.Loss, p.Heartbeats, p.Lost, p.LastHeartbeat, p.Overdue, p.Reaches,
		}
	}
	if q := j.Inquiry; q != nil {
		e.Inquiry = &Inquiry{Since: q.Since, Asked: q.Asked, Unanswered: q.Unanswered, Phi: float64(q.Phi), BeforeStall: float64(q.BeforeStall)}
		for _, d := range q.Doubts {
			e.Inquiry.Doubts = append(e.Inquiry.Doubts, Doubt{d.By, float64(d.Phi), float64(d.BeforeStall)})
		}
	}
	if v := j.Verdict; v != nil {
		e.Verdict = &Verdict{float64(v.Phi), float64(v.Threshold), v.By, v.Exit}
	}
	return nil
}

// array is [] in JSON where a nil slice would be null.
func array(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
