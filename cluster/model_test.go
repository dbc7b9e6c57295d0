package cluster

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// The model: three observers a, b, c and a subject s, each a real core, over a network that does what it likes.
//
// The network is the set of all messages that were ever sent. Any of them may be delivered at any moment, any number of times or
// never: that is delay, reordering, duplication and loss in one, and delivering takes nothing away. Whatever may happen
// (a heartbeat, a verdict, a goodbye, …) may happen at any moment too, each as often as the script allows. A world is where
// everybody stands, what was sent and what may still happen; explore visits every world that can be reached, and in each of
// them asks: if all that is under way were lost, and the members compared their tables, would they agree, and on the truth?
//
// There is one instant only, so what depends on the passing of time (φ, inquiries' deadlines, forgetting) is not here;
// verdicts fall at any moment instead. Node states, messages and sets of messages are interned as numbers, and each step of
// a core is taken once: a world is a small value, and worlds that differ in the way to them only are one.

const (
	subject    = 0
	modelClock = 1_000_000 // the subject's first boot
)

var (
	modelNames = [...]string{"s", "a", "b", "c"}
	modelNow   = time.UnixMicro(modelClock)
)

// world is a state of everything, as numbers that the model keeps.
type world struct {
	nodes   [len(modelNames)]int
	dead    bool                  // the subject's process
	process [len(modelNames)]int8 // processes under each name so far
	sent    int                   // the set of messages
	left    [8]int8               // of each happening of the script
}

// happening is what may happen besides deliveries, at most times times in a script.
type happening struct {
	times int8
	ways  func(*model, world) []move
}

// move is one thing that may happen next.
type move struct {
	label   string
	message int // where it is the delivery of one
	to      func() world
}

// did is a move that was made, in a story.
type did struct {
	label   string
	message int
}

// input is what a core may be given.
type input struct{ verb, name, addr, body string }

type message struct {
	to    string // ip:port
	input int
}

// node is a core with what stands around it.
type node struct {
	*core
	table map[string]string // memberlist's: metadata by name there
	addrs map[string]string
	told  told
}

// told is what a subscriber was told of the subject, as far as the rules of events go.
type told struct {
	boot  uint64
	kind  Kind
	wrong string // the first event against the rules
	down  token  // of the last Down of a boot that was not over by a restart
	self  token  // of the last Accused of the node itself
}

// token is a fencing token: Boot and Epoch of a member.
type token struct{ boot, epoch uint64 }

func (t token) Compare(u token) int {
	return cmp.Or(cmp.Compare(t.boot, u.boot), cmp.Compare(t.epoch, u.epoch))
}

type model struct {
	script   []happening
	holding  bool // floods wait for a move of their own
	cut      bool // what is sent is lost at once
	inputs   interned[input]
	messages interned[message]
	nodes    []*node
	nodeIDs  map[string]int
	sets     [][]int
	setIDs   map[string]int
	steps    map[[2]int]step
	settled  map[world]world
	pulls    map[pull][]int
}

// step is what a core made of one input.
type step struct {
	node int
	out  []int // messages
}

type interned[T comparable] struct {
	ids map[T]int
	all []T
}

func (i *interned[T]) id(v T) int {
	id, ok := i.ids[v]
	if !ok {
		if i.ids == nil {
			i.ids = map[T]int{}
		}
		id = len(i.all)
		i.ids[v] = id
		i.all = append(i.all, v)
	}
	return id
}

// violation is what a step panics with, for the caller knows how it came about.
type violation string

func newModel(t *testing.T, script ...happening) (*model, world) {
	m := &model{
		script:  script,
		nodeIDs: map[string]int{}, setIDs: map[string]int{}, steps: map[[2]int]step{}, settled: map[world]world{}, pulls: map[pull][]int{},
	}
	w := world{sent: m.set(nil)}
	for i, h := range script {
		w.left[i] = h.times
	}
	for i, name := range modelNames {
		n := m.newNode(t, name, 0)
		n.assume(modelClock)
		n.out = output{}
		w.nodes[i] = m.intern(n)
	}
	for i := range w.nodes {
		for j := range w.nodes {
			if i != j {
				w = m.act(w, i, m.nodes[w.nodes[j]].announcement())
			}
		}
	}
	w.sent = m.set(nil)
	return m, w
}

func (m *model) newNode(t *testing.T, name string, process int8) *node {
	cfg, err := Config{Name: name}.prepare()
	if err != nil {
		t.Fatal(err)
	}
	n := &node{table: map[string]string{}, addrs: map[string]string{}}
	n.core = newCore(cfg, newCounters(), n.hear, nil, modelNow)
	n.gossipName = gossipName(name, modelNow.Add(time.Duration(process)*time.Second))
	n.addr = fmt.Sprintf("10.0.0.%d:7946", 1+slices.Index(modelNames[:], name))
	return n
}

// hear checks an event against what the subscriber was told before: a boot begins once, ends before the next one begins, comes back
// from down only, and what has left stays so.
func (n *node) hear(name string, e Event) {
	was, is := n.told, e.Member.Boot
	ok := false
	switch {
	case name == accusedKey:
		self := token{is, e.Member.Epoch}
		if e.Kind != Accused || self.Compare(was.self) <= 0 {
			n.told.wrong = cmp.Or(was.wrong, fmt.Sprintf("told %v of itself at %v, after one at %v", e.Kind, self, was.self))
		}
		n.told.self = self
		return
	case name != modelNames[subject]: // an observer: nothing happens to it but restarts
		ok = e.Kind == Up || e.Kind == Down && e.Reason == ReasonRestarted
	case is < was.boot:
	case is > was.boot: // a boot that was over when it was heard of may begin with its end
		ok = was.boot == 0 || ends(was.kind)
	case e.Kind == Up:
		ok = was.kind == Down
	case e.Kind == Down:
		ok = was.kind == Up
	case e.Kind == Left:
		ok = was.kind == Up || was.kind == Down
	}
	if !ok || kindOf(e.Member.State) != e.Kind || (e.Kind == Left) != (e.Reason == ReasonLeft) {
		n.told.wrong = cmp.Or(was.wrong, fmt.Sprintf("told %v (%s) of %s in boot %d as %v, after %v in boot %d",
			e.Kind, e.Reason, name, is, e.Member.State, was.kind, was.boot))
	}
	if name == modelNames[subject] {
		n.told.boot, n.told.kind = is, e.Kind
		if e.Kind == Down && e.Reason != ReasonRestarted {
			n.told.down = token{is, e.Member.Epoch}
		}
	}
}

// clone copies what a step may change.
func (n *node) clone() *node {
	c := *n.core
	d := &node{core: &c, table: maps.Clone(n.table), addrs: maps.Clone(n.addrs), told: n.told}
	c.publish = d.hear
	c.members = map[string]*record{}
	for name, r := range n.members {
		r := *r
		if r.path != nil {
			p := *r.path
			r.path = &p
		}
		if r.near != &untouched {
			n := *r.near
			r.near = &n
		}
		if r.inquiry != nil {
			in := *r.inquiry
			in.opinions = map[string]*opinion{}
			for from, o := range r.inquiry.opinions {
				in.opinions[from] = o
			}
			r.inquiry = &in
		}
		c.members[name] = &r
	}
	c.namesakes = maps.Clone(c.namesakes)
	mine := func(of map[string]*record) map[string]*record {
		m := map[string]*record{}
		for key, r := range of {
			if r != nil {
				m[key] = c.members[r.Name]
			} else {
				m[key] = nil
			}
		}
		return m
	}
	c.owed = map[string]*owed{}
	for name, o := range n.owed {
		o := *o
		c.owed[name] = &o
	}
	c.inquiries, c.gone, c.watching = mine(n.inquiries), mine(n.gone), mine(n.watching)
	c.atSeed, c.courtesy = mine(n.atSeed), mine(n.courtesy)
	all := func(of []*record) (mine []*record) {
		for _, r := range of {
			mine = append(mine, c.members[r.Name])
		}
		return mine
	}
	c.duty, c.observers, c.displaced, c.rings = all(n.duty), all(n.observers), all(n.displaced), n.rings.Clone()
	c.flood = slices.Clone(c.flood)
	return d
}

// key tells node states apart by all that a later step could depend on but the time.
func (n *node) key() string {
	b := make([]byte, 0, 512)
	num := func(vs ...uint64) {
		for _, v := range vs {
			b = binary.AppendUvarint(b, v)
		}
	}
	str := func(s string) { num(uint64(len(s))); b = append(b, s...) }
	flag := func(vs ...bool) {
		for _, v := range vs {
			if v {
				num(1)
			} else {
				num(0)
			}
		}
	}
	about := func(c claim.Claim) { num(c.Boot, c.Epoch, c.Seq, uint64(c.State)); str(c.Addr) }
	str(n.gossipName)
	num(n.boot, n.before, n.epoch, n.seq, n.told.boot, uint64(n.told.kind))
	num(n.told.down.boot, n.told.down.epoch, n.told.self.boot, n.told.self.epoch)
	flag(n.left, n.isolated, n.stale)
	str(n.rotation.String())
	for _, cl := range n.flood {
		str(cl.Name)
		about(cl)
	}
	for _, name := range slices.Sorted(maps.Keys(n.members)) {
		r := n.members[name]
		str(name)
		str(r.gossipName)
		about(r.Claim)
		p := r.path.Status()
		num(uint64(r.shown), uint64(r.wronged), r.refutedEpoch, r.refutedSeq, r.accusedSeq, p.Sent, p.Edge, p.Epoch, p.Seq)
		flag(n.rings.Seated(name), n.rings.Lives(name), r.path.Watched(), r.seen.IsZero(), r.successor.IsZero(), r.askedAt.IsZero(), r.inquiry != nil, r.suspicion.shown, r.suspicion.again, r.suspicion.deaf, r.suspicion.ended.IsZero(), r.unheard, r.apart)
		if in := r.inquiry; in != nil {
			num(uint64(in.asked), uint64(len(in.opinions)))
			flag(in.urgent, in.alleged != nil)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(n.owed)) {
		str(name)
		about(n.owed[name].verdict)
		flag(n.owed[name].at.IsZero())
	}
	for _, name := range slices.Sorted(maps.Keys(n.table)) {
		str(name)
		str(n.table[name])
	}
	return string(b)
}

func (m *model) intern(n *node) int {
	key := n.key()
	id, ok := m.nodeIDs[key]
	if !ok {
		id = len(m.nodes)
		m.nodeIDs[key] = id
		m.nodes = append(m.nodes, n)
	}
	return id
}

// set returns the number of a set of messages, given sorted.
func (m *model) set(messages []int) int {
	key := make([]byte, 0, 2*len(messages))
	for _, msg := range messages {
		key = binary.AppendUvarint(key, uint64(msg))
	}
	id, ok := m.setIDs[string(key)]
	if !ok {
		id = len(m.sets)
		m.setIDs[string(key)] = id
		m.sets = append(m.sets, messages)
	}
	return id
}

func (m *model) send(w world, messages ...int) world {
	set := m.sets[w.sent]
	for _, msg := range messages {
		if at, found := slices.BinarySearch(set, msg); !found {
			set = slices.Insert(slices.Clip(set), at, msg)
		}
	}
	if len(set) > len(m.sets[w.sent]) {
		w.sent = m.set(set)
	}
	return w
}

// act gives an input to a node.
func (m *model) act(w world, i int, in input) world { return m.actOn(w, i, m.inputs.id(in)) }

func (m *model) actOn(w world, i, in int) world {
	key := [2]int{w.nodes[i], in}
	s, ok := m.steps[key]
	if !ok {
		s = m.step(m.nodes[w.nodes[i]], m.inputs.all[in])
		m.steps[key] = s
	}
	w.nodes[i] = s.node
	if len(s.out) > 0 && !m.cut {
		w = m.send(w, s.out...)
	}
	return w
}

func (m *model) step(before *node, in input) step {
	n := before.clone()
	n.take(in)
	if len(n.out.contests) > 0 { // as Node.contest does where nobody answers: the other process is dead
		for _, g := range n.out.contests {
			if other, err := decodeMeta([]byte(g.meta)); err == nil && other.Boot >= n.boot && !n.left {
				n.assume(other.Boot + 1)
			}
		}
	}
	if n.stale {
		n.regraph(modelNow)
	}
	if !m.holding && len(n.flood) > 0 {
		n.sendFlood()
	}
	m.check(before, n)
	out := m.outputs(n)
	return step{m.intern(n), out}
}

func (n *node) take(in input) {
	s := n.members[modelNames[subject]]
	switch in.verb {
	case "packet":
		n.received(modelNow, []byte(in.body))
	case "state":
		n.receivedState(modelNow, []byte(in.body))
	case "announce":
		g := gossipMember{in.name, in.addr, []byte(in.body)}
		if was, ok := n.table[g.name]; ok { // memberlist numbers the announcements of a process
			old, _ := decodeMeta([]byte(was))
			if now, _ := decodeMeta(g.meta); now.Boot <= old.Boot {
				return
			}
		}
		n.table[g.name], n.addrs[g.name] = in.body, in.addr
		n.gossipAlive(modelNow, g)
	case "dead":
		n.gossipDead(modelNow, in.name)
	case "ack":
		n.gossipAck(modelNow, gossipAck{modelNow, in.name, 0, []byte(in.body)})
	case "verdict":
		n.condemn(modelNow, s, ReasonSilent)
	case "beat":
		n.beat(modelNow)
	case "leave":
		n.leave(modelNow)
	case "assume":
		n.assume(max(modelClock, n.before+1))
	case "assume later":
		n.assume(max(modelClock+10*uint64(in.body[0]), n.before+1))
	case "flood":
		n.sendFlood()
	default:
		panic("unknown input " + in.verb)
	}
}

// check holds a step against the rules that no step may break.
func (m *model) check(before, after *node) {
	for name, r := range after.members {
		if was := before.members[name]; was != nil && was.After(r.Claim) {
			panic(violation(fmt.Sprintf("%s's claim about %s goes back from %+v to %+v", after.cfg.Name, name, was.Claim, r.Claim)))
		}
		// A verdict is remembered until it is refuted, and in one instant all are one.
		was := before.members[name]
		called := was != nil && was.Boot == r.Boot && was.State == claim.Up && r.State == claim.Down
		if r.wronged > 1 || called && r.accusedSeq == 0 && r.wronged == 0 {
			panic(violation(fmt.Sprintf("%s counts %v wrong verdicts about %s, and has accused it at heartbeat %d", after.cfg.Name, r.wronged, name, r.accusedSeq)))
		}
		if r.shown != State(r.State) {
			panic(violation(fmt.Sprintf("%s shows %s %v and holds %v", after.cfg.Name, name, r.shown, r.State)))
		}
	}
	if len(after.members) < len(before.members) {
		panic(violation(after.cfg.Name + " forgot somebody"))
	}
	if was, is := before.selfClaim(), after.selfClaim(); was.After(is) {
		panic(violation(fmt.Sprintf("%s says of itself %+v and then %+v", after.cfg.Name, was, is)))
	}
	if after.told.wrong != "" {
		panic(violation(after.cfg.Name + "'s subscriber is " + after.told.wrong))
	}
}

// outputs turns what a core asks for into messages.
func (m *model) outputs(n *node) []int {
	var out []int
	post := func(to string, in input) { out = append(out, m.messages.id(message{to, m.inputs.id(in)})) }
	o := n.takeOut()
	for _, p := range o.packets {
		if p.Packet.Beat != nil {
			p.Packet.Beat.Interval = 0 // a last one: nobody is to be watched
		}
		post(p.To, packetInput(p.Packet))
	}
	for _, cl := range o.broadcasts { // as Node.broadcast does, but without the address, of which merge takes no notice
		cl.Addr = ""
		for _, r := range n.members {
			post(r.Addr, packetInput(&wire.Packet{From: n.cfg.Name, Boot: n.boot, Claims: []claim.Claim{cl}}))
		}
	}
	if o.meta {
		for _, r := range n.members {
			post(r.Addr, n.announcement())
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func packetInput(p *wire.Packet) input {
	buf, err := wire.Encode(p)
	if err != nil {
		panic(err)
	}
	return input{verb: "packet", body: string(buf)}
}

func (n *node) announcement() input {
	m, err := encodeMeta(meta{Boot: n.boot})
	if err != nil {
		panic(err)
	}
	return input{"announce", n.gossipName, n.addr, string(m)}
}

// tableInput is the node's state for a push/pull, in an order that is always the same.
func (n *node) tableInput() input {
	buf := n.state(modelNow)
	if buf == nil {
		return input{}
	}
	p, err := wire.Decode(buf)
	if err != nil {
		panic(violation(fmt.Sprintf("%s cannot speak for itself: %v", n.cfg.Name, err)))
	}
	slices.SortFunc(p.Claims, func(a, b claim.Claim) int { return cmp.Compare(a.Name, b.Name) })
	buf, _ = wire.Encode(p)
	return input{verb: "state", body: string(buf)}
}

// exchange is memberlist's push/pull between two nodes: each sends what it has before it takes in the other's. buried:
// memberlist has found out that the subject is dead, and does not announce it any more.
func (m *model) exchange(w world, i, j int, buried bool) world {
	a, b := m.tellsAll(w.nodes[i], buried), m.tellsAll(w.nodes[j], buried)
	for _, in := range b {
		w = m.actOn(w, i, in)
	}
	for _, in := range a {
		w = m.actOn(w, j, in)
	}
	return w
}

// tellsAll is what a node sends in a push/pull: memberlist's table, and its own.
func (m *model) tellsAll(id int, buried bool) []int {
	key := pull{id, buried}
	all, ok := m.pulls[key]
	if ok {
		return all
	}
	n := m.nodes[id]
	all = append(all, m.inputs.id(n.announcement()))
	for _, name := range slices.Sorted(maps.Keys(n.table)) {
		if !buried || memberName(name) != modelNames[subject] {
			all = append(all, m.inputs.id(input{"announce", name, n.addrs[name], n.table[name]}))
		}
	}
	if in := n.tableInput(); in.verb != "" {
		all = append(all, m.inputs.id(in))
	}
	m.pulls[key] = all
	return all
}

type pull struct {
	node   int
	buried bool
}

func (w world) present(i int) bool { return i != subject || !w.dead }

// settle lets everybody that is there exchange states with everybody, twice, while all packets are lost.
func (m *model) settle(w world) world {
	key := world{nodes: w.nodes, dead: w.dead}
	end, ok := m.settled[key]
	if !ok {
		end = w
		m.cut = true
		defer func() { m.cut = false }()
		for range 2 {
			for i := range end.nodes {
				for j := range i {
					if end.present(i) && end.present(j) {
						end = m.exchange(end, i, j, false)
					}
				}
			}
		}
		m.agree(end)
		m.settled[key] = end
	}
	w.nodes = end.nodes
	return w
}

// agree checks what must hold once everybody knows what anybody knows.
func (m *model) agree(w world) {
	s := m.nodes[w.nodes[subject]]
	first := m.record(w, 1)
	for i := 2; i < len(w.nodes); i++ {
		r := m.record(w, i)
		if last := later(r, first); w.dead && r.Boot != first.Boot && last.State == claim.Up {
			return // a boot that died before memberlist announced it, known from claims: its end will be believed
		}
		if r.Compare(first.Claim) != 0 || r.shown != first.shown {
			panic(violation(fmt.Sprintf("%s ends with %+v (%v), %s with %+v (%v)",
				modelNames[1], first.Claim, first.shown, modelNames[i], r.Claim, r.shown)))
		}
	}
	for i := 1; i < len(w.nodes) && !w.dead && !s.left; i++ {
		// Whoever showed a living boot down has told it so, or is about to.
		n, r := m.nodes[w.nodes[i]], m.record(w, i)
		if down := n.told.down; r.State == claim.Up && down.Compare(token{s.boot, s.epoch}) >= 0 && n.owed[r.Name] == nil {
			panic(violation(fmt.Sprintf("s ends in %v, and %s, who showed it down in %v, does not tell it",
				token{s.boot, s.epoch}, modelNames[i], down)))
		}
	}
	for i := 1; i < len(w.nodes) && !w.dead; i++ {
		for name, body := range m.nodes[w.nodes[i]].table {
			other, _ := decodeMeta([]byte(body))
			if memberName(name) == s.cfg.Name && name != s.gossipName && other.Boot >= s.boot && !s.left {
				panic(violation(fmt.Sprintf("s ends in boot %d, and its process before was announced in boot %d", s.boot, other.Boot)))
			}
		}
	}
	switch {
	case w.dead:
	case !s.left && (first.State != claim.Up || first.Boot != s.boot):
		panic(violation(fmt.Sprintf("s lives in boot %d and ends as %+v", s.boot, first.Claim)))
	case s.left && first.Boot <= s.boot && first.Compare(s.selfClaim()) != 0:
		panic(violation(fmt.Sprintf("s left in boot %d and ends as %+v", s.boot, first.Claim)))
	}
}

func later(r, other *record) *record {
	if other.After(r.Claim) {
		return other
	}
	return r
}

func (m *model) record(w world, i int) *record {
	return m.nodes[w.nodes[i]].members[modelNames[subject]]
}

// moves are all that may happen next.
func (m *model) moves(w world) []move {
	var all []move
	for k, h := range m.script {
		if w.left[k] == 0 {
			continue
		}
		for _, mv := range h.ways(m, w) {
			all = append(all, move{mv.label, 0, func() world {
				w := mv.to()
				w.left[k]--
				return w
			}})
		}
	}
	for i, id := range w.nodes {
		if !w.present(i) {
			continue
		}
		if len(m.nodes[id].flood) > 0 {
			all = append(all, move{modelNames[i] + " sends its flood", 0, func() world { return m.act(w, i, input{verb: "flood"}) }})
		}
		for _, msg := range m.sets[w.sent] {
			if to := m.messages.all[msg]; to.to == m.nodes[id].addr {
				all = append(all, move{modelNames[i] + " gets", msg, func() world { return m.actOn(w, i, to.input) }})
			}
		}
	}
	return all
}

// deliverAll delivers every message to everybody until nothing changes.
func (m *model) deliverAll(w world) world {
	for {
		before := w
		for _, msg := range m.sets[w.sent] {
			for i := range w.nodes {
				if to := m.messages.all[msg]; w.present(i) && to.to == m.nodes[w.nodes[i]].addr {
					w = m.actOn(w, i, to.input)
				}
			}
		}
		if w == before {
			return w
		}
	}
}

// bury checks that a dead subject ends down, or left if that is what it said, and that no message of its lifetime wakes it again.
func (m *model) bury(w world) {
	w = m.settle(m.deliverAll(w))
	for i := 1; i < len(w.nodes); i++ {
		if m.record(w, i).State == claim.Up {
			w = m.act(w, i, input{verb: "verdict"})
		}
	}
	w = m.settle(w)
	end := m.record(w, 1).Claim
	if end.State == claim.Up {
		panic(violation(fmt.Sprintf("s is dead, and after the verdict %+v", end)))
	}
	w = m.settle(m.deliverAll(w))
	if r := m.record(w, 1); r.Compare(end) != 0 {
		panic(violation(fmt.Sprintf("s is dead, ended as %+v, and then became %+v", end, r.Claim)))
	}
}

func (m *model) inspect(w world) {
	m.settle(w)
	if w.dead && w.left == [len(w.left)]int8{} {
		m.bury(w)
	}
}

// explore visits every world that the script can lead to, those few moves away first, so that a violation comes with the
// shortest way to it.
func explore(t *testing.T, depth int, script ...happening) {
	t.Helper()
	const most = 400_000
	m, start := newModel(t, script...)
	type visit struct {
		world
		from  int
		moves int
		how   did
	}
	visits := []visit{{world: start}}
	known := map[world]bool{start: true}
	at, doing := 0, did{}
	defer func() {
		if why := recover(); why != nil {
			v, ok := why.(violation)
			if !ok {
				panic(why)
			}
			story := []did{doing}
			for ; at > 0; at = visits[at].from {
				story = append(story, visits[at].how)
			}
			slices.Reverse(story)
			t.Fatalf("%s\nafter: %s", v, m.tell(story))
		}
	}()
	moved := 0
	for ; at < len(visits); at++ {
		w := visits[at].world
		doing = did{}
		m.inspect(w)
		if visits[at].moves == depth {
			continue
		}
		for _, mv := range m.moves(w) {
			doing = did{mv.label, mv.message}
			moved++
			if next := mv.to(); next != w && !known[next] {
				known[next] = true
				visits = append(visits, visit{next, at, visits[at].moves + 1, doing})
			}
		}
		if len(visits) > most {
			t.Fatalf("more than %d worlds: too long a script to visit all", most)
		}
	}
	t.Logf("%d worlds up to %d moves away, %d moves, %d states of nodes, %d messages, %d steps", len(visits), visits[len(visits)-1].moves, moved, len(m.nodes), len(m.messages.all), len(m.steps))
}

// tell puts a story into words.
func (m *model) tell(story []did) string {
	var b strings.Builder
	for _, d := range story {
		if d.label == "" {
			continue
		}
		fmt.Fprintf(&b, "\n  %s", d.label)
		if !strings.HasSuffix(d.label, " gets") {
			continue
		}
		in := m.inputs.all[m.messages.all[d.message].input]
		switch in.verb {
		case "packet":
			p, _ := wire.Decode([]byte(in.body))
			fmt.Fprintf(&b, " from %s in boot %d: claims %+v", p.From, p.Boot, p.Claims)
			if p.Beat != nil {
				fmt.Fprintf(&b, ", beat %+v", *p.Beat)
			}
			if len(p.Asks) > 0 {
				fmt.Fprintf(&b, ", asks %+v", p.Asks)
			}
		case "announce":
			a, _ := decodeMeta([]byte(in.body))
			fmt.Fprintf(&b, " the announcement of %s in boot %d", in.name, a.Boot)
		default:
			fmt.Fprintf(&b, " %s %+v", in.verb, in)
		}
	}
	return b.String()
}

// What may happen.

func beats(times int8) happening {
	return happening{times, func(m *model, w world) []move {
		if w.dead || m.nodes[w.nodes[subject]].left {
			return nil
		}
		return []move{{"s beats", 0, func() world { return m.act(w, subject, input{verb: "beat"}) }}}
	}}
}

func verdicts(times int8) happening {
	return happening{times, func(m *model, w world) []move {
		var ways []move
		for i := 1; i < len(w.nodes); i++ {
			if r := m.record(w, i); r != nil && r.State == claim.Up {
				ways = append(ways, move{modelNames[i] + " gives its verdict", 0, func() world {
					return m.act(w, i, input{verb: "verdict"})
				}})
			}
		}
		return ways
	}}
}

func leaves(times int8) happening {
	return happening{times, func(m *model, w world) []move {
		if w.dead || m.nodes[w.nodes[subject]].left {
			return nil
		}
		return []move{{"s leaves", 0, func() world { return m.act(w, subject, input{verb: "leave"}) }}}
	}}
}

func crashes(times int8) happening {
	return happening{times, func(m *model, w world) []move {
		if w.dead {
			return nil
		}
		return []move{{"s crashes", 0, func() world { w.dead = true; return w }}}
	}}
}

// restarts kill a process if there is one, and start another under its name, which joins through any observer. Its clock goes
// on ("assume later"), or was set back ("assume").
func restarts(t *testing.T, who int, times int8, clock string) happening {
	return happening{times, func(m *model, w world) []move {
		var ways []move
		for seed := 1; seed < len(w.nodes); seed++ {
			if seed == who {
				continue
			}
			label := modelNames[who] + " restarts, through " + modelNames[seed]
			ways = append(ways, move{label, 0, func() world {
				buried := w.dead
				w.process[who]++
				if who == subject {
					w.dead = false
				}
				w.nodes[who] = m.intern(m.newNode(t, modelNames[who], w.process[who]))
				w = m.exchange(w, who, seed, buried)
				return m.act(w, who, input{verb: clock, body: string([]byte{byte(w.process[who])})})
			}})
		}
		return ways
	}}
}

// lies put a claim about the subject, made from the truth, under way to everybody, from a member that did not say it.
func lies(times int8, from string, lie func(truth claim.Claim) claim.Claim) happening {
	return happening{times, func(m *model, w world) []move {
		s := m.nodes[w.nodes[subject]]
		cl := lie(claim.Claim{Name: s.cfg.Name, Boot: s.boot, Epoch: s.epoch, Seq: s.seq, State: claim.Up})
		return []move{{fmt.Sprintf("somebody says as %s: %+v", from, cl), 0, func() world {
			in := m.inputs.id(packetInput(&wire.Packet{From: from, Boot: modelClock, Claims: []claim.Claim{cl}}))
			for i, id := range w.nodes {
				if modelNames[i] != from {
					w = m.send(w, m.messages.id(message{m.nodes[id].addr, in}))
				}
			}
			return w
		}}}
	}}
}

// probes are memberlist's: an answer to an observer, with the subject's sign of life.
func probes(times int8) happening {
	return happening{times, func(m *model, w world) []move {
		s := m.nodes[w.nodes[subject]]
		if w.dead {
			return nil
		}
		var ways []move
		for i := 1; i < len(w.nodes); i++ {
			ways = append(ways, move{"s answers " + modelNames[i] + "'s probe", 0, func() world {
				body, err := wire.MarshalSummed(&sign{Boot: s.boot, Epoch: s.epoch, Seq: s.seq})
				if err != nil {
					panic(err)
				}
				in := m.inputs.id(input{verb: "ack", name: s.gossipName, body: string(body)})
				return m.send(w, m.messages.id(message{m.nodes[w.nodes[i]].addr, in}))
			}})
		}
		return ways
	}}
}

// hints are memberlist's reports that the subject died, upon which an observer asks.
func hints(times int8) happening {
	return happening{times, func(m *model, w world) []move {
		var ways []move
		for i := 1; i < len(w.nodes); i++ {
			if r := m.record(w, i); r != nil && r.State == claim.Up && r.gossipName != "" {
				ways = append(ways, move{modelNames[i] + "'s memberlist says that s is dead", 0, func() world {
					return m.act(w, i, input{verb: "dead", name: r.gossipName})
				}})
			}
		}
		return ways
	}}
}

// exchanges are push/pulls of any two that are there.
func exchanges(times int8) happening {
	return happening{times, func(m *model, w world) []move {
		var ways []move
		for i := range w.nodes {
			for j := range i {
				if w.present(i) && w.present(j) {
					ways = append(ways, move{modelNames[j] + " and " + modelNames[i] + " exchange states", 0, func() world { return m.exchange(w, i, j, w.dead) }})
				}
			}
		}
		return ways
	}}
}

var modelLies = map[string]func(claim.Claim) claim.Claim{
	"left":             func(c claim.Claim) claim.Claim { c.State = claim.Left; return c },
	"down":             func(c claim.Claim) claim.Claim { c.State, c.Seq = claim.Down, 1<<40; return c },
	"down, epoch":      func(c claim.Claim) claim.Claim { c.State, c.Epoch = claim.Down, c.Epoch+3; return c },
	"down, boot":       func(c claim.Claim) claim.Claim { c.State, c.Boot = claim.Down, c.Boot+5; return c },
	"left, boot":       func(c claim.Claim) claim.Claim { c.State, c.Boot = claim.Left, c.Boot+5; return c },
	"up, later":        func(c claim.Claim) claim.Claim { c.Epoch, c.Seq = c.Epoch+2, 1<<40; return c },
	"up, boot":         func(c claim.Claim) claim.Claim { c.Boot += 5; return c },
	"down, beyond":     func(c claim.Claim) claim.Claim { c.State, c.Boot = claim.Down, claim.MaxBoot; return c },
	"down, epoch jump": func(c claim.Claim) claim.Claim { c.State, c.Epoch = claim.Down, claim.MaxEpoch+1; return c },
	"down, last epoch": func(c claim.Claim) claim.Claim { c.State, c.Epoch = claim.Down, claim.MaxEpoch; return c },
	"down, last boot":  func(c claim.Claim) claim.Claim { c.State, c.Boot = claim.Down, claim.MaxForeignBoot; return c },
}

func TestModelOfAllInterleavings(t *testing.T) {
	const all = 1 << 10 // moves: until there are no new worlds
	for _, story := range []struct {
		name   string
		moves  int
		script []happening
	}{
		{"verdict", all, []happening{verdicts(1)}},
		{"verdict, beats", 7, []happening{verdicts(1), beats(2)}},
		{"leave", all, []happening{verdicts(1), leaves(1), crashes(1)}},
		{"memberlist's word", 6, []happening{verdicts(1), probes(1), hints(1)}},
		{"crash", 6, []happening{verdicts(2), beats(2), crashes(1)}},
		{"restart", 6, []happening{verdicts(1), beats(1), restarts(t, subject, 1, "assume later")}},
		{"restart, clock set back", 6, []happening{verdicts(1), restarts(t, subject, 1, "assume"), crashes(1)}},
		{"two restarts, clock set back", 5, []happening{restarts(t, subject, 2, "assume"), crashes(1)}},
		{"leave, restart", all, []happening{leaves(1), restarts(t, subject, 1, "assume"), crashes(1)}},
		{"newcomer", 5, []happening{verdicts(1), leaves(1), crashes(1), restarts(t, 3, 1, "assume later")}},
		{"exchange", 6, []happening{verdicts(1), beats(1), exchanges(1)}},
		{"epoch jump, restart", 6, []happening{lies(1, "c", modelLies["down, epoch jump"]), restarts(t, subject, 1, "assume")}},
		{"lie, restart", 6, []happening{lies(1, "c", modelLies["left"]), restarts(t, subject, 1, "assume")}},
	} {
		t.Run(story.name, func(t *testing.T) { explore(t, story.moves, story.script...) })
	}
	for _, name := range slices.Sorted(maps.Keys(modelLies)) {
		t.Run("a lie: "+name, func(t *testing.T) { explore(t, 8, lies(1, "c", modelLies[name]), beats(1)) })
		t.Run("a forged word of its own: "+name, func(t *testing.T) { explore(t, all, lies(1, "s", modelLies[name]), crashes(1)) })
	}
}

// Longer scripts, of everything at once, as far as chance leads.
func TestModelOfLongScripts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		clock := rapid.SampledFrom([]string{"assume", "assume later"}).Draw(rt, "clock")
		lie := modelLies[rapid.SampledFrom(slices.Sorted(maps.Keys(modelLies))).Draw(rt, "lie")]
		liar := rapid.SampledFrom([]string{"c", "s"}).Draw(rt, "liar")
		asking := happening{4, func(m *model, w world) []move { return append(hints(1).ways(m, w), probes(1).ways(m, w)...) }}
		m, w := newModel(t, beats(6), verdicts(6), leaves(2), crashes(2), lies(2, liar, lie), asking, exchanges(3),
			happening{4, func(m *model, w world) []move {
				return append(restarts(t, subject, 1, clock).ways(m, w), restarts(t, 3, 1, "assume later").ways(m, w)...)
			}})
		m.holding = rapid.Bool().Draw(rt, "floods wait")
		var story []did
		defer func() {
			if why := recover(); why != nil {
				v, ok := why.(violation)
				if !ok {
					panic(why)
				}
				rt.Fatalf("%s\nafter: %s", v, m.tell(story))
			}
		}()
		for range rapid.IntRange(1, 80).Draw(rt, "moves") {
			moves := m.moves(w)
			if len(moves) == 0 {
				break
			}
			mv := moves[rapid.IntRange(0, len(moves)-1).Draw(rt, "move")]
			story = append(story, did{mv.label, mv.message})
			if next := mv.to(); next != w {
				w = next
			} else {
				story = story[:len(story)-1]
			}
		}
		m.inspect(w)
	})
}
