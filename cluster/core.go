package cluster

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/attention"
	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/quorum"
	"github.com/pulsering/pulsering/cluster/internal/ring"
	"github.com/pulsering/pulsering/cluster/internal/throttle"
	"github.com/pulsering/pulsering/cluster/internal/wire"
	"github.com/pulsering/pulsering/phiaccrual"
)

// core is what a node knows and decides. Inputs are packets, memberlist's callbacks and the time;
// outputs are events, and in out what is to be sent. It starts nothing, waits for nothing and reads no clock. Its owner is
// Node, which calls it under Node.mu only.
//
// Where to look, in the order in which a packet passes: received.go for packets, beating.go for heartbeats, evidence.go for claims
// and their merging, self.go for what is said of this node, inquiry.go, question.go and doubt.go for the way from silence to a
// verdict, flood.go for passing it on, view.go for what subscribers are shown. gossip.go and lost.go have what memberlist reports,
// graph.go who listens to whom, hold.go and isolation.go when this node judges nobody. record.go is what is known of a member.
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

func (c *core) tidy(now time.Time) {
	for name, r := range c.gone {
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
