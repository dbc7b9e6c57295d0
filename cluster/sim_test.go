package cluster

import (
	"cmp"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// simulation is a few cores on one clock, and a network between them. Nothing runs beside it, and all
// chance comes from one seed: the same script leads to the same packets, at the same instants.
//
// Around each core stands as little of memberlist as it takes: announcements, gossip and exchanges of
// tables that arrive, probes, and its own opinion of who is dead.
type simulation struct {
	now    time.Time
	begun  time.Time
	dice   *rand.Rand
	agenda agenda
	count  int // of what was put on the agenda

	way   time.Duration      // how long a packet takes, and up to half as long again
	loss  float64            // of packets
	cut   map[[2]string]bool // from an address to another: neither packets nor streams
	block map[[2]string]bool // packets alone

	names []string         // everybody ever, in the order of their first start
	at    map[string]*peer // who is at an address
	live  map[string]*peer // by name

	told func(p *peer, name string, e Event)
	sent func(p *peer, to string, buf []byte)
}

// peer is a core and what stands around it.
type peer struct {
	*core
	sim      *simulation
	over     bool // killed
	still    bool // stands still
	backlog  []func(at time.Time) any
	due      time.Time
	listed   map[string]bool // memberlist's table: alive, or not
	suspects map[string]time.Time
	probed   int
}

// task is something to be done at an instant; of one instant in the order in which they were set.
type task struct {
	at time.Time
	n  int
	do func()
}

type agenda []task

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return cmp.Or(a[i].at.Compare(a[j].at), cmp.Compare(a[i].n, a[j].n)) < 0
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(task)) }
func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

const (
	simGossip  = 300 * time.Millisecond // up to which a piece of gossip takes to reach somebody
	simSuspect = 5 * time.Second        // from a probe in vain to memberlist's verdict
	simTables  = 30 * time.Second       // between two exchanges of tables
)

func newSimulation(seed uint64) *simulation {
	begun := time.UnixMicro(modelClock)
	return &simulation{
		now: begun, begun: begun, dice: rand.New(rand.NewPCG(seed, 0)), way: 200 * time.Microsecond,
		cut: map[[2]string]bool{}, block: map[[2]string]bool{}, at: map[string]*peer{}, live: map[string]*peer{},
		told: func(*peer, string, Event) {}, sent: func(*peer, string, []byte) {},
	}
}

func (s *simulation) in(d time.Duration, do func()) {
	s.count++
	heap.Push(&s.agenda, task{s.now.Add(max(0, d)), s.count, do})
}

// run goes on for a while.
func (s *simulation) run(d time.Duration) {
	end := s.now.Add(d)
	for len(s.agenda) > 0 && !s.agenda[0].at.After(end) {
		t := heap.Pop(&s.agenda).(task)
		s.now = t.at
		t.do()
	}
	s.now = end
}

func (s *simulation) chance() time.Duration {
	return time.Duration(s.dice.Float64() * float64(simGossip))
}

// streams tells whether a stream from one address gets through to another, and packets whether a packet does.
func (s *simulation) streams(from, to string) bool {
	return from != to && !s.cut[[2]string{from, to}] && !s.cut[[2]string{to, from}]
}
func (s *simulation) packets(from, to string) bool {
	return !s.cut[[2]string{from, to}] && !s.block[[2]string{from, to}]
}

// start has a process of a name join at an address, through everybody whom it reaches.
func (s *simulation) start(name, addr string, config Config) *peer {
	config.Name = name
	cfg, err := config.prepare()
	if err != nil {
		panic(err)
	}
	p := &peer{sim: s, listed: map[string]bool{}, suspects: map[string]time.Time{}}
	publish := func(about string, e Event) { s.told(p, about, e) }
	p.core = newCore(cfg, newCounters(), publish, rand.New(rand.NewPCG(s.dice.Uint64(), 0)), s.now)
	p.gossipName, p.addr = gossipName(name, s.now), addr
	if !slices.Contains(s.names, name) {
		s.names = append(s.names, name)
	}
	s.at[addr], s.live[name] = p, p
	p.assume(max(uint64(s.now.UnixMicro()), p.before+1))
	for _, other := range s.others(p) {
		if s.streams(addr, other.addr) {
			s.exchange(p, other)
			break
		}
	}
	s.in(0, p.turn)
	s.in(time.Duration(s.dice.Float64()*float64(time.Second)), p.probe)
	s.in(time.Duration(s.dice.Float64()*float64(simTables)), p.pull)
	return p
}

// others are the living processes but one, in the order of their names.
func (s *simulation) others(p *peer) (all []*peer) {
	for _, name := range s.names {
		if other := s.live[name]; other != nil && other != p {
			all = append(all, other)
		}
	}
	return all
}

func (s *simulation) crash(p *peer) {
	p.over = true
	delete(s.live, p.cfg.Name)
	if s.at[p.addr] == p {
		delete(s.at, p.addr)
	}
}

// leave has a process say goodbye, and end a second later.
func (s *simulation) leave(p *peer) {
	p.leave(s.now)
	p.perform()
	for _, other := range s.others(p) {
		if s.streams(p.addr, other.addr) {
			s.in(s.chance(), func() { other.unlist(p.gossipName) })
		}
	}
	s.in(time.Second, func() { s.crash(p) })
}

// stall has a process stand still for a while.
func (s *simulation) stall(p *peer, d time.Duration) {
	p.still = true
	s.in(d, func() {
		p.still = false
		p.turn()
	})
}

// take hands a process an input, at once or when it goes on.
func (p *peer) take(input func(at time.Time) any) {
	if p.over {
		return
	}
	p.backlog = append(p.backlog, input)
	p.turn()
}

// turn is Node.turn.
func (p *peer) turn() {
	if p.over || p.still {
		return
	}
	now := p.sim.now
	p.heldUp(now)
	inputs := p.backlog
	p.backlog = nil
	for _, input := range inputs {
		p.handle(input(now))
	}
	p.wakeAt(p.wake(now))
	p.perform()
}

func (p *peer) wakeAt(next time.Time) {
	p.due = next
	p.sim.in(next.Sub(p.sim.now), func() {
		if p.due.Equal(next) {
			p.turn()
		}
	})
}

// perform is Node.perform.
func (p *peer) perform() {
	s := p.sim
	out := p.takeOut()
	for _, o := range out.packets {
		buf, err := wire.Encode(o.Packet)
		if err != nil {
			panic(err)
		}
		p.send(o.To, buf)
	}
	for _, cl := range out.broadcasts {
		buf, err := wire.Encode(&wire.Packet{From: p.cfg.Name, Boot: p.boot, Claims: []claim.Claim{cl}})
		if err != nil {
			panic(err)
		}
		s.sent(p, "gossip", buf)
		for _, other := range s.others(p) {
			if s.packets(p.addr, other.addr) {
				s.in(s.chance(), func() { other.take(func(at time.Time) any { return userMessage{at, buf} }) })
			}
		}
	}
	if out.meta {
		for _, other := range s.others(p) {
			if s.streams(p.addr, other.addr) {
				s.in(s.chance(), func() { other.list(p) })
			}
		}
	}
	for _, k := range out.knocks {
		there, through := s.at[k.addr], s.streams(p.addr, k.addr)
		wait := 2 * s.way
		if !through {
			wait = p.knockTime()
		}
		s.in(wait, func() {
			p.take(func(at time.Time) any {
				return knocked{at: at, name: k.name, boot: k.boot, open: through && there != nil, refused: through && there == nil}
			})
		})
	}
	if there := s.at[out.fetch]; there != nil && s.streams(p.addr, out.fetch) {
		s.in(2*s.way, func() { s.exchange(p, there) })
	}
	for _, d := range out.departed {
		s.in(0, func() { p.unlist(d.process) })
	}
}

func (p *peer) send(to string, buf []byte) {
	s := p.sim
	s.sent(p, to, buf)
	lost := s.dice.Float64() < s.loss || !s.packets(p.addr, to)
	way := s.way + time.Duration(s.dice.Float64()*float64(s.way)/2)
	if !lost {
		s.in(way, func() {
			if there := s.at[to]; there != nil {
				there.take(func(at time.Time) any { return userMessage{at, buf} })
			}
		})
	}
}

// list is memberlist's news that a process is there.
func (p *peer) list(other *peer) {
	if other.over || p.over {
		return
	}
	p.listed[other.gossipName] = true
	delete(p.suspects, other.gossipName)
	m, err := encodeMeta(meta{Boot: other.boot, Tags: other.tags, Health: other.health})
	if err != nil {
		panic(err)
	}
	p.take(func(at time.Time) any { return gossipAlive{at, gossipMember{other.gossipName, other.addr, m}} })
}

// unlist is memberlist's news that a process is dead, or left.
func (p *peer) unlist(process string) {
	if p.listed[process] {
		delete(p.listed, process)
		delete(p.suspects, process)
		p.take(func(at time.Time) any { return gossipDead{at, process} })
	}
}

// exchange has two processes compare their tables, memberlist's and ours.
func (s *simulation) exchange(a, b *peer) {
	if a.over || b.over || a.still || b.still {
		return
	}
	for _, pair := range [][2]*peer{{a, b}, {b, a}} {
		from, to := pair[0], pair[1]
		buf := from.state(s.now)
		to.list(from)
		for process := range inOrder(from.listed) {
			if i := slices.IndexFunc(s.others(to), func(o *peer) bool { return o.gossipName == process }); i >= 0 && !to.listed[process] {
				to.list(s.others(to)[i])
			}
		}
		if buf != nil {
			to.take(func(at time.Time) any { return remoteState{at, buf} })
		}
	}
}

// pull has a process exchange tables with somebody, now and then.
func (p *peer) pull() {
	s := p.sim
	if p.over {
		return
	}
	var reached []*peer
	for _, other := range s.others(p) {
		if s.streams(p.addr, other.addr) && p.listed[other.gossipName] {
			reached = append(reached, other)
		}
	}
	if len(reached) > 0 {
		s.exchange(p, reached[s.dice.IntN(len(reached))])
	}
	s.in(simTables, p.pull)
}

// probe is what memberlist does each second: it looks after one whom it lists, and here after one whom it does not, as heal does.
func (p *peer) probe() {
	s := p.sim
	if p.over {
		return
	}
	s.in(time.Second, p.probe)
	if p.still {
		return
	}
	for process := range inOrder(p.suspects) {
		if s.now.Sub(p.suspects[process]) >= simSuspect {
			p.unlist(process)
		}
	}
	reaches := func(other *peer) bool {
		return !other.still && (s.streams(p.addr, other.addr) || s.packets(p.addr, other.addr) && s.packets(other.addr, p.addr))
	}
	listed := make([]string, 0, len(p.listed))
	for process := range inOrder(p.listed) {
		listed = append(listed, process)
	}
	if len(listed) > 0 {
		p.probed++
		process := listed[p.probed%len(listed)]
		i := slices.IndexFunc(s.others(p), func(o *peer) bool { return o.gossipName == process })
		if i >= 0 && reaches(s.others(p)[i]) {
			other := s.others(p)[i]
			delete(p.suspects, process)
			if s.packets(p.addr, other.addr) && s.packets(other.addr, p.addr) { // by stream it is no ack
				payload, err := wire.MarshalSummed(&sign{Boot: other.boot, Epoch: other.epoch, Seq: other.seq})
				if err != nil {
					panic(err)
				}
				s.in(2*s.way, func() { p.take(func(at time.Time) any { return gossipAck{at, process, 2 * s.way, payload} }) })
			}
		} else if p.suspects[process].IsZero() {
			p.suspects[process] = s.now
		}
	}
	var lost []*peer
	for _, other := range s.others(p) {
		if !p.listed[other.gossipName] && !other.left && s.streams(p.addr, other.addr) {
			lost = append(lost, other)
		}
	}
	if len(lost) > 0 && s.dice.IntN(3) == 0 {
		s.exchange(p, lost[s.dice.IntN(len(lost))])
	}
}

// story is what members tell of each other, line by line.
type story struct{ strings.Builder }

func (t *story) hear(p *peer, about string, e Event) {
	fmt.Fprintf(t, "%9.3f %s: ", p.sim.now.Sub(p.sim.begun).Seconds(), p.cfg.Name)
	switch e.Kind {
	case Isolated, Connected:
		fmt.Fprintf(t, "%v\n", e.Kind)
	case Accused:
		fmt.Fprintf(t, "accused since %.3f, epoch %d\n", e.Since.Sub(p.sim.begun).Seconds(), e.Member.Epoch)
	default:
		fmt.Fprintf(t, "%s is %v (%s)", about, e.Kind, e.Reason)
		if e.Threshold > 0 {
			fmt.Fprintf(t, " φ %.2f of %.2f by %s", e.Phi, e.Threshold, strings.Join(e.By, " "))
		}
		t.WriteByte('\n')
	}
}
