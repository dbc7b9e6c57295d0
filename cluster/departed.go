package cluster

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
)

// memberlist has no call to say that a process is over. It would go on probing it, one process a second, and hand it every third
// piece of gossip, until its own probes have come round; and as each boot is a process of its own there, one name that crash-loops
// fills its table with the dead faster than it finds them. So what the core knows to be over is told to this node's memberlist as
// if a packet had brought it (see transport.inject), which then goes its usual way.

// listing is a process of ours that memberlist holds for alive.
type listing struct {
	boot    uint64 // 0: still joining
	addr    string
	since   time.Time
	outdone bool // another process with its name was started later at its address
}

// departing is a process that may be over though memberlist lists it.
type departing struct {
	tries int       // how often memberlist was told
	at    time.Time // when it was told last, or when the process left its list
	since time.Time // when it was first looked at
}

// departure is what memberlist is to be told of a process.
type departure struct {
	process     string // its name in memberlist
	left        bool   // rather than dead, of which it may hear, and say that it is not
	incarnation uint32
}

const (
	// buryEvery is the time between two looks at processes that may be over.
	buryEvery = 100 * time.Millisecond
	// joiningTime is how long a process may take to join, of which it needs two seconds at most: whoever still has no boot then died.
	joiningTime = 5 * time.Second
	// verdictTime is how long memberlist is left to find out by itself that a member is down. It is shortened where more members
	// are down and listed than up.
	verdictTime = 10 * time.Second
	// moveTime is likewise for a boot at another address than the one that replaced it. If it lives after all it learns of the other
	// meanwhile, and they settle who goes on (see contest).
	moveTime = 3 * time.Second
	// goodbyeTime is how long the goodbye of a member to memberlist may take.
	goodbyeTime = time.Second
	// fewListed is how many of those that are down memberlist may list however small the cluster is.
	fewListed = 3
	// mostAtOnce is how many processes memberlist is told of in one look.
	mostAtOnce = 64

	// overIncarnation is above what a process counts up to by itself (one for each change of its tags, and for each suspicion that it
	// denies), and can be denied: a process that is alive after all takes the next number.
	overIncarnation = 1 << 31
	// epochIncarnations is likewise for a member that may come back, and so for each of its epochs.
	epochIncarnations = 1 << 14
)

// list notes that memberlist lists a process.
func (c *core) list(now time.Time, g gossipMember, boot uint64) {
	before := c.latest(memberName(g.name), g.name)
	if c.byGossip(g.name) == nil || c.listing(g.name) == nil || c.listed[g.name] != nil {
		l := c.listed[g.name]
		if l == nil {
			l = &listing{since: now}
			c.listed[g.name] = l
		}
		l.boot, l.addr = boot, g.addr
	}
	if before == "" || started(before) <= started(g.name) {
		c.outdo(now, before, g.name)
	} else {
		c.outdo(now, g.name, before)
	}
	c.watchListing(now, g.name)
}

// listing is what memberlist lists a process with; nil: it does not. The present processes of members are listed as these are known.
func (c *core) listing(process string) *listing {
	if l := c.listed[process]; l != nil {
		return l
	}
	if r := c.byGossip(process); r != nil && r.listed {
		return &listing{boot: r.Boot, addr: r.Addr}
	}
	return nil
}

// unlink notes that the process of r is not r's any more, and what memberlist lists it with.
func (c *core) unlink(now time.Time, r *record) {
	if r.listed {
		r.listed = false
		c.listed[r.gossipName] = &listing{boot: r.Boot, addr: r.Addr}
	}
	c.watchListing(now, r.gossipName)
}

// latest is which other process of a name that memberlist lists was started last; empty: there is none.
func (c *core) latest(name, but string) (latest string) {
	if r := c.members[name]; r != nil && r.listed && r.gossipName != but {
		latest = r.gossipName
	}
	for process := range c.listed {
		if process != but && memberName(process) == name &&
			(latest == "" || cmp.Or(cmp.Compare(started(process), started(latest)), strings.Compare(process, latest)) > 0) {
			latest = process
		}
	}
	return latest
}

// outdo notes that of two processes of one name the later one has the address of the other: it is over.
func (c *core) outdo(now time.Time, earlier, later string) {
	e, l := c.listing(earlier), c.listing(later)
	if e != nil && l != nil && e != l && e.addr == l.addr {
		e.outdone = true
		c.watchListing(now, earlier)
	}
}

// unlist notes that memberlist holds a process for dead, or for one that left.
func (c *core) unlist(now time.Time, process string) {
	delete(c.listed, process)
	if r := c.byGossip(process); r != nil {
		r.listed = false
	}
	if o := c.departing[process]; o != nil {
		o.at = now
	}
}

// watchListing has bury look at a process.
func (c *core) watchListing(now time.Time, process string) {
	if c.departing[process] == nil && c.listing(process) != nil {
		c.departing[process] = &departing{since: now}
	}
}

// bury looks at the processes that may be over, and says which memberlist is to be told of.
func (c *core) bury(now time.Time) {
	if now.Before(c.buryAt) || len(c.departing) == 0 {
		return
	}
	c.buryAt = now.Add(buryEvery)
	type verdict struct {
		departure
		since time.Time
		leave time.Duration // how long memberlist is left to find out
		o     *departing
	}
	var down []verdict
	tell := func(d departure, o *departing) {
		if pause := buryEvery << min(o.tries+2, 9); o.tries > 0 && now.Sub(o.at) < pause || len(c.out.departed) >= mostAtOnce {
			return // up to 51 s: it may be alive, and say so each time
		}
		o.tries++
		o.at = now
		c.out.departed = append(c.out.departed, d)
	}
	for process, o := range inOrder(c.departing) {
		l := c.listing(process)
		if l == nil {
			if now.Sub(o.at) >= time.Minute { // not to begin anew with each that comes back
				delete(c.departing, process)
			}
			continue
		}
		name := memberName(process)
		r := c.members[name]
		switch {
		case l.boot == 0 && (l.outdone || now.Sub(l.since) >= joiningTime):
			tell(departure{process, false, epochIncarnations}, o)
		case l.boot == 0:
		case r != nil && l.boot < r.Boot && l.addr == r.Addr: // which only one of the two can have
			tell(departure{process, true, overIncarnation}, o)
		case r == nil && l.boot <= c.forgotten[name].boot, r != nil && l.boot < r.Boot:
			down = append(down, verdict{departure{process, false, overIncarnation}, o.since, moveTime, o})
		case r == nil || r.plain || r.gossipName != process || l.boot != r.Boot || r.State == claim.Up:
			if o.tries == 0 {
				delete(c.departing, process)
			}
		case r.State == claim.Left && now.Sub(r.since) >= goodbyeTime:
			tell(departure{process, true, overIncarnation}, o)
		case r.State == claim.Down && !c.isolated && c.cfg.Heartbeats == Ring:
			incarnation := uint32(min(r.Epoch+1, claim.MaxEpoch+1) * epochIncarnations)
			leave := verdictTime
			if r.unproven() { // nobody would miss it, and of such there may be many a second
				leave = 0
			}
			down = append(down, verdict{departure{process, false, incarnation}, r.since, leave, o})
		}
	}
	slices.SortFunc(down, func(a, b verdict) int {
		return cmp.Or(a.since.Compare(b.since), strings.Compare(a.process, b.process))
	})
	for i, v := range down {
		if now.Sub(v.since) >= v.leave || len(down)-i > max(fewListed, c.rings.Living()) {
			tell(v.departure, v.o)
		}
	}
}

// started is when a process was started, as its name in memberlist says; 0: it does not.
func started(process string) int64 {
	i := strings.LastIndexByte(process, '#')
	if i < 0 {
		return 0
	}
	at, _ := strconv.ParseInt(process[i+1:], 36, 64)
	return at
}

// fewestGone is how many members that are down or have left are remembered for ForgetAfter, however small the cluster is.
const fewestGone = 256

// boundGone forgets those that went first where too many are remembered: of names that differ each time there is no end.
func (c *core) boundGone(now time.Time) {
	c.most = max(c.most, c.rings.Living())
	bound := max(fewestGone, 2*c.most)
	if over := len(c.gone) - bound; over > 0 {
		gone := slices.Collect(maps.Values(c.gone))
		slices.SortFunc(gone, func(a, b *record) int { return cmp.Or(a.since.Compare(b.since), strings.Compare(a.Name, b.Name)) })
		for _, r := range gone[:over] {
			if r.since.After(c.horizon) {
				c.horizon = r.since
			}
			c.forget(now, r.Name)
		}
	}
	if over := len(c.forgotten) - bound; over > 0 {
		names := slices.Collect(maps.Keys(c.forgotten))
		slices.SortFunc(names, func(a, b string) int {
			return cmp.Or(c.forgotten[a].at.Compare(c.forgotten[b].at), strings.Compare(a, b))
		})
		for _, name := range names[:over] {
			delete(c.forgotten, name)
		}
	}
}
