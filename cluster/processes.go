package cluster

import (
	"slices"
	"sync"
	"time"
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
