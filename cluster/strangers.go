package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// An address is no identity: that of a dead member may be given to a member of another cluster, and two clusters that once
// exchange tables are one for good. So this node asks who is there before it exchanges tables with an address that was a
// member's, and sends nothing of memberlist's to a process that is over. Seeds that no member has had the address of are
// the operator's will: they are exchanged with, whoever answers.

// processes knows which processes of members are over, by their names in memberlist, which asks by these. Of all others it knows
// nothing.
type processes struct {
	mu     sync.RWMutex
	gone   map[string]bool    // the present processes of members that are down or have left
	former map[string]*former // processes that another one took the place of, by the member's name
}

type former struct {
	processes []string  // the last few
	replaced  time.Time // the last of those
}

const (
	// maxFormer is how many former processes of a member are remembered, to whom memberlist may still talk.
	maxFormer = 16
	// graceTime is how long a process goes on being talked to that another one took the place of. If it lives, because it holds the
	// name too, as in two halves of a network, or because somebody made its successor up, it has to hear of that; and is heard itself,
	// by those that it beats to. flightTime is how late its last words may be if it does not.
	graceTime  = 750 * time.Millisecond
	flightTime = 250 * time.Millisecond
)

func newProcesses() *processes {
	return &processes{gone: map[string]bool{}, former: map[string]*former{}}
}

// introduce takes that a process is a member's present one, whether it is over or not. before was that until now: empty, or one that
// is no longer of interest.
func (p *processes) introduce(before, process string, over bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.former[memberName(process)]; f != nil {
		f.drop(process)
	}
	delete(p.gone, before)
	p.set(process, over)
}

// replaced takes that a process of a member is over, as another one has its name under a higher boot.
func (p *processes) replaced(at time.Time, process string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name := memberName(process)
	f := p.former[name]
	if f == nil {
		f = &former{}
		p.former[name] = f
	}
	f.drop(process)
	f.processes = append(f.processes, process)
	f.processes, f.replaced = f.processes[max(0, len(f.processes)-maxFormer):], at
	delete(p.gone, process)
}

func (f *former) drop(process string) {
	f.processes = slices.DeleteFunc(f.processes, func(s string) bool { return s == process })
}

// alive takes that a former process of a member is not over, as it was heard.
func (p *processes) alive(at time.Time, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.former[name]; f != nil && at.Sub(f.replaced) >= flightTime {
		delete(p.former, name)
	}
}

// note takes whether the present process of a member is over.
func (p *processes) note(process string, over bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set(process, over)
}

func (p *processes) set(process string, over bool) {
	if over {
		p.gone[process] = true
	} else {
		delete(p.gone, process)
	}
}

// forget takes that a member, and its present process, are no longer of interest.
func (p *processes) forget(name, process string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.former, name)
	delete(p.gone, process)
}

// over tells whether a process is known to be down or to have left, or another one has taken its place.
func (p *processes) over(process string) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.gone[process] {
		return true
	}
	f := p.former[memberName(process)]
	return f != nil && slices.Contains(f.processes, process) && time.Since(f.replaced) >= graceTime
}

// hello is the question who is at an address, and its answer. It travels as a user message of memberlist's, so that label and
// encryption are memberlist's, but with nothing of its gossip, as a ping has.
type hello struct {
	Nonce   uint64
	Addr    string // where the answer is to go, ip:port; empty: this is the answer
	Name    string // who answers
	Process string // and its name in memberlist
	Boot    uint64
	Others  uint64 // how many other members are up there
}

const (
	// helloMark is the first byte of such a message, where others have the version of the wire format.
	helloMark = 'h'
	// Hellos are sent helloTries times, helloSpacing apart, and waited for helloWait in all.
	helloTries   = 4
	helloSpacing = 150 * time.Millisecond
	helloWait    = time.Second
	// maxHellos is how many hellos a second are answered, so that nobody can be made to send much to somebody else.
	maxHellos = 50
)

func encodeHello(h *hello) []byte {
	body, _ := wire.Marshal(h) // strings and numbers
	return append([]byte{helloMark}, body...)
}

// greeted acts on a hello or on an answer to one.
func (c *core) greeted(now time.Time, buf []byte) {
	h := new(hello)
	if err := wire.Unmarshal(buf[1:], h); err != nil {
		c.count.drop(dropMalformed)
		return
	}
	if h.Addr == "" {
		if wire.BadName(h.Name) != "" || h.Name == "" || h.Boot == 0 || h.Boot > claim.MaxBoot {
			c.count.drop(dropMalformed)
			return
		}
		c.out.met = append(c.out.met, h)
		return
	}
	if _, err := parseIPPort(h.Addr, false); err != nil {
		c.count.drop(dropMalformed)
		return
	}
	if now.Sub(c.helloAt) >= time.Second {
		c.helloAt, c.hellos = now, 0
	}
	if !c.speaks() || c.left || c.hellos >= maxHellos {
		return
	}
	c.hellos++
	others := 0
	for _, r := range c.members {
		if r.State == claim.Up {
			others++
		}
	}
	c.out.hellos = append(c.out.hellos, greeting{h.Addr, &hello{
		Nonce: h.Nonce, Name: c.cfg.Name, Process: c.gossipName, Boot: c.boot, Others: uint64(others),
	}})
}

// greeting is a hello and where it goes.
type greeting struct {
	to    string
	hello *hello
}

// whoIs asks who is at an address. No answer within a second: nil.
func (n *Node) whoIs(ctx context.Context, addr string) *hello {
	question := &hello{Nonce: rand.Uint64(), Addr: n.core.addr}
	answers := make(chan *hello, 1)
	n.mu.Lock()
	n.asking[question.Nonce] = answers
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		delete(n.asking, question.Nonce)
		n.mu.Unlock()
	}()
	buf := encodeHello(question)
	limit := time.NewTimer(helloWait)
	defer limit.Stop()
	again := time.NewTicker(helloSpacing)
	defer again.Stop()
	for sent := 0; ; {
		if sent < helloTries {
			if n.ml.SendToAddress(memberlist.Address{Addr: addr}, buf) == nil {
				n.count.send("hello")
			}
			sent++
		}
		select {
		case h := <-answers:
			return h
		case <-again.C:
		case <-limit.C:
			return nil
		case <-ctx.Done():
			return nil
		case <-n.ctx.Done():
			return nil
		}
	}
}

// met hands an answer to who asked. It needs n.mu.
func (n *Node) met(h *hello) {
	select {
	case n.asking[h.Nonce] <- h: // nil, which is never ready, where nobody asks any more
	default:
	}
}

// tenant is a member that is not up, at its last address.
type tenant struct {
	name       string
	gossipName string // empty: known from claims alone
	boot       uint64
	plain      bool
	seed       bool // the address is a seed's
}

// tenants are those members that had an address last and are not up there, and whoever was at a seed's and has been forgotten.
// Where one is up there, or nobody was, there are none.
func (n *Node) tenants(addr string) []tenant {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, seed := n.core.atSeed[addr]
	var found []tenant
	for _, r := range n.core.members {
		if r.Addr != addr {
			continue
		}
		if r.State == claim.Up && n.core.lost[r.Name] != r {
			return nil
		}
		found = append(found, tenant{r.Name, r.gossipName, r.Boot, r.plain, seed})
	}
	if name := n.core.seedNames[addr]; name != "" && len(found) == 0 {
		found = append(found, tenant{name: name, seed: true})
	}
	return found
}

// Why nothing is exchanged with an address that was a member's.
var (
	errNobody   = errors.New("its member does not answer")
	errStranger = errors.New("its member is gone")
)

// expect tells whether one of the tenants is at an address: the process that this node knew, or one that was started there
// in its place under the same name and is alone, or is at a seed's address, where the operator wants to be joined.
func (n *Node) expect(ctx context.Context, addr string, tenants []tenant) error {
	var ours bool // a member of this protocol
	for _, t := range tenants {
		if !t.plain {
			ours = true
			continue
		}
		if to, err := net.ResolveUDPAddr("udp", addr); err == nil { // an IP address: nothing is looked up
			if _, err := n.ml.Ping(t.gossipName, to); err == nil {
				return nil
			}
		}
	}
	if !ours {
		return errNobody
	}
	h := n.whoIs(ctx, addr)
	if h == nil {
		return errNobody
	}
	for _, t := range tenants {
		switch {
		case t.plain || t.name != h.Name:
		case t.gossipName == h.Process || t.boot != 0 && t.boot == h.Boot || t.seed || h.Others == 0:
			return nil
		}
	}
	return fmt.Errorf("%w, and %s is there, of a cluster with %d other members", errStranger, h.Name, h.Others)
}

// merging looks at the members that come with somebody's table before they are taken up. Where two clusters that know nothing of
// each other have different processes under one name, the merge would end those with the lower boot: it is refused, on both sides.
func (n *Node) merging(nodes []*memberlist.Node) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.core
	if !c.speaks() || c.left {
		return nil
	}
	var names []string
	var twice error
	for _, o := range nodes {
		if o.State != memberlist.StateAlive {
			continue
		}
		m, err := decodeMeta(unsealed(o.Meta))
		if r := c.members[memberName(o.Name)]; o.Name == c.gossipName || c.byGossip(o.Name) != nil || err == nil && r != nil && r.Boot == m.Boot {
			return nil
		}
		if err == nil && m.Boot == 0 {
			continue // still joining: whoever holds its name says so
		}
		name := o.Name
		if err == nil {
			name = memberName(name)
		}
		names = append(names, name)
		addr := o.Address()
		if r := c.members[name]; name == c.cfg.Name && addr != c.addr || r != nil && r.State == claim.Up && r.Addr != addr {
			twice = fmt.Errorf("cluster: Name: %q is a live member of both clusters: they are not merged", name)
		}
	}
	slices.Sort(names)
	switch {
	case twice != nil:
		c.log.Warn("another cluster was not merged with this one: set Label to keep them apart, or rename members", "members", len(names), "error", twice)
	case len(names) > 0:
		c.log.Warn("another cluster and this one are one from now on: by a seed there or here, or an address that passed from one to the other; Label keeps clusters apart",
			"members", len(names), "first", names[:min(len(names), 5)])
	}
	return twice
}

// twins are two members that advertise one address, as hosts do that take that of a bridge which each of them has for their own.
type twins struct {
	one, other *record // one is nil where it is this node
	since      time.Time
}

const (
	// twinTime is how long two other members may have one address: who takes that of a dead member is there before it is called dead.
	twinTime = 10 * time.Second
	// twinsTime is how long a sign of life of both is waited for.
	twinsTime = time.Minute
)

// lastAt is which member but one came to an address last; nil: nobody did.
func (c *core) lastAt(addr string, but *record) (last *record) {
	for _, r := range c.members {
		if r != but && r.Addr == addr && (last == nil || cmp.Or(r.met.Compare(last.met), strings.Compare(r.Name, last.Name)) > 0) {
			last = r
		}
	}
	return last
}

// noteAddress notes that r is at its address, and whether somebody else is.
func (c *core) noteAddress(now time.Time, r *record) {
	one := c.lastAt(r.Addr, r)
	if r.Addr == c.addr || one != nil && one.State == claim.Up {
		if r.Addr == c.addr {
			one = nil
		}
		c.twins[r.Addr] = twins{one, r, now}
	}
}

func (c *core) tidyTwins(now time.Time) {
	for addr, t := range inOrder(c.twins) {
		held := now.Sub(t.since)
		there := func(r *record) bool { return c.members[r.Name] == r && r.Addr == addr && r.State == claim.Up }
		heard := func(r *record) bool {
			return r.Addr == addr && (r.edge.lastHeard.Sub(t.since) > time.Second || r.streamAt.Sub(t.since) > time.Second)
		}
		name, both := c.cfg.Name, false
		switch {
		case !c.speaks() || t.other.plain:
		case t.one == nil: // whoever began to have this node's address after this node did is no member of before
			both = t.other.Boot > c.boot || heard(t.other)
		default:
			name, both = t.one.Name, held >= twinTime && there(t.one) && there(t.other) || heard(t.one) && heard(t.other)
		}
		if both {
			c.log.Warn("two members advertise one address: set Advertise of each to an address that only it has",
				"addr", addr, "member", name, "other", t.other.Name)
		}
		if both || held >= twinsTime {
			delete(c.twins, addr)
		}
	}
}
