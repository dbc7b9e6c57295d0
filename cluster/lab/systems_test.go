package lab

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/pulsering/pulsering/cluster"
)

// system is one of those under test.
type system struct {
	name   string
	config string // as printed with the results
	// start runs a member and returns once it has joined through one of the seeds; hears gets what it says.
	start func(ctx context.Context, self int, name string, tr memberlist.Transport, seeds []string, hears hearer) (node, error)
}

// node is a running member.
type node interface {
	boot() uint64          // of this life; 0 where the system has none
	up() map[string]bool   // the other members that it takes for alive
	observes() []string    // the members that it listens to itself, where the system can tell
	dropped() uint64       // messages by full queues of its own
	leave(context.Context) // goodbye
	close()
}

// hearer is who a member tells its events.
type hearer interface {
	told(observer int, name string, v view, boot uint64, addr, reason string)
	lonely(observer int)
}

// systemsFor returns the systems that p asks for.
func systemsFor(p params) ([]system, error) {
	var all []system
	for name := range strings.SplitSeq(p.Systems, ",") {
		if slices.ContainsFunc(all, func(s system) bool { return s.name == name }) {
			return nil, fmt.Errorf("lab: -systems=%s: %q is there twice", p.Systems, name)
		}
		switch name {
		case "pulsering":
			all = append(all, pulsering(p))
		case "memberlist":
			all = append(all, plain(name, memberlist.DefaultLANConfig))
		case "memberlist-tuned":
			all = append(all, plain(name, func() *memberlist.Config { return tuned(p.rtt()) }))
		default:
			return nil, fmt.Errorf("lab: -systems=%s: %q is unknown: want any of pulsering,memberlist,memberlist-tuned", p.Systems, name)
		}
	}
	return all, nil
}

// pulsering is package cluster.
func pulsering(p params) system {
	base := cluster.Config{
		Beat: p.Beat, StallAllowance: p.StallAllowance, FalseAlarmEvery: p.FalseAlarmEvery, Observers: p.Observers,
	}
	if p.Heartbeats == "probes" {
		base.Heartbeats = cluster.Probes
	}
	return system{
		name: "pulsering",
		config: fmt.Sprintf("heartbeats=%v beat=%v stall-allowance=%v false-alarm-every=%v observers=%d", base.Heartbeats,
			or(base.Beat, cluster.DefaultBeat), or(base.StallAllowance, cluster.DefaultStallAllowance),
			or(base.FalseAlarmEvery, cluster.DefaultFalseAlarmEvery), or(base.Observers, cluster.DefaultObservers)),
		start: func(ctx context.Context, self int, name string, tr memberlist.Transport, seeds []string, hears hearer) (node, error) {
			cfg := base
			cfg.Name, cfg.Transport, cfg.Seeds = name, tr, seeds
			n, err := cluster.Join(ctx, cfg)
			if err != nil {
				return nil, err
			}
			r := &ringNode{Node: n}
			events := n.Events(context.Background())
			r.ended.Go(func() {
				for e := range events {
					switch e.Kind {
					case cluster.Isolated:
						hears.lonely(self)
					case cluster.Up, cluster.Suspect, cluster.Down, cluster.Left:
						hears.told(self, e.Member.Name, viewOf[e.Kind], e.Member.Boot, e.Member.Addr, e.Reason)
					}
				}
			})
			return r, nil
		},
	}
}

var viewOf = map[cluster.Kind]view{cluster.Up: viewUp, cluster.Suspect: viewSuspect, cluster.Down: viewDown, cluster.Left: viewNone}

func or[T comparable](v, def T) T {
	if v == *new(T) {
		return def
	}
	return v
}

type ringNode struct {
	*cluster.Node
	ended sync.WaitGroup
}

func (r *ringNode) boot() uint64 { return r.Self().Boot }

func (r *ringNode) up() map[string]bool {
	up := map[string]bool{}
	for _, m := range r.Members() {
		if m.State == cluster.StateUp || m.State == cluster.StateSuspect {
			up[m.Name] = true
		}
	}
	delete(up, r.Self().Name)
	return up
}

func (r *ringNode) observes() []string {
	var names []string
	for _, m := range r.Members() {
		if m.Observed {
			names = append(names, m.Name)
		}
	}
	return names
}

func (r *ringNode) dropped() uint64 {
	d := r.Stats().Dropped
	return d["inbox full"] + d["memberlist: queue full"]
}

// leave waits for the goodbye to be told; an error of the context is a goodbye that was not.
func (r *ringNode) leave(ctx context.Context) { _ = r.Leave(ctx) }

func (r *ringNode) close() {
	r.Close()
	r.ended.Wait()
}

// tuned is memberlist made as fast as the ring: probes of a tenth of a second, suspicion as short as its formula allows
// without waiting for confirmations, gossip four times as often. Where the network is slow, no probe may be shorter than a
// round trip, or it would find everybody dead.
func tuned(rtt time.Duration) *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.ProbeTimeout = max(50*time.Millisecond, rtt*6/5)
	c.ProbeInterval = 2 * c.ProbeTimeout
	c.SuspicionMult = 2
	c.GossipInterval = 50 * time.Millisecond
	return c
}

// plain is memberlist without anything on top.
func plain(name string, config func() *memberlist.Config) system {
	c := config()
	return system{
		name: name,
		config: fmt.Sprintf("ProbeInterval=%v ProbeTimeout=%v SuspicionMult=%d SuspicionMaxTimeoutMult=%d IndirectChecks=%d GossipInterval=%v GossipNodes=%d RetransmitMult=%d PushPullInterval=%v EnableCompression=false",
			c.ProbeInterval, c.ProbeTimeout, c.SuspicionMult, c.SuspicionMaxTimeoutMult, c.IndirectChecks, c.GossipInterval,
			c.GossipNodes, c.RetransmitMult, c.PushPullInterval),
		start: func(ctx context.Context, self int, name string, tr memberlist.Transport, seeds []string, hears hearer) (node, error) {
			n := &plainNode{self: self, name: name, hears: hears}
			c := config()
			c.Name, c.Transport, c.Events = name, tr, n
			c.EnableCompression = false // garbage for messages that are small anyway
			c.Logger = log.New(n, "", 0)
			var err error
			if n.ml, err = memberlist.Create(c); err != nil {
				return nil, err
			}
			for len(seeds) > 0 {
				if _, err = n.ml.Join(seeds[:1]); err == nil {
					break
				}
				seeds = append(seeds[1:], seeds[0])
				select {
				case <-ctx.Done():
					n.close()
					return nil, err
				case <-time.After(time.Second/2 + rand.N(time.Second)):
				}
			}
			return n, nil
		},
	}
}

type plainNode struct {
	self  int
	name  string
	hears hearer
	ml    *memberlist.Memberlist
	full  atomic.Uint64
	ended atomic.Bool
}

func (n *plainNode) NotifyJoin(m *memberlist.Node)  { n.tell(m, viewUp) }
func (n *plainNode) NotifyLeave(m *memberlist.Node) { n.tell(m, viewDown) }
func (n *plainNode) NotifyUpdate(*memberlist.Node)  {}

// tell passes an event on, but no event of a suspicion that ends after Shutdown: its timer goes on, and would speak for the next life.
func (n *plainNode) tell(m *memberlist.Node, v view) {
	if n.ended.Load() {
		return
	}
	n.hears.told(n.self, m.Name, v, 0, net.JoinHostPort(m.Addr.String(), fmt.Sprint(m.Port)), "memberlist")
}

// Write takes a line of memberlist's log.
func (n *plainNode) Write(line []byte) (int, error) {
	if strings.Contains(string(line), "handler queue full") {
		n.full.Add(1)
	}
	return len(line), nil
}

func (n *plainNode) boot() uint64 { return 0 }

func (n *plainNode) up() map[string]bool {
	up := map[string]bool{}
	for _, m := range n.ml.Members() {
		up[m.Name] = true
	}
	delete(up, n.name)
	return up
}

func (n *plainNode) observes() []string { return nil }
func (n *plainNode) dropped() uint64    { return n.full.Load() }

// leave waits for the goodbye to be gossiped for two seconds, which is enough for most members to get it from others if not.
func (n *plainNode) leave(context.Context) { _ = n.ml.Leave(2 * time.Second) }

// close ends everything but probes under way. Shutdown's only error is the transport's, which has none.
func (n *plainNode) close() {
	n.ended.Store(true)
	_ = n.ml.Shutdown()
}
