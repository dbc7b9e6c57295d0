package cluster

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/wire"
	"github.com/pulsering/pulsering/internal/mailbox"
	"github.com/pulsering/pulsering/phiaccrual"
)

var (
	// ErrClosed is returned by methods that need a running node after Close.
	ErrClosed = errors.New("cluster: node is closed")
	// ErrConfig is wrapped by Join's error when a field of Config is refused, and by that of SetTags for its tags. The error
	// names each field, its value and the limit.
	ErrConfig = errors.New("cluster: invalid configuration")
	// ErrNameTaken is wrapped by Join's error when another live process holds Config.Name.
	ErrNameTaken = errors.New("cluster: name is taken by a live member")
)

// Node is a member of a cluster: what Join returns. Its methods may be called from any goroutine; those without a context
// do not wait for the network.
type Node struct {
	cfg       *prepared
	count     *counters
	transport *transport
	ml        *memberlist.Memberlist
	delegate  *delegate
	inbox     *inbox
	hub       *mailbox.Hub[string, Event]
	size      atomic.Int64 // members, for memberlist's queue, which asks under a lock of its own

	ctx    context.Context // ends with the node
	cancel context.CancelFunc
	wg     sync.WaitGroup // every goroutine of this package
	done   chan struct{}  // closed when the node has ended
	end    sync.Once

	// Locks that are held while time passes, hence channels of one: in a synctest bubble no time passes for who waits for a mutex.
	leaving  chan struct{} // one Leave at a time
	goodbye  chan struct{} // memberlist panics if it is asked to leave after its shutdown
	updating chan struct{} // one change of metadata at a time
	attempts chan struct{} // so many dials and exchanges at a time

	reach  *reach            // how others reach this node, with sockets of its own
	warned map[hostPort]bool // seeds of which the log says that a stranger is there; under mu
	selves map[hostPort]bool // seeds that are addresses of this host and nobody but this node

	mu       sync.Mutex
	core     *core
	contests map[string]bool        // members under this node's name that are being asked
	asking   map[uint64]chan *hello // who waits for the answer to a hello, by its number

	seeds      seeds
	keys       keys
	collecting map[uint64]chan *report // who waits for reports on an order, by its number
	reporting  int                     // reports of this node that are being sent

	gone bool // no goroutine may be started any more
	err  error
}

// probeInterval is the time between two probes of memberlist, each to one member in turn (its LAN default).
const probeInterval = time.Second

// retransmitMult is how often a node passes on each piece of gossip, for each decade of members: to as many random ones. With
// memberlist's default of 4 a member of a cluster of ten misses a piece one time in 60 (e^-4) and learns of a restart
// with the next push/pull only, half a minute later; with 8, one time in 3000.
const retransmitMult = 8

// indirectChecks is how many others memberlist has probe a member that does not answer it. Each suspicion that turns out wrong is gossiped
// to everybody, and refuted to everybody, so with memberlist's default of 3 they are most of the bytes in a large cluster that loses
// packets: of 300 members at 10 % loss each sent 2,383 bytes a second, with 5 (and with 6) 1,150, and 20 packets instead of 26.
const indirectChecks = 5

// gossipNodes is how many members memberlist hands its gossip at a time. Each piece is passed on equally often whatever it is (see
// retransmitMult), so more than its default of 3 cost no bytes, and news come sooner through a table in which some are dead.
const gossipNodes = 5

// gossipToTheDead is how long memberlist hands its gossip to those that it holds for dead, so that they may deny it, and keeps them in its
// table. With its default of 30 s most of the gossip is wasted where many die. Heal brings those together that it separates.
const gossipToTheDead = 500 * time.Millisecond

// Join starts a node and makes it a member of a cluster: the one that any of the seeds belongs to, or a new one where there
// are no seeds or all of them lead back to this node itself. A seed that does so and is no address of this host, but a load
// balancer, is tried for about four seconds first, and now and then for as long as the node lives.
//
// Join blocks until one seed has answered, trying each of them again and again with jittered backoff, until the name is
// known to be free, which takes up to a second and a half where its last holder is silent, and until as many members have met as
// Config.Expect says. If ctx ends first, the
// error wraps ctx's and the last error of each seed; ctx has no bearing on the node after that. Errors in the
// configuration are reported at once, all of them. If Join fails, nothing of the node is left.
func Join(ctx context.Context, cfg Config) (*Node, error) {
	p, err := cfg.prepare()
	if err != nil {
		if cfg.Transport != nil {
			cfg.Transport.Shutdown()
		}
		return nil, err
	}
	if p.Discover != nil { // before the node finds out what address it has, which is that of the way to a seed
		if p.found, p.unfound = p.discover(ctx); p.unfound != nil {
			p.log.Warn("looking for seeds failed: trying until it works", "error", p.unfound)
		}
	}
	n, err := start(ctx, p)
	if err != nil {
		p.log.flush()
		return nil, err
	}
	if err := n.enter(ctx); err != nil {
		n.close(err)
		return nil, err
	}
	return n, nil
}

// start makes everything of a node but its place in a cluster.
func start(ctx context.Context, p *prepared) (*Node, error) {
	now := time.Now()
	n := &Node{
		cfg: p, count: newCounters(), inbox: newInbox(), done: make(chan struct{}),
		hub:      mailbox.NewHub[string](foldEvents),
		contests: map[string]bool{},
		leaving:  make(chan struct{}, 1), goodbye: make(chan struct{}, 1), updating: make(chan struct{}, 1),
		attempts: make(chan struct{}, maxAttempts), asking: map[uint64]chan *hello{}, collecting: map[uint64]chan *report{},
		reach: &reach{}, warned: map[hostPort]bool{}, selves: map[hostPort]bool{},
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	gossipLogger := log.New(gossipLog{p.log.named("memberlist"), n.count}, "", 0)

	inner, adv := p.Transport, hostPort{}
	var err error
	if inner == nil {
		nt, at, err := listen(ctx, p, gossipLogger)
		if err != nil {
			return nil, err
		}
		inner, adv, n.reach = nt, at.addr, at
	}
	n.transport = wrapTransport(inner, n.count)
	if len(p.Keys) > 0 {
		if n.keys.ring, err = memberlist.NewKeyring(p.Keys, p.Keys[0]); err != nil {
			inner.Shutdown()
			return nil, fmt.Errorf("cluster: Keys: %w", err)
		}
	}
	n.transport.label, n.transport.key = p.Label, n.keys.primary
	if ip, port, err := n.transport.FinalAdvertiseAddr(adv.host, adv.port); err != nil || ip.IsUnspecified() {
		n.transport.Shutdown()
		if err == nil { // memberlist would go on without itself, as no member can be there: see NotifyAlive
			err = fmt.Errorf("it advertises %s, where nobody can reach it: want the address of an interface", net.JoinHostPort(ip.String(), strconv.Itoa(port)))
		}
		return nil, fmt.Errorf("cluster: Transport: %w", err)
	}

	n.seeds = seeds{fixed: p.seeds, found: p.found, last: remembered(p.Remembered)}
	n.core = newCore(p, n.count, n.hub.Publish, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), now)
	n.core.gossipName = gossipName(p.Name, now)
	n.transport.who = n.core.who

	n.delegate = &delegate{
		inbox: n.inbox, count: n.count, state: n.state,
		merging: n.merging, gossipName: n.core.gossipName, advertised: &n.transport.advertised,
	}
	n.delegate.queue = &memberlist.TransmitLimitedQueue{
		NumNodes:       func() int { return int(n.size.Load()) },
		RetransmitMult: retransmitMult,
	}
	n.delegate.sign.Store(&sign{})
	n.size.Store(1)
	if err := n.publishSelf(true); err != nil {
		n.transport.Shutdown()
		return nil, err
	}

	conf := memberlist.DefaultLANConfig()
	conf.Name = n.core.gossipName
	conf.Label = p.Label
	conf.Transport = n.transport
	conf.AdvertiseAddr, conf.AdvertisePort = adv.host, adv.port
	conf.ProbeInterval = probeInterval
	conf.RetransmitMult = retransmitMult
	conf.IndirectChecks = indirectChecks
	conf.TCPTimeout = exchangeTimeout
	conf.EnableCompression = false // garbage of 160 KB a packet for messages that are small anyway
	conf.UDPBufferSize = gossipBuffer
	conf.GossipNodes = gossipNodes
	conf.GossipToTheDeadTime = gossipToTheDead
	conf.Delegate, conf.Events, conf.Ping, conf.Alive = n.delegate, n.delegate, n.delegate, n.delegate
	conf.Merge = n.delegate
	conf.Logger = gossipLogger
	conf.Keyring = n.keys.ring
	n.ml, err = memberlist.Create(conf)
	if err != nil {
		n.transport.Shutdown()
		return nil, fmt.Errorf("cluster: memberlist: %w", err)
	}
	n.core.addr = n.ml.LocalNode().Address()

	n.wg.Go(n.loop)
	return n, nil
}

// estimator returns one for a path on which nothing was heard yet.
func estimator(p *prepared) phiaccrual.Estimator {
	cfg := phiaccrual.Config{Interval: p.Beat, MinStdDev: minStdDev}
	if p.Heartbeats == Probes {
		cfg = phiaccrual.Config{Interval: probeInterval, Model: phiaccrual.Normal}
	}
	e, err := phiaccrual.New(cfg)
	if err != nil {
		panic(err) // prepare has looked at the interval
	}
	return *e
}

// loop is the goroutine that acts on the inbox and on time.
func (n *Node) loop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var set time.Time // when the timer is due; zero: it has been
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-n.inbox.wake:
		case <-timer.C:
			set = time.Time{}
		}
		// Most packets do not change what is due next, and to set a timer anew that others wait behind costs more than a packet.
		if next := n.turn(); !next.Equal(set) {
			timer.Reset(time.Until(next))
			set = next
		}
	}
}

// turn lets the core act on what has come and what is due, and does what it asks for. It returns when the next one is due.
func (n *Node) turn() time.Time {
	n.mu.Lock()
	n.core.heldUp(time.Now())
	for _, item := range n.inbox.take() {
		if f, ok := item.(func()); ok {
			f()
			continue
		}
		n.core.handle(item)
	}
	next := n.core.wake(time.Now())
	n.perform()
	return next
}

// perform does what the core asks for. It is called with n.mu held, takes what there is, and lets go of the lock before it
// sends: sending takes memberlist's.
func (n *Node) perform() {
	out := n.core.takeOut()
	n.size.Store(int64(len(n.core.members) + 1))
	if err := n.publishSelf(out.meta); err != nil {
		n.cfg.log.Error("metadata not encoded", "error", err)
	}
	for _, g := range out.contests {
		n.contest(g)
	}
	for _, k := range out.knocks {
		n.knockAt(k)
	}
	if out.fetch != "" {
		n.background(func() {
			if _, err := n.exchange(n.ctx, out.fetch, dialTimeout); err != nil {
				n.cfg.log.Debug("member did not answer", "addr", out.fetch, "error", err)
			}
		})
	}
	for _, h := range out.met {
		n.met(h)
	}
	for _, o := range out.orders {
		n.obey(o)
	}
	for _, r := range out.reports {
		n.reported(r)
	}
	for _, cl := range out.broadcasts { // in the order of turns: a later claim takes the place of an earlier one in the queue
		n.broadcast(cl, nil)
	}
	n.mu.Unlock()

	for _, d := range out.departed {
		n.transport.inject(d)
	}
	for _, o := range out.packets {
		buf, err := wire.Encode(o.Packet)
		if err == nil {
			err = n.ml.SendToAddress(memberlist.Address{Addr: o.To}, buf)
		}
		if err != nil && n.ctx.Err() == nil {
			n.count.drop("not sent")
			n.cfg.log.Debug("packet not sent", "to", o.To, "error", err)
		}
	}
	for _, g := range out.hellos {
		if n.ml.SendToAddress(memberlist.Address{Addr: g.to}, encodeHello(g.hello)) == nil {
			n.count.send("hello")
		}
	}
	if out.meta {
		// The time-out is for others to have been told, which nobody waits for here; the change itself is made at once. One at a time:
		// memberlist reads the metadata before it takes a number for it, and the older of two would stay.
		n.updating <- struct{}{}
		_ = n.ml.UpdateNode(time.Millisecond)
		<-n.updating
	}
}

// publishSelf makes ready what callbacks hand out about this node. It needs n.mu, or to be alone.
func (n *Node) publishSelf(changed bool) error {
	c := n.core
	if changed {
		m, err := encodeMeta(meta{Boot: c.boot, Tags: c.tags, Health: c.health})
		if err != nil {
			return err
		}
		n.delegate.meta.Store(&m)
	}
	if s := (sign{Boot: c.boot, Epoch: c.epoch, Seq: c.seq}); s != *n.delegate.sign.Load() {
		n.delegate.sign.Store(&s)
	}
	return nil
}

// broadcast puts a claim in the queue of memberlist's gossip. It needs n.mu; the queue's own lock is never held while n.mu is waited for.
func (n *Node) broadcast(cl claim.Claim, done chan struct{}) {
	p := &wire.Packet{From: n.cfg.Name, Boot: n.core.boot}
	p.Claims = []claim.Claim{wire.Trimmed(cl, n.cfg.room()-compoundRoom-p.Size())}
	buf, err := wire.Encode(p)
	if err != nil {
		n.cfg.log.Error("claim not encoded", "error", err)
		return
	}
	n.delegate.queue.QueueBroadcast(&broadcast{name: cl.Name, buf: buf, done: done})
	n.count.send("claim")
}

// joiningMark is the first byte of what a node sends in the place of its claims while it has none, before its name in memberlist: what
// two processes send differs, see transport.finish.
const joiningMark = 'j'

// state is called by memberlist for a push/pull.
func (n *Node) state() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	if buf := n.core.state(time.Now()); buf != nil {
		return buf
	}
	return append([]byte{joiningMark}, n.core.gossipName...)
}

// background starts a goroutine that Close waits for. It needs n.mu, and reports false once the node is ending.
func (n *Node) background(f func()) bool {
	if n.gone {
		return false
	}
	n.wg.Go(f)
	return true
}
