package clustertest

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// A Link is what a path does to the packets and streams sent over it, one way.
// The zero value is a quiet LAN.
type Link struct {
	// Delay is the time from sending to arriving, drawn anew for each packet,
	// so that any spread also reorders.
	Delay Delay

	// Loss says which packets do not arrive. On a stream, which may not lose,
	// it costs time: see [Transport.DialTimeout].
	Loss Loss

	// Duplicate is the probability, 0 to 1, that a packet arrives twice, the
	// second time after a delay of its own. Streams are not affected.
	Duplicate float64
}

func (l Link) validate() error {
	if !(l.Duplicate >= 0 && l.Duplicate <= 1) {
		return fmt.Errorf("clustertest: Link.Duplicate = %v: must be from 0 to 1", l.Duplicate)
	}
	if err := l.Delay.validate(); err != nil {
		return err
	}
	return l.Loss.validate()
}

// SetLink makes l the path of whatever any address of from sends to any of to.
// [Everyone] stands for all addresses, those to come included. It replaces what
// earlier calls set for the same pairs of addresses, as a whole: a zero field
// of l means its default, not "as before", and bursts begin anew.
//
// A call with the same two sets as an earlier one replaces it. Otherwise each
// call adds a rule that every send looks at, so name sets rather than pairs
// where there are many.
func (n *Network) SetLink(from, to []string, l Link) error {
	if err := l.validate(); err != nil {
		return err
	}
	return n.change(from, to, func(c *conditions, p pair) {
		c.links = append(without(c.links, p), linkRule{p, &l})
	})
}

// SetRegions places addresses in regions: link(i, j) is the path of what an
// address of regions[i] sends to one of regions[j]. It is SetLink for each
// ordered pair of regions. Three regions, 1 ms within each, 40 ms between
// neighbours and 150 ms between the outer two:
//
//	oneWay := [3]time.Duration{time.Millisecond, 40 * time.Millisecond, 150 * time.Millisecond}
//	n.SetRegions(regions, func(i, j int) clustertest.Link {
//		return clustertest.Link{Delay: clustertest.Constant(oneWay[max(i-j, j-i)])}
//	})
func (n *Network) SetRegions(regions [][]string, link func(from, to int) Link) error {
	for i := range regions {
		for j := range regions {
			if err := n.SetLink(regions[i], regions[j], link(i, j)); err != nil {
				return err
			}
		}
	}
	return nil
}

// linkRule and cutRule are the conditions between two sets of addresses.
type linkRule struct {
	pair
	link *Link // one SetLink, one address
}

type cutRule struct {
	pair
	cut bool
}

// conditions is what holds between any two addresses at one time. It is
// immutable once published; of several rules for two addresses the last one
// counts.
type conditions struct {
	base  *Link
	links []linkRule
	cuts  []cutRule
	rates []rateRule
}

func (c *conditions) link(from, to int) *Link {
	for i := len(c.links) - 1; i >= 0; i-- {
		if r := &c.links[i]; r.joins(from, to) {
			return r.link
		}
	}
	return c.base
}

// cut says whether what from sends to to is lost. A host always reaches itself.
func (c *conditions) cut(from, to int) bool {
	if from == to {
		return false
	}
	for i := len(c.cuts) - 1; i >= 0; i-- {
		if r := &c.cuts[i]; r.joins(from, to) {
			return r.cut
		}
	}
	return false
}

// change publishes new conditions: a copy of the present ones after edit.
func (n *Network) change(from, to []string, edit func(*conditions, pair)) error {
	f, err := n.set(from)
	if err != nil {
		return err
	}
	t, err := n.set(to)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	next := *n.conditions.Load()
	edit(&next, pair{f, t})
	n.conditions.Store(&next)
	return nil
}

// without copies rules, leaving out those that a new rule for p makes void.
func without[R interface{ about() pair }](rules []R, p pair) []R {
	kept := make([]R, 0, len(rules)+1)
	for _, r := range rules {
		if !p.covers(r.about()) {
			kept = append(kept, r)
		}
	}
	return kept
}

// draw samples from r one packet's fate on l. e.mu is held.
func (e *endpoint) draw(l *Link, to *endpoint, r *rand.Rand, now time.Time) (delay time.Duration, lost bool) {
	if l.Loss.kind != lossNone && e.lost(&l.Loss, to, r, now) {
		return 0, true
	}
	return l.Delay.sample(r), false
}

// chance is true with probability p, and draws nothing when p is 0.
func chance(r *rand.Rand, p float64) bool { return p > 0 && r.Float64() < p }
