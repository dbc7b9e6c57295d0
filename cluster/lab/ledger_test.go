package lab

import (
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/pulsering/pulsering/cluster"
)

// grace is how long after a fault's end its victims may still be called down without that being false: news on its way.
const grace = time.Second

// holds is how long views must agree to count as agreeing.
const holds = time.Second

// maxExamples is how many false downs are told one by one.
const maxExamples = 5

type view uint8

const (
	viewNone view = iota // never heard of, or left
	viewUp
	viewSuspect
	viewDown
)

func (v view) up() bool { return v == viewUp || v == viewSuspect }

// news is one event at one member about another one.
type news struct {
	at                time.Time
	observer, subject int
	view              view
	boot              uint64 // of the life that it is about; 0: the system does not tell
	addr              string // of that life; empty: the system does not tell
	reason            string // why, in the system's words
}

// ledger holds what is true about each member and what each member believes, as far as it has said so, and judges the
// beliefs by the truth. Time comes in with each call, never earlier than in the one before. Calls may come from any
// goroutine.
type ledger struct {
	mu      sync.Mutex
	now     time.Time
	members []standing
	views   []view // by observer × members + subject
	counted int    // observers that count: running and not ill

	measuring bool
	begun     time.Time
	running   int
	lived     time.Duration // the sum over members, since begun

	tally
	waits    []*wait    // closed ones too
	waiting  [2][]*wait // the latest of each subject: for down, for up
	faults   []fault
	isolated []float64 // seconds from a member's fault until it called itself isolated
	alone    []int     // times that each member called itself isolated while it was healthy
}

// tally counts events since the measurement began.
type tally struct {
	falseAll, falseUnblocked int
	reasons                  map[string]int // of false downs
	examples                 []string       // the first of them, as a person reads it
	resumed                  int            // downs of members of the blocked set while they run
	excused                  int            // downs of members that the fault hid, or of all others at one that it isolated
	hits                     int            // downs of members that do not run, or of former boots
	leftAsDown               int
	parting                  int // downs of members that run, said by members after their own goodbye
	suspects                 int
	changes                  map[[2]int]int // up or down, by observer and ill subject
}

// standing is the truth about one member, and what is derived from it.
type standing struct {
	running   bool
	departing bool // said goodbye
	anomalous bool // one of the blocked, the badly connected: for the whole run
	ill       bool // blocked, isolated, badly connected: now
	since     time.Time
	allowance time.Duration // illness so short excuses nobody
	until     time.Time     // the end of the last illness that was longer
	side      int           // of a cut; 0: none
	sideUntil time.Time     // the end of the cut; zero while it lasts
	lastSide  int

	born     time.Time // this life
	addr     string
	lastBoot uint64 // of the life before this one

	ups    int // counted observers but itself that see it up
	agreed bool
	turns  []turn // when agreed changed
}

type turn struct {
	at     time.Time
	agreed bool
}

// wait is for pairs of one subject and several observers: until each is told that it is down, or up again.
type wait struct {
	subject int
	up      bool
	at      time.Time
	told    []float32 // by observer: seconds, or one of the following
	already int
}

const (
	notTold = -1
	noPair  = -2
)

// fault is one that ended, after which all views of the given subjects should agree.
type fault struct {
	end   time.Time
	about []int // nil: all
}

func newLedger(members int, now time.Time) *ledger {
	l := &ledger{now: now, members: make([]standing, members), views: make([]view, members*members), alone: make([]int, members)}
	l.waiting = [2][]*wait{make([]*wait, members), make([]*wait, members)}
	l.tally = tally{changes: map[[2]int]int{}, reasons: map[string]int{}}
	for i := range l.members {
		l.members[i].agreed = true
	}
	return l
}

func (l *ledger) view(observer, subject int) *view { return &l.views[observer*len(l.members)+subject] }

func (s *standing) counts() bool { return s.running && !s.ill }

// advance brings the sum of lives up to now. l.mu is held.
func (l *ledger) advance(now time.Time) {
	if l.measuring {
		l.lived += time.Duration(l.running) * now.Sub(l.now)
	}
	l.now = now
}

// begin starts the measurement: what was counted before is forgotten.
func (l *ledger) begin(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance(now)
	l.measuring, l.begun, l.lived = true, now, 0
	l.tally = tally{changes: map[[2]int]int{}, reasons: map[string]int{}}
	l.isolated, l.alone = nil, make([]int, len(l.members))
}

func (l *ledger) end(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance(now)
	l.measuring = false
}

// recheck notes whether all views of a subject agree. l.mu is held.
func (l *ledger) recheck(subject int) {
	s := &l.members[subject]
	all := l.counted
	if s.counts() {
		all--
	}
	var agreed bool
	switch {
	case !s.running:
		agreed = s.ups == 0
	case s.ill:
		agreed = s.ups == 0 || s.ups == all
	default:
		agreed = s.ups == all
	}
	if agreed == s.agreed {
		return
	}
	s.agreed = agreed
	if n := len(s.turns); n > 0 && s.turns[n-1].at.Equal(l.now) {
		s.turns = s.turns[:n-1] // there and back in no time
		return
	}
	s.turns = append(s.turns, turn{l.now, agreed})
}

// change alters the truth about a member, and who counts with it.
func (l *ledger) change(now time.Time, member int, edit func(*standing)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.advance(now)
	s := &l.members[member]
	counted, ran := s.counts(), s.running
	edit(s)
	if s.running != ran {
		l.running += delta(s.running)
	}
	if s.counts() == counted {
		l.recheck(member)
		return
	}
	l.counted += delta(s.counts())
	for i := range l.members {
		if i != member && l.view(member, i).up() {
			l.members[i].ups += delta(s.counts())
		}
		l.recheck(i)
	}
}

func delta(more bool) int {
	if more {
		return 1
	}
	return -1
}

// started: the member runs at addr, with a blank memory.
func (l *ledger) started(now time.Time, member int, addr string) {
	l.change(now, member, func(s *standing) {
		s.running, s.departing, s.addr, s.born = true, false, addr, now
		for i := range l.members {
			*l.view(member, i) = viewNone
		}
	})
}

// stopped: it does not run any more, and what it said is void.
func (l *ledger) stopped(now time.Time, member int, boot uint64, goodbye bool) {
	l.change(now, member, func(s *standing) {
		s.running, s.departing, s.lastBoot = false, goodbye, boot
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, open := range l.waiting {
		for _, w := range open {
			if w != nil && w.told[member] == notTold {
				w.told[member] = noPair
			}
		}
	}
}

// sick: a fault takes hold of the member. Illness up to allowance excuses nobody who calls it down.
func (l *ledger) sick(now time.Time, member int, allowance time.Duration) {
	l.change(now, member, func(s *standing) { s.ill, s.since, s.allowance = true, now, allowance })
}

func (l *ledger) well(now time.Time, member int) {
	l.change(now, member, func(s *standing) {
		if s.ill = false; now.Sub(s.since) >= s.allowance {
			s.until = now
		}
	})
}

// anomaly: the member is one of the few to which all is done.
func (l *ledger) anomaly(member int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.members[member].anomalous = true
}

// sided: from now on the member is on one side of a cut; 0 is the end of it.
func (l *ledger) sided(now time.Time, member, side int) {
	l.change(now, member, func(s *standing) {
		if side == 0 {
			s.sideUntil = now
		} else {
			s.lastSide, s.sideUntil = side, time.Time{}
		}
		s.side = side
	})
}

// awaitDown begins a wait for all that count to call a victim down; those for whom it is down already are left out. Only
// observers that may is true for are in it; nil: all.
func (l *ledger) awaitDown(now time.Time, victim int, may func(observer int) bool) {
	l.await(now, victim, false, may)
}

// awaitUp begins a wait for all that count to call a member up in a new life.
func (l *ledger) awaitUp(now time.Time, member int) { l.await(now, member, true, nil) }

func (l *ledger) await(now time.Time, subject int, up bool, may func(observer int) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := &wait{subject: subject, up: up, at: now, told: make([]float32, len(l.members))}
	for o := range l.members {
		w.told[o] = noPair
		switch {
		case o == subject || !l.members[o].counts() || may != nil && !may(o):
		case !up && !l.view(o, subject).up():
			w.already++
		default:
			w.told[o] = notTold
		}
	}
	l.waiting[kindOf(up)][subject] = w
	l.waits = append(l.waits, w)
}

// ended: a fault is over, and views of the given subjects (nil: all) should agree from then on.
func (l *ledger) ended(now time.Time, about []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, fault{now, about})
}

// told takes in an event.
func (l *ledger) told(e news) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o := &l.members[e.observer]; e.observer == e.subject || !o.running {
		if l.measuring && o.departing && e.view == viewDown && l.members[e.subject].running {
			l.parting++
		}
		return
	}
	l.advance(e.at)
	s := &l.members[e.subject]
	v := l.view(e.observer, e.subject)
	was := *v
	*v = e.view
	if l.members[e.observer].counts() && was.up() != e.view.up() {
		s.ups += delta(e.view.up())
		l.recheck(e.subject)
	}

	former := e.boot != 0 && e.boot <= s.lastBoot || e.addr != "" && e.addr != s.addr
	switch {
	case e.view == viewDown:
		l.tick(false, e)
	case e.view == viewUp && !former:
		l.tick(true, e)
	}
	if !l.measuring {
		return
	}
	if (s.ill || s.anomalous) && was != e.view && (e.view == viewUp && was == viewDown || e.view == viewDown) {
		l.changes[[2]int{e.observer, e.subject}]++
	}
	switch {
	case e.view == viewSuspect:
		l.suspects++
	case e.view == viewDown:
		l.judge(e, former)
	case e.view == viewNone && was.up() && s.running && !s.departing && !former: // no fault makes a goodbye
		l.accuse(e, "said to have left")
	}
}

// tick notes the first time that a wait's pair is told. l.mu is held.
func (l *ledger) tick(up bool, e news) {
	w := l.waiting[kindOf(up)][e.subject]
	if w != nil && w.told[e.observer] == notTold {
		w.told[e.observer] = float32(e.at.Sub(w.at).Seconds())
	}
}

func kindOf(up bool) int {
	if up {
		return 1
	}
	return 0
}

// judge says what kind of Down an event is. l.mu is held.
func (l *ledger) judge(e news, former bool) {
	o, s := &l.members[e.observer], &l.members[e.subject]
	switch {
	case s.departing:
		l.leftAsDown++
	case !s.running || former:
		l.hits++
	case hidden(e.at, o, s), e.reason == cluster.ReasonIsolated && o.afflicted(e.at):
		l.excused++
	case s.anomalous:
		l.resumed++
	default:
		l.accuse(e, e.reason)
	}
}

// accuse counts an event that is false. l.mu is held.
func (l *ledger) accuse(e news, reason string) {
	o, s := &l.members[e.observer], &l.members[e.subject]
	l.falseAll++
	l.reasons[reason]++
	if len(l.examples) < maxExamples {
		l.examples = append(l.examples, fmt.Sprintf("at %v %s called %s (boot %d, started %v before) down: %s",
			e.at.Sub(l.begun), name(e.observer), name(e.subject), e.boot, e.at.Sub(s.born), reason))
	}
	if !o.ill && !o.anomalous {
		l.falseUnblocked++
	}
}

// hidden tells whether a fault hides s from o, or did until a moment ago.
func hidden(now time.Time, o, s *standing) bool {
	if s.afflicted(now) {
		return true
	}
	return o.lastSide != s.lastSide && (s.sideUntil.IsZero() || now.Sub(s.sideUntil) <= grace)
}

// afflicted tells whether a fault has s in its hold for longer than s is to bear, or had until a moment ago.
func (s *standing) afflicted(now time.Time) bool {
	if s.ill && now.Sub(s.since) >= s.allowance {
		return true
	}
	return !s.until.IsZero() && now.Sub(s.until) <= grace // whether or not it has fallen ill again
}

// lonely: a member says that it is isolated.
func (l *ledger) lonely(now time.Time, member int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.members[member]
	switch {
	case !l.measuring || !s.running:
	case s.ill:
		l.isolated = append(l.isolated, now.Sub(s.since).Seconds())
	default:
		l.alone[member]++
	}
}

// disagreements is the number of members about whom views do not agree now.
func (l *ledger) disagreements() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for i := range l.members {
		if !l.members[i].agreed {
			n++
		}
	}
	return n
}

// open is the number of pairs that have yet to be told of a down.
func (l *ledger) open() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.waits {
		for _, s := range w.told {
			if !w.up && s == notTold {
				n++
			}
		}
	}
	return n
}

// waited returns the seconds of all pairs told (of downs, or of ups), and how many were not told, or had nothing to be told.
func (l *ledger) waited(up bool) (told []float64, never, already int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.waits {
		if w.up != up {
			continue
		}
		already += w.already
		for _, s := range w.told {
			switch s {
			case notTold:
				never++
			case noPair:
			default:
				told = append(told, float64(s))
			}
		}
	}
	return told, never, already
}

// agreement returns, for each fault that ended, the seconds until all views about its subjects agreed for a while. unsettled
// counts those after which they never did.
func (l *ledger) agreement() (seconds []float64, unsettled int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	everybody := make([]int, len(l.members))
	for i := range everybody {
		everybody[i] = i
	}
	for _, f := range l.faults {
		about := f.about
		if about == nil {
			about = everybody
		}
		at := f.end
		for moved := true; moved && !at.IsZero(); {
			moved = false
			for _, i := range about {
				if t := l.members[i].agreesFrom(at); !t.Equal(at) {
					at, moved = t, true
					if at.IsZero() {
						break
					}
				}
			}
		}
		if at.IsZero() || l.now.Sub(at) < holds {
			unsettled++
		} else {
			seconds = append(seconds, at.Sub(f.end).Seconds())
		}
	}
	return seconds, unsettled
}

// apart is the longest time that views about one member differed at a stretch, since the measurement began.
func (l *ledger) apart() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	var longest time.Duration
	for i := range l.members {
		from, agreed := l.begun, true
		for _, t := range append(slices.Clip(l.members[i].turns), turn{l.now, true}) {
			if !agreed {
				longest = max(longest, t.at.Sub(from))
			}
			agreed = t.agreed
			if t.at.After(from) {
				from = t.at
			}
		}
	}
	return longest
}

// agreesFrom returns the first time from at on from which views of s agree for a while; zero: never.
func (s *standing) agreesFrom(at time.Time) time.Time {
	i := sort.Search(len(s.turns), func(i int) bool { return s.turns[i].at.After(at) })
	agreed := i == 0 || s.turns[i-1].agreed // every member begins agreed
	for ; i < len(s.turns); i++ {
		if agreed && s.turns[i].at.Sub(at) >= holds {
			return at
		}
		at, agreed = s.turns[i].at, s.turns[i].agreed
	}
	if agreed {
		return at
	}
	return time.Time{}
}
