package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/wire"
)

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
