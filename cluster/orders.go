package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// An order is what an operator has every member do: change its keys, forget somebody. It goes to each member on a stream of
// its own, which brings label and encryption with it, and each answers with a report on another one.
type order struct {
	Nonce uint64
	Addr  string // where the report is to go, ip:port
	Op    operation
	Name  string // of whom to forget
	Boot  uint64 // and the boot
	Key   []byte // to add, use or remove
}

// report is what a member answers.
type report struct {
	Nonce  uint64
	Name   string // of the member
	Boot   uint64
	Failed string   // why the order was not carried out; empty: it was
	Keys   []string // identifiers of its keys, the primary one first
}

type operation uint8

const (
	listKeys operation = iota + 1
	addKey
	useKey
	removeKey
	forgetMember
)

const (
	// orderMark and reportMark are the first bytes of these messages, where others have the version of the wire format.
	orderMark  = 'o'
	reportMark = 'r'
	// orderTime is how long the report of a member is waited for, where ctx does not end sooner.
	orderTime = 10 * time.Second
	// ordersAtOnce is to how many members at a time an order is sent.
	ordersAtOnce = 16
	// maxReports bounds the reports of this node that wait to be sent: whoever orders more gets none.
	maxReports = 64
	// mostKeys bounds the keys of a node: each packet under a wrong key is tried with all of them.
	mostKeys = 16
	// maxKeyID bounds the identifier of a key.
	maxKeyID = 16
)

// ordered acts on an order or a report that came.
func (c *core) ordered(buf []byte) {
	switch buf[0] {
	case orderMark:
		o := new(order)
		if err := wire.UnmarshalSummed(buf[1:], o); err != nil {
			c.count.drop(dropCause(err))
			return
		}
		if _, err := parseIPPort(o.Addr, false); err != nil || o.Op < listKeys || o.Op > forgetMember {
			c.count.drop(dropMalformed)
			return
		}
		// The report goes to members only: nobody else is to be told anything, nor called by all members at once.
		if from := c.lastAt(o.Addr, nil); from == nil || from.State != claim.Up || !c.speaks() || c.left {
			c.count.drop(dropStranger)
			return
		}
		c.count.receive("order")
		c.out.orders = append(c.out.orders, o)
	case reportMark:
		r := new(report)
		if err := wire.UnmarshalSummed(buf[1:], r); err != nil {
			c.count.drop(dropCause(err))
			return
		}
		odd := func(id string) bool { return len(id) > maxKeyID || id != wire.PrintableCut(id, maxKeyID) }
		if wire.BadName(r.Name) != "" || r.Name == "" || len(r.Keys) > mostKeys || slices.ContainsFunc(r.Keys, odd) {
			c.count.drop(dropMalformed)
			return
		}
		c.out.reports = append(c.out.reports, r)
	}
}

// obey carries out an order of another member and reports to it. It needs n.mu.
func (n *Node) obey(o *order) {
	r := n.carryOut(o)
	if n.reporting >= maxReports {
		n.count.drop("report: too many at once")
		return
	}
	n.reporting++
	n.background(func() {
		defer func() {
			n.mu.Lock()
			n.reporting--
			n.mu.Unlock()
		}()
		if err := n.sendStream(o.Addr, reportMark, r); err != nil {
			n.cfg.log.Debug("report not sent", "to", o.Addr, "error", err)
		}
	})
}

// carryOut does what an order says. It needs n.mu.
func (n *Node) carryOut(o *order) *report {
	r := &report{Nonce: o.Nonce, Name: n.cfg.Name, Boot: n.core.boot}
	var err error
	switch o.Op {
	case addKey, useKey, removeKey:
		err = n.keys.change(o.Op, o.Key)
		if err == nil {
			n.cfg.log.Info("the keys of this node were changed", "order", o.Op.String(), "key", KeyID(o.Key), "keys", n.keys.ids())
		}
	case forgetMember:
		n.core.dismissed(time.Now(), o.Name, o.Boot)
	}
	if err != nil {
		r.Failed = err.Error()
	}
	r.Keys = n.keys.ids()
	return r
}

func (op operation) String() string {
	names := [...]string{"", "list keys", "add key", "use key", "remove key", "forget"}
	if int(op) < len(names) {
		return names[op]
	}
	return "order " + strconv.Itoa(int(op))
}

// sendStream sends a message of this package to an address on a stream of its own, and waits until it is written.
func (n *Node) sendStream(addr string, mark byte, v any) error {
	body, err := wire.MarshalSummed(v)
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return err
	}
	return n.ml.SendReliable(&memberlist.Node{Addr: net.ParseIP(host), Port: uint16(p)}, append([]byte{mark}, body...))
}

// Answer is what one member said to an order that went to all.
type Answer struct {
	// Member is its name.
	Member string
	// Err is why it did not do it; nil: it did. No answer within the time is an error too.
	Err error
	// Keys are the identifiers (KeyID) of its keys, the one that it encrypts with first.
	Keys []string
}

var errNoReport = errors.New("no answer")

// order has every member that is up carry out an order, this node first, and collects what they say, sorted by name. Members that
// run memberlist alone are left out.
func (n *Node) order(ctx context.Context, o order) ([]Answer, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	type target struct{ name, addr string }
	var targets []target
	n.mu.Lock()
	if n.gone {
		n.mu.Unlock()
		return nil, ErrClosed
	}
	o.Nonce, o.Addr = rand.Uint64(), n.core.addr
	for _, r := range n.core.members {
		if r.State == claim.Up && !r.plain && r.Addr != "" {
			targets = append(targets, target{r.Name, r.Addr})
		}
	}
	own := n.carryOut(&o)
	reports := make(chan *report, len(targets))
	n.collecting[o.Nonce] = reports
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		delete(n.collecting, o.Nonce)
		n.mu.Unlock()
	}()

	answers := map[string]Answer{own.Name: own.answer()}
	waiting := map[string]bool{}
	failed := make(chan Answer)
	turns := make(chan struct{}, ordersAtOnce)
	var sends sync.WaitGroup
	for _, t := range targets {
		waiting[t.name] = true
		sends.Go(func() {
			select {
			case turns <- struct{}{}:
			case <-ctx.Done():
				return
			}
			err := n.sendWithin(ctx, t.addr, orderMark, &o)
			<-turns
			if err == nil {
				return
			}
			select {
			case failed <- Answer{Member: t.name, Err: err}:
			case <-ctx.Done():
			}
		})
	}
	for len(waiting) > 0 && ctx.Err() == nil {
		select {
		case r := <-reports:
			if waiting[r.Name] {
				delete(waiting, r.Name)
				answers[r.Name] = r.answer()
			}
		case a := <-failed:
			if waiting[a.Member] {
				delete(waiting, a.Member)
				answers[a.Member] = a
			}
		case <-ctx.Done():
		case <-n.ctx.Done():
			cancel()
		}
	}
	cancel()
	sends.Wait()
	if n.ctx.Err() != nil {
		return nil, ErrClosed
	}
	for name := range waiting {
		answers[name] = Answer{Member: name, Err: errNoReport}
	}
	all := make([]Answer, 0, len(answers))
	for _, a := range answers {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b Answer) int { return cmp.Compare(a.Member, b.Member) })
	return all, nil
}

// sendWithin is sendStream that is not waited for beyond ctx.
func (n *Node) sendWithin(ctx context.Context, addr string, mark byte, v any) error {
	done := make(chan error, 1)
	n.mu.Lock()
	started := n.background(func() { done <- n.sendStream(addr, mark, v) })
	n.mu.Unlock()
	if !started {
		return ErrClosed
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reported hands a report to who collects them. It needs n.mu.
func (n *Node) reported(r *report) {
	select {
	case n.collecting[r.Nonce] <- r: // nil, which is never ready, where nobody collects any more
	default:
	}
}

func (r *report) answer() Answer {
	a := Answer{Member: r.Name, Keys: r.Keys}
	if r.Failed != "" {
		a.Err = errors.New(wire.PrintableCut(r.Failed, 200))
	}
	return a
}
