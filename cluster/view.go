package cluster

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/internal/level"
)

// What subscribers and callers are shown of members.

// show tells subscribers when a member's state has changed for them.
func (c *core) show(now time.Time, r *record, reason string) {
	state := State(r.State)
	switch {
	case r.State != claim.Up:
		r.suspicion.confirm()
		r.apart = false
	case r.apart:
		state = StateDown
	case r.suspicion.shown:
		state = StateSuspect
	}
	if state == r.shown {
		return
	}
	if r.shown == StateDown && (state == StateUp || state == StateSuspect) {
		c.count.retracted.Add(1)
	}
	r.shown, r.since = state, now
	if c.transportKnows(r) {
		c.who.note(r.gossipName, c.over(r))
	}
	if state == StateDown || state == StateLeft {
		c.gone[r.Name] = r
		c.watchListing(now, r.gossipName)
	} else {
		delete(c.gone, r.Name)
	}
	c.displace(r)
	e := c.event(now, r, kindOf(state), reason)
	c.publish(r.Name, e)
	args := []any{"member", r.Name, "boot", r.Boot, "addr", r.Addr, "reason", reason, "phi", level.Phi(e.Phi)}
	if e.Threshold > 0 {
		args = append(args, "threshold", level.Phi(e.Threshold), "by", e.By)
	}
	if e.Detail != "" {
		args = append(args, "detail", e.Detail)
	}
	c.log.Info("member is "+state.String(), args...)
}

func kindOf(s State) Kind {
	switch s {
	case StateSuspect:
		return Suspect
	case StateDown:
		return Down
	case StateLeft:
		return Left
	}
	return Up
}

func (c *core) event(now time.Time, r *record, kind Kind, reason string) Event {
	m := c.member(now, r)
	e := Event{Kind: kind, Member: m, At: now, Phi: m.Phi, Reason: reason}
	if kind == Down && (reason == ReasonSilent || reason == ReasonVerdict) {
		e.Phi = 0 // this node's own share says nothing of the sum
		if b := r.Basis; b != nil {
			e.Phi, e.Threshold, e.By = float64(b.Phi)/100, float64(b.Threshold)/100, b.By
		}
	}
	if kind == Down && reason == ReasonExited {
		e.Phi, e.Detail = 0, r.Exit()
	}
	return e
}

// member is a snapshot for the outside.
func (c *core) member(now time.Time, r *record) Member {
	m := Member{
		Name: r.Name, Addr: r.Addr, Boot: r.Boot, Epoch: r.Epoch, Tags: maps.Clone(r.tags),
		State: r.shown, Since: r.since, Health: r.health,
	}
	if r.path.Watched() {
		m.Observed = true
		m.Phi = r.path.Phi(now)
		m.LastHeard = r.edge.lastHeard
		m.RTT = r.edge.rtt
	}
	return m
}

func (c *core) selfMember() Member {
	return Member{
		Name: c.cfg.Name, Addr: c.addr, Boot: c.boot, Epoch: c.epoch, Tags: maps.Clone(c.tags),
		State: State(c.selfState()), Since: c.since, Health: c.health,
	}
}

// snapshot is every member, itself included, sorted by name.
func (c *core) snapshot(now time.Time) []Member {
	all := make([]Member, 0, len(c.members)+1)
	all = append(all, c.selfMember())
	for _, r := range c.members {
		all = append(all, c.member(now, r))
	}
	slices.SortFunc(all, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// What claims say of a member is what members are shown as, if nothing is known better.
const (
	_ = uint(StateUp-State(claim.Up)) + uint(State(claim.Up)-StateUp)
	_ = uint(StateDown-State(claim.Down)) + uint(State(claim.Down)-StateDown)
	_ = uint(StateLeft-State(claim.Left)) + uint(State(claim.Left)-StateLeft)
)
