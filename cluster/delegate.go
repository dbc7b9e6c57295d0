package cluster

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// Inputs of the core, as memberlist's callbacks leave them in the inbox.
type (
	userMessage struct {
		at  time.Time
		buf []byte
	}
	remoteState struct {
		at  time.Time
		buf []byte
	}
	gossipAlive struct {
		at     time.Time
		member gossipMember
	}
	gossipDead struct {
		at   time.Time
		name string
	}
	gossipAck struct {
		at      time.Time
		name    string
		rtt     time.Duration
		payload []byte
	}
)

// inbox is the queue between memberlist's callbacks, many of which run under its lock and begin before Create returns, and
// the goroutine that acts on them. Putting never waits.
type inbox struct {
	wake chan struct{} // one slot

	mu       sync.Mutex
	items    []any
	messages int // of items, those whose number is up to strangers
	tables   int // bytes of tables, likewise
	closed   bool
}

const (
	// maxMessages bounds the messages that wait: a second's worth at ten times the traffic of a thousand members.
	maxMessages = 16384
	// maxTables bounds the bytes of tables that wait: a few of the largest that memberlist lets through, of 20 MB (v0.7.0,
	// maxPushStateBytes), and hundreds of those of ten thousand members.
	maxTables = 64 << 20
)

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1)} }

// put reports false where the item was dropped: a message or table too many. After close everything is dropped silently.
func (b *inbox) put(item any) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return true
	}
	switch in := item.(type) {
	case userMessage:
		if b.messages >= maxMessages {
			return false
		}
		b.messages++
	case remoteState:
		if b.tables+len(in.buf) > maxTables {
			return false
		}
		b.tables += len(in.buf)
	}
	b.items = append(b.items, item)
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return true
}

func (b *inbox) take() []any {
	b.mu.Lock()
	defer b.mu.Unlock()
	items := b.items
	b.items, b.messages, b.tables = nil, 0, 0
	return items
}

func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed, b.items = true, nil
}

// delegate is every callback of memberlist: they copy and enqueue, or hand out what lies ready.
type delegate struct {
	inbox *inbox
	count *counters
	queue *memberlist.TransmitLimitedQueue
	meta  atomic.Pointer[[]byte]
	sign  atomic.Pointer[sign]
	state func() []byte // the table of claims; not called under memberlist's lock

	gossipName string                         // this node's name in memberlist
	advertised *atomic.Pointer[advertised]    // and the address that memberlist announces it under
	merging    func([]*memberlist.Node) error // looks at the members of another's table; likewise
}

var (
	_ memberlist.Delegate      = (*delegate)(nil)
	_ memberlist.EventDelegate = (*delegate)(nil)
	_ memberlist.PingDelegate  = (*delegate)(nil)
	_ memberlist.AliveDelegate = (*delegate)(nil)
	_ memberlist.MergeDelegate = (*delegate)(nil)
)

func (d *delegate) NodeMeta(int) []byte {
	return sealMeta(*d.meta.Load(), d.announces(*d.advertised.Load()))
}

// announces is what this node's announcement says beside its metadata.
func (d *delegate) announces(at advertised) *memberlist.Node {
	return &memberlist.Node{
		Name: d.gossipName, Addr: at.ip, Port: at.port,
		PMin: memberlist.ProtocolVersionMin, PMax: memberlist.ProtocolVersionMax, PCur: memberlist.ProtocolVersion2Compatible,
	}
}

func (d *delegate) NotifyMsg(buf []byte) {
	if !d.inbox.put(userMessage{time.Now(), slices.Clone(buf)}) {
		d.count.drop(dropInbox)
	}
}

func (d *delegate) GetBroadcasts(overhead, limit int) [][]byte {
	return d.queue.GetBroadcasts(overhead, limit)
}

func (d *delegate) LocalState(bool) []byte { return d.state() }

// NotifyMerge is called with the table that comes with an exchange which somebody began, not with those that memberlist has twice a
// minute. An error refuses it.
func (d *delegate) NotifyMerge(nodes []*memberlist.Node) error { return d.merging(nodes) }

func (d *delegate) MergeRemoteState(buf []byte, _ bool) {
	if len(buf) > 0 && buf[0] == joiningMark {
		return
	}
	if !d.inbox.put(remoteState{time.Now(), slices.Clone(buf)}) {
		d.count.drop(dropInbox)
	}
}

func (d *delegate) NotifyJoin(n *memberlist.Node) { d.notifyAlive(n) }

func (d *delegate) NotifyUpdate(n *memberlist.Node) { d.notifyAlive(n) }

func (d *delegate) notifyAlive(n *memberlist.Node) {
	d.inbox.put(gossipAlive{time.Now(), copyMember(n)})
}

// NotifyAlive keeps members that cannot be out of memberlist's table: one packet of noise that happens to decode as the announcement
// of a nameless member, or of one with another protocol, would make every later push/pull of everybody fail as incompatible
// (memberlist v0.7.0, verifyProtocol; seen with random packets).
func (d *delegate) NotifyAlive(n *memberlist.Node) error {
	ip, ok := netip.AddrFromSlice(n.Addr)
	switch {
	case n.Name == "" || len(n.Name) > maxGossipName:
		return d.impossible(fmt.Errorf("name of %d bytes: want 1 to %d", len(n.Name), maxGossipName))
	case !ok || ip.IsUnspecified():
		return d.impossible(fmt.Errorf("address %v", n.Addr))
	case n.PMin > memberlist.ProtocolVersion2Compatible || n.PMax < memberlist.ProtocolVersion2Compatible || n.DMin > 0:
		return d.impossible(fmt.Errorf("protocol %d to %d, delegate protocol from %d", n.PMin, n.PMax, n.DMin))
	}
	if err := checkSeal(n); err != nil {
		d.count.drop(dropCause(err))
		return err
	}
	return nil
}

func (d *delegate) impossible(err error) error {
	d.count.drop(dropImpossible)
	return err
}

// maxGossipName leaves members that run memberlist alone more room than our own names take with their start time.
const maxGossipName = 512

func (d *delegate) NotifyLeave(n *memberlist.Node) { d.inbox.put(gossipDead{time.Now(), n.Name}) }

// AckPayload is called once a second, where the sign changes with each heartbeat.
func (d *delegate) AckPayload() []byte {
	buf, _ := wire.MarshalSummed(d.sign.Load()) // three numbers
	return buf
}

func (d *delegate) NotifyPingComplete(n *memberlist.Node, rtt time.Duration, payload []byte) {
	d.inbox.put(gossipAck{time.Now(), n.Name, rtt, slices.Clone(payload)})
}

// copyMember copies what memberlist may change once its lock is free.
func copyMember(n *memberlist.Node) gossipMember {
	return gossipMember{
		name: n.Name,
		addr: net.JoinHostPort(n.Addr.String(), strconv.Itoa(int(n.Port))),
		meta: slices.Clone(unsealed(n.Meta)),
	}
}

// broadcast is a claim in the queue of memberlist's gossip. A later one about the same member takes its place.
type broadcast struct {
	name string
	buf  []byte
	done chan struct{} // closed when it was sent often enough or replaced; nil: nobody waits
}

func (b *broadcast) Invalidates(other memberlist.Broadcast) bool {
	o, ok := other.(*broadcast)
	return ok && o.name == b.name
}
func (b *broadcast) Name() string    { return b.name }
func (b *broadcast) Message() []byte { return b.buf }
func (b *broadcast) Finished() {
	if b.done != nil {
		close(b.done)
	}
}
