package cluster

import (
	"cmp"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/attention"
	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/path"
	"github.com/pulsering/pulsering/cluster/internal/quorum"
	"github.com/pulsering/pulsering/cluster/internal/ring"
	"github.com/pulsering/pulsering/cluster/internal/throttle"
	"github.com/pulsering/pulsering/cluster/internal/wire"
	"github.com/pulsering/pulsering/internal/level"
	"github.com/pulsering/pulsering/phiaccrual"
)

// core is what a node knows and decides. Inputs are packets, memberlist's callbacks and the time;
// outputs are events, and in out what is to be sent. It starts nothing, waits for nothing and reads no clock. Its owner is
// Node, which calls it under Node.mu only.
//
// Where to look: beating.go for heartbeats, evidence.go for claims and their merging, inquiry.go for the way from silence
// to a verdict, gossip.go for what memberlist reports.
type core struct {
	cfg     *prepared
	log     logger
	count   *counters
	fresh   phiaccrual.Estimator // one that has heard nothing, to begin paths with
	publish func(name string, e Event)
	dice    *rand.Rand

	// This node itself.
	gossipName string // its name in memberlist
	addr       string
	boot       uint64                  // 0 while joining: it neither beats nor speaks
	before     uint64                  // the highest boot of this name that others knew of while it joined
	namesakes  map[string]gossipMember // others under this name that memberlist reported, by their name there
	epoch      uint64
	seq        uint64      // heartbeats so far
	sentAt     [64]sending // the latest of them
	tags       map[string]string
	health     Health
	since      time.Time
	left       bool   // it said goodbye,
	death      string // or where this is not empty, of what it died

	members map[string]*record // the others, by name
	gone    map[string]*record // those of them that subscribers know to be down or to have left
	atSeed  map[string]*record // who came last to the address of each seed; nil: nobody so far
	lost    map[string]*record // those that memberlist holds for dead, whatever they are here

	// Boots that this node has heard from and does not know, see missing.go.
	missed    map[string]*missed
	fetchAt   time.Time // the next exchange
	fetchVain int       // exchanges since one that brought what was missed

	// What memberlist lists, see departed.go: processes of members, by their names there.
	listed    map[string]*listing
	departing map[string]*departing
	buryAt    time.Time // the next look

	most      int               // the most members that were up at a time
	horizon   time.Time         // who went before was forgotten for want of room, see boundGone
	who       *processes        // which process each member is, for the transport
	seedNames map[string]string // who was last at the address of a seed, for good
	twins     map[string]twins  // two members with one address that have not been told of
	helloAt   time.Time         // the second in which
	hellos    int               // so many hellos were answered

	// Who was forgotten lately: others may remember for longer, and one death is told once.
	forgotten map[string]burial

	rings     *ring.Rings        // members that listen and are listened to, itself included; see regraph
	plain     int                // with Probes: members that run memberlist alone, and are up
	displaced []*record          // members whose place in the graph is to be looked at
	courtesy  map[string]*record // those with a courtesyUntil to come
	duty      []*record          // whom this node would listen to if only the living were there
	observers []*record          // who listens to this node, by its own reckoning
	stale     bool               // regraph is due
	graphAt   time.Time          // the last one
	rotation  ring.Rotation

	owed       map[string]*owed   // verdicts that members are to be told, by their name
	watching   map[string]*record // those from whom heartbeats are due here
	inquiries  map[string]*record // whose inquiry is open
	quorum     quorum.Thresholds  // what doubts have to come to, for the present number of members
	room       throttle.Throttle  // for the packets of inquiries
	words      map[string]int     // words of inquiries in this turn, by whom they go to
	knocks     int                // under way
	roll       roll
	isolated   bool      // this node hears nobody
	isolatedAt time.Time // since when, or when it last began to
	connected  time.Time // the end of its last isolation, or with Probes of a silence of all
	heardAt    time.Time // the last word of anybody
	vainSince  time.Time // since when this node asks others about the silent and hears nobody; zero: it does not
	echoed     time.Time // when the latest heartbeat or probe of this node was sent that somebody is known to have heard

	flood   []claim.Claim // to be passed on to the receivers of heartbeats, at floodAt
	floodAt time.Time

	beatAt, tidyAt time.Time
	attention      attention.Attention
	out            output
}

// output is what a turn of the core asks its owner to do.
type output struct {
	packets    []wire.Outgoing
	broadcasts []claim.Claim
	meta       bool           // this node's metadata changed
	contests   []gossipMember // members that claim this node's name under a higher boot
	knocks     []knocking     // members to be knocked at
	departed   []departure    // what memberlist is to be told
	fetch      string         // the address of a member to exchange tables with
	hellos     []greeting     // answers to hellos
	met        []*hello       // answers that came
	orders     []*order       // to be carried out
	reports    []*report      // on orders of this node's
}

// burial is all that is kept of a member that was forgotten.
type burial struct {
	boot uint64
	at   time.Time
}

// record is all that a node keeps about one other member.
type record struct {
	claim.Claim        // the latest claim: who it is, which boot, what evidence, up, down or left
	plain       bool   // runs memberlist alone: no boot, judged by memberlist
	gossipName  string // its name in memberlist; empty where memberlist does not know it
	listed      bool   // memberlist lists it under that name, in this boot and at this address
	tags        map[string]string
	health      Health

	shown State // as subscribers know it
	since time.Time

	met     time.Time  // when memberlist brought it, in this boot
	seen    time.Time  // when it last lived, by anybody's evidence
	upAt    time.Time  // since when it is up here, in this boot
	unheard bool       // only streams reach it: see knock.go
	apart   bool       // shown as down for an isolation of this node, and up as far as is known: see isolation.go
	path    *path.Path // of heartbeats between this node and r; nil: there were none
	edge    edge
	inquiry *inquiry
	*near
}

const (
	// tidyEvery is the time between two rounds of slow work: forgetting, orphans, the graph.
	tidyEvery = time.Second
	// keepPlace is how long a member that is down keeps its place in the graph at most: see keeps.
	keepPlace = 30 * time.Second
	// graphEvery is the time between two changes of the graph, so that many deaths at once are one.
	graphEvery = 50 * time.Millisecond
	// leastDownPhi bounds the threshold that follows from a FalseAlarmEvery of a minute.
	leastDownPhi = 4
)

// edge is when a packet of a member itself was last heard, and how long the way is.
type edge struct {
	lastHeard time.Time // the last packet of the member itself
	rtt       time.Duration
}

func newCore(cfg *prepared, count *counters, publish func(string, Event), dice *rand.Rand, now time.Time) *core {
	c := &core{
		cfg: cfg, log: cfg.log, count: count, fresh: estimator(cfg), publish: publish, dice: dice,
		tags: cfg.Tags, since: now, quorum: quorum.Thresholds{Down: leastDownPhi, Stall: leastStallPhi}, beatAt: now, tidyAt: now.Add(tidyEvery),
		members: map[string]*record{}, gone: map[string]*record{}, atSeed: map[string]*record{},
		missed: map[string]*missed{},
		lost:   map[string]*record{}, forgotten: map[string]burial{},
		listed: map[string]*listing{}, departing: map[string]*departing{},
		who: newProcesses(), seedNames: map[string]string{}, twins: map[string]twins{},
		rings: ring.New(cfg.Observers), courtesy: map[string]*record{},
		owed: map[string]*owed{}, watching: map[string]*record{}, words: map[string]int{}, inquiries: map[string]*record{}, namesakes: map[string]gossipMember{}, stale: true,
	}
	if cfg.LastBoot <= claim.MaxForeignBoot+claim.BootRoom {
		c.before = cfg.LastBoot
	} else {
		c.log.Warn("the last boot is higher than any that a member takes: passed over", "boot", cfg.LastBoot)
	}
	c.noteSeeds(slices.Concat(cfg.seeds, cfg.found))
	c.rings.Seat(cfg.Name, true)
	return c
}

// wake does what is due and returns when it wants to be woken next.
func (c *core) wake(now time.Time) time.Time {
	if !now.Before(c.beatAt) {
		c.beat(now)
		c.beatAt = c.beatAt.Add(c.cfg.Beat)
		if c.beatAt.Before(now) { // a stall: what was missed is missed
			c.beatAt = now.Add(c.cfg.Beat)
		}
	}
	if !now.Before(c.tidyAt) {
		c.tidy(now)
		c.tidyAt = now.Add(tidyEvery)
	}
	next := c.beatAt
	if c.stale {
		if at := c.graphAt.Add(graphEvery); now.Before(at) {
			next = at
		} else {
			c.regraph(now)
		}
	}
	c.takeOver(now)
	if at := c.watchOut(now); !at.IsZero() && at.Before(next) {
		next = at
	}
	if at := c.callRoll(now); !at.IsZero() && at.Before(next) {
		next = at
	}
	c.bury(now)
	c.fetch(now)
	if c.beatAt.Before(next) {
		next = c.beatAt
	}
	if c.tidyAt.Before(next) {
		next = c.tidyAt
	}
	for r := range c.bySilence(now) {
		if at := c.pursue(now, r); !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	if len(c.flood) > 0 {
		if !now.Before(c.floodAt) {
			c.sendFlood()
		} else if c.floodAt.Before(next) {
			next = c.floodAt
		}
	}
	if soon := now.Add(c.askEvery() / 4); len(c.inquiries) > 0 && soon.Before(next) { // to notice when it is held up
		next = soon
	}
	c.attention.Promise(next)
	return next
}

// heldUp notices, before what has come is handled, that this node stood still itself. Answers to its questions, and to those of the
// others, may have come meanwhile and not be read yet.
func (c *core) heldUp(now time.Time) {
	late := c.attention.Late(now)
	if late == 0 {
		return
	}
	if late >= c.askEvery() {
		c.count.pauses.Add(1)
		for _, r := range c.watching {
			r.path.Missed(c.attention.Due(), now)
		}
		c.askAnew(now)
	}
	c.attention.StoodStill(now, late, c.rules())
}

// askAnew begins all inquiries again, as this node missed answers: what it asked and what others said before counts no more.
func (c *core) askAnew(now time.Time) {
	for _, r := range c.inquiries {
		r.inquiry.asked, r.inquiry.times, r.inquiry.askAt = 0, nil, now
		clear(r.inquiry.opinions)
	}
}

// rules are what this node's attention goes by now. Whoever answers slowly is waited for, up to a second.
func (c *core) rules() attention.Rules {
	reply := c.askEvery()
	for _, r := range c.inquiries {
		reply = max(reply, min(c.replyTime(r), time.Second))
	}
	return attention.Rules{Miss: c.askEvery(), Reply: reply, Stall: c.cfg.StallAllowance}
}

func (c *core) tidy(now time.Time) {
	for name, r := range inOrder(c.gone) {
		switch age := now.Sub(r.since); {
		case age >= c.cfg.ForgetAfter:
			c.forget(now, name)
		case c.rings.Seated(name) && age >= r.keeps():
			c.displace(r)
		}
	}
	c.boundGone(now)
	c.tidyLost(now)
	c.tidyIsolation(now)
	for name := range inOrder(c.owed) {
		c.tellOwed(now, c.members[name], false)
	}
	c.tidyTwins(now)
	for name, f := range c.forgotten {
		if now.Sub(f.at) >= c.cfg.ForgetAfter {
			delete(c.forgotten, name)
		}
	}
	for _, r := range c.courtesy {
		c.stale = c.stale || !now.Before(r.courtesyUntil)
	}
}

func (c *core) forget(now time.Time, name string) {
	r := c.members[name]
	c.forgotten[name] = burial{r.Boot, now}
	c.unlink(now, r)
	c.unwatch(now, r)
	delete(c.members, name)
	c.who.forget(name, r.gossipName)
	delete(c.gone, name)
	delete(c.lost, name)
	delete(c.courtesy, name)
	delete(c.inquiries, name)
	delete(c.owed, name)
	for addr, holder := range c.atSeed {
		if holder == r {
			c.atSeed[addr] = nil
		}
	}
	c.rings.Unseat(name)
	c.stale = true
}

// byGossip is the member whose present process has that name in memberlist; nil: none.
func (c *core) byGossip(process string) *record {
	for _, name := range [...]string{memberName(process), process} { // plain members have no other name there
		if r := c.members[name]; r != nil && r.gossipName == process {
			return r
		}
	}
	return nil
}

// displace has the next regraph look at a member's place.
func (c *core) displace(r *record) {
	c.displaced = append(c.displaced, r)
	c.stale = true
}

// regraph brings the graph of observers up to date, and the thresholds that depend on the number of members.
func (c *core) regraph(now time.Time) {
	c.stale, c.graphAt = false, now
	for _, r := range c.displaced {
		// Who is known from claims alone, without a name in memberlist, is nobody to beat to.
		known := c.members[r.Name] == r && !r.plain && r.State != claim.Left && r.gossipName != ""
		lives := known && r.State == claim.Up
		if lives || known && now.Sub(r.since) < r.keeps() {
			c.rings.Seat(r.Name, lives)
		} else if c.members[r.Name] == r {
			c.rings.Unseat(r.Name)
		}
	}
	c.displaced = nil
	c.duty = c.records(c.rings.Successors(c.cfg.Name))
	c.observers = c.records(c.rings.Observers(c.cfg.Name))

	receivers := c.rings.Observers(c.cfg.Name)
	for name, r := range c.courtesy {
		switch {
		case !now.Before(r.courtesyUntil):
			delete(c.courtesy, name)
		case c.rings.Seated(name) && !slices.Contains(receivers, name):
			receivers = append(receivers, name)
		}
	}
	slices.SortFunc(receivers, func(a, b string) int {
		return cmp.Compare(ring.Hash(ring.Own, c.cfg.Name+a), ring.Hash(ring.Own, c.cfg.Name+b))
	})
	c.rotation.Set(receivers)

	// The threshold that keeps the promise of FalseAlarmEvery: φ promises one mistake in 10^φ heartbeats, and the cluster
	// judges members × heartbeats a second.
	perSecond := float64(c.rings.Living()) / c.cfg.Beat.Seconds()
	c.quorum.Down = max(leastDownPhi, math.Log10(perSecond*c.cfg.FalseAlarmEvery.Seconds()))
	// Losses that come together with a stall of nearly the allowance, members × stalls a second.
	stalls := float64(c.rings.Living()) * c.cfg.FalseAlarmEvery.Seconds() / stallEvery.Seconds()
	c.quorum.Stall = max(leastStallPhi, math.Log10(stalls))
	if c.cfg.Heartbeats == Probes { // nobody is asked: φ alone decides
		c.plain = 0
		for _, r := range c.members {
			if r.plain && r.State == claim.Up {
				c.plain++
			}
		}
		c.rewatch()
	}
}

// keeps is how long a member that is down keeps its place in the graph: as long as it had it. A wrong verdict then changes nothing
// about who listens to whom, and the member finds its observers where it left them. But of members that live for a moment, under ever
// new names, there are never more places than of those that are up.
func (r *record) keeps() time.Duration { return min(keepPlace, r.since.Sub(r.met)) }

// records are those of the members of these names.
func (c *core) records(names []string) []*record {
	all := make([]*record, len(names))
	for i, name := range names {
		all[i] = c.members[name]
	}
	return all
}

// handle acts on one input that a callback left.
func (c *core) handle(input any) {
	switch in := input.(type) {
	case userMessage:
		c.received(in.at, in.buf)
	case remoteState:
		c.receivedState(in.at, in.buf)
	case gossipAlive:
		c.gossipAlive(in.at, in.member)
	case gossipDead:
		c.gossipDead(in.at, in.name)
	case gossipAck:
		c.gossipAck(in.at, in)
	case knocked:
		c.knockEnded(in.at, in)
	}
}

// speaks tells whether this node has an identity to speak under.
func (c *core) speaks() bool { return c.boot != 0 }

// assume gives this node a boot, at Join or when it has to begin anew, and makes it known.
func (c *core) assume(boot uint64) {
	c.boot, c.epoch = boot, 0
	c.out.meta = true
}

// selfClaim is what this node says of itself.
func (c *core) selfClaim() claim.Claim {
	cl := claim.Claim{Name: c.cfg.Name, Boot: c.boot, Epoch: c.epoch, Seq: c.seq, State: c.selfState(), Addr: c.addr}
	if c.death != "" {
		cl.Basis = &claim.Basis{By: []string{c.cfg.Name}, Exit: c.death}
	}
	return cl
}

// selfState is what this node says of itself.
func (c *core) selfState() claim.State {
	switch {
	case c.death != "":
		return claim.Down
	case c.left:
		return claim.Left
	}
	return claim.Up
}

// leave says goodbye: the caller sends what is in out, and waits for the gossip.
func (c *core) leave(now time.Time) {
	c.left, c.since = true, now
	for _, r := range inOrder(c.members) { // the others stop beating to it: that says nothing of them
		c.endInquiry(r)
		r.suspicion.end(now)
		c.show(now, r, ReasonHeard)
	}
	c.spread(now, c.selfClaim())
	c.sendFlood()
}

// state is the whole table as claims, for memberlist's push/pull.
func (c *core) state(now time.Time) []byte {
	if !c.speaks() {
		return nil
	}
	p := &wire.Packet{From: c.cfg.Name, Boot: c.boot, Claims: make([]claim.Claim, 0, len(c.members)+1)}
	p.Claims = append(p.Claims, c.selfClaim())
	for _, r := range inOrder(c.members) {
		if !r.plain {
			p.Claims = append(p.Claims, r.aged(now))
		}
	}
	buf, err := wire.Encode(p)
	if err != nil {
		c.log.Error("state not encoded", "error", err)
	}
	return buf
}

// aged is what this node knows of r, with its age: since the change where r is down or has left,
// since the latest sign of life where r is up.
func (r *record) aged(now time.Time) claim.Claim {
	known := r.Claim
	if known.Exit() == "" {
		known.Basis = nil // the news carry it, once
	}
	switch {
	case known.State != claim.Up:
		known.Age = micros(now.Sub(r.since))
	case !r.seen.IsZero():
		known.Age = micros(now.Sub(r.seen))
	}
	return known
}

func (c *core) send(to *record, p *wire.Packet) {
	if !c.speaks() || to.Addr == "" {
		return
	}
	p.From, p.Boot = c.cfg.Name, c.boot
	c.out.packets = append(c.out.packets, wire.Outgoing{To: to.Addr, Packet: p})
}

// takeOut returns what is to be done, once.
func (c *core) takeOut() output {
	out := c.out
	c.out = output{}
	clear(c.words)
	out.packets = wire.Pack(out.packets, c.cfg.room())
	return out
}

// show tells subscribers when a member's state has changed for them.
func (c *core) show(now time.Time, r *record, reason string) {
	state := State(r.State)
	switch {
	case r.State != claim.Up:
		r.suspicion.confirm()
		r.apart = false
	case r.apart:
		state = StateDown
	case r.suspicion.shown:
		state = StateSuspect
	}
	if state == r.shown {
		return
	}
	if r.shown == StateDown && (state == StateUp || state == StateSuspect) {
		c.count.retracted.Add(1)
	}
	r.shown, r.since = state, now
	if c.transportKnows(r) {
		c.who.note(r.gossipName, c.over(r))
	}
	if state == StateDown || state == StateLeft {
		c.gone[r.Name] = r
		c.watchListing(now, r.gossipName)
	} else {
		delete(c.gone, r.Name)
	}
	c.displace(r)
	e := c.event(now, r, kindOf(state), reason)
	c.publish(r.Name, e)
	args := []any{"member", r.Name, "boot", r.Boot, "addr", r.Addr, "reason", reason, "phi", level.Phi(e.Phi)}
	if e.Threshold > 0 {
		args = append(args, "threshold", level.Phi(e.Threshold), "by", e.By)
	}
	if e.Detail != "" {
		args = append(args, "detail", e.Detail)
	}
	c.log.Info("member is "+state.String(), args...)
}

func kindOf(s State) Kind {
	switch s {
	case StateSuspect:
		return Suspect
	case StateDown:
		return Down
	case StateLeft:
		return Left
	}
	return Up
}

func (c *core) event(now time.Time, r *record, kind Kind, reason string) Event {
	m := c.member(now, r)
	e := Event{Kind: kind, Member: m, At: now, Phi: m.Phi, Reason: reason}
	if kind == Down && (reason == ReasonSilent || reason == ReasonVerdict) {
		e.Phi = 0 // this node's own share says nothing of the sum
		if b := r.Basis; b != nil {
			e.Phi, e.Threshold, e.By = float64(b.Phi)/100, float64(b.Threshold)/100, b.By
		}
	}
	if kind == Down && reason == ReasonExited {
		e.Phi, e.Detail = 0, r.Exit()
	}
	return e
}

// member is a snapshot for the outside.
func (c *core) member(now time.Time, r *record) Member {
	m := Member{
		Name: r.Name, Addr: r.Addr, Boot: r.Boot, Epoch: r.Epoch, Tags: maps.Clone(r.tags),
		State: r.shown, Since: r.since, Health: r.health,
	}
	if r.path.Watched() {
		m.Observed = true
		m.Phi = r.path.Phi(now)
		m.LastHeard = r.edge.lastHeard
		m.RTT = r.edge.rtt
	}
	return m
}

func (c *core) selfMember() Member {
	return Member{
		Name: c.cfg.Name, Addr: c.addr, Boot: c.boot, Epoch: c.epoch, Tags: maps.Clone(c.tags),
		State: State(c.selfState()), Since: c.since, Health: c.health,
	}
}

// snapshot is every member, itself included, sorted by name.
func (c *core) snapshot(now time.Time) []Member {
	all := make([]Member, 0, len(c.members)+1)
	all = append(all, c.selfMember())
	for _, r := range c.members {
		all = append(all, c.member(now, r))
	}
	slices.SortFunc(all, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// What claims say of a member is what members are shown as, if nothing is known better.
const (
	_ = uint(StateUp-State(claim.Up)) + uint(State(claim.Up)-StateUp)
	_ = uint(StateDown-State(claim.Down)) + uint(State(claim.Down)-StateDown)
	_ = uint(StateLeft-State(claim.Left)) + uint(State(claim.Left)-StateLeft)
)
