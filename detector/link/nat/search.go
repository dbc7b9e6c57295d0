package nat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pulsering/pulsering/detector/link"
)

// A Search tries many sleeps side by side, each on a connection of its own.
type Search struct {
	// Dial makes the spare connections.
	Dial link.Dialer
	// Longest is the longest sleep that is tried, MinSleep to MaxSleep. Default 10 min.
	Longest time.Duration
	// Precision is how far the longest sleep that held and the shortest that did not may be apart,
	// 10 ms to 10 min; 0: as the first sleeps are.
	Precision time.Duration
	// Patience is how late the server's word may come, and the answer to a question: 100 ms to 1
	// min. Default 7 s, which is five retransmissions of TCP.
	Patience time.Duration
	// Progress is told what becomes of each sleep, one call at a time. Nil: nobody is.
	Progress func(Progress)
}

// DefaultLongest is the default of Search.Longest.
const DefaultLongest = 10 * time.Minute

const (
	minPrecision, maxPrecision = 10 * time.Millisecond, 10 * time.Minute
	// side is how many sleeps are tried side by side between two: each round makes the distance
	// nine times smaller.
	side = 8
	// again is how often a sleep is tried whose outcome is unclear, or that is the only one that
	// was forgotten.
	again = 2
)

// Progress is news of one sleep.
type Progress struct {
	Sleep time.Duration
	Phase Phase
	Try   Try // of phase Decided
	Nth   int // how often it was tried
}

// Phase is where a sleep is.
type Phase uint8

const (
	// Waiting: its turn comes.
	Waiting Phase = iota
	// Sleeping: the connection sleeps.
	Sleeping
	// Decided: Progress.Try says what came of it.
	Decided
	// Needless: a shorter sleep was forgotten, and this one is given up.
	Needless
)

var phaseNames = [...]string{"waiting", "sleeping", "decided", "needless"}

// String returns "waiting", "sleeping", "decided" or "needless".
func (p Phase) String() string {
	if int(p) >= len(phaseNames) {
		return "unknown"
	}
	return phaseNames[p]
}

// Result is what a Search found.
type Result struct {
	// Held is the longest sleep that held, Forgotten the shortest that did not; 0: none.
	Held, Forgotten time.Duration
	// How the path forgot.
	How Outcome
	// Interval is how far apart beats may be at most: Half of Held; 0: not known.
	Interval time.Duration
	// Tries are all that were decided, in order.
	Tries []Try
	// Complete: the two were found, or nothing was forgotten up to Longest.
	Complete bool
}

func (s Search) withDefaults() (Search, error) {
	var errs []error
	if s.Dial == nil {
		errs = append(errs, errors.New("nat: Search.Dial is nil: want a link.Dialer"))
	}
	if s.Longest == 0 {
		s.Longest = DefaultLongest
	}
	if s.Longest < MinSleep || s.Longest > MaxSleep {
		errs = append(errs, fmt.Errorf("nat: Search.Longest = %v: want %v to %v", s.Longest, MinSleep, MaxSleep))
	}
	s.Longest = s.Longest.Truncate(time.Millisecond)
	if s.Precision != 0 && (s.Precision < minPrecision || s.Precision > maxPrecision) {
		errs = append(errs, fmt.Errorf("nat: Search.Precision = %v: want 0, or %v to %v", s.Precision, minPrecision, maxPrecision))
	}
	var err error
	s.Patience, err = patient("Search", s.Patience)
	return s, errors.Join(append(errs, err)...)
}

// patient checks a Patience, and fills it in where it is zero.
func patient(of string, p time.Duration) (time.Duration, error) {
	if p == 0 {
		return DefaultPatience, nil
	}
	if p < minPatience || p > maxPatience {
		return p, fmt.Errorf("nat: %s.Patience = %v: want %v to %v", of, p, minPatience, maxPatience)
	}
	return p, nil
}

// Run tries sleeps until the limit lies between two, or none is left. What is known so far is in
// the result also where there is an error: ctx ended, or the server does not answer, or nothing
// could be told of a sleep that mattered.
func (s Search) Run(ctx context.Context) (Result, error) {
	s, err := s.withDefaults()
	if err != nil {
		return Result{}, err
	}
	one, err := open(ctx, s.Dial, MinSleep) // no long wait for a server that is not there
	if err != nil {
		return Result{}, err
	}
	one.close()
	r := &running{Search: s}
	for next := ladder(s.Longest); len(next) > 0; next = r.next() {
		before := of(r.tries)
		r.round(ctx, next)
		if ctx.Err() != nil {
			return r.result(false), context.Cause(ctx)
		}
		if of(r.tries) == before { // so would be the next round
			err := r.unclear()
			return r.result(err == nil), err
		}
		if err := r.unclear(); err != nil && of(r.tries).forgotten == 0 {
			return r.result(false), err
		}
	}
	return r.result(true), nil
}

// running is a Search that runs.
type running struct {
	Search
	mu    sync.Mutex
	tries []Try
	now   map[time.Duration]context.CancelFunc // sleeps that are being tried
}

// next returns what is to be tried in the next round; nothing: it is found.
func (r *running) next() []time.Duration {
	b := of(r.tries)
	if b.precise(r.Precision) {
		return nil
	}
	precision := r.Precision
	if b.held == 0 {
		precision = 0
	}
	return between(b.held, b.forgotten, precision, side)
}

// round tries sleeps side by side, and returns when all are decided.
func (r *running) round(ctx context.Context, sleeps []time.Duration) {
	for _, sleep := range sleeps {
		r.tell(Progress{Sleep: sleep})
	}
	r.now = map[time.Duration]context.CancelFunc{}
	var wg sync.WaitGroup
	for _, sleep := range sleeps {
		own, cancel := context.WithCancel(ctx)
		r.mu.Lock()
		r.now[sleep] = cancel
		r.mu.Unlock()
		wg.Go(func() {
			defer cancel()
			r.one(own, sleep)
		})
	}
	wg.Wait()
}

// one tries one sleep, once more where that is worth it.
func (r *running) one(ctx context.Context, sleep time.Duration) {
	for n := 1; n <= again; n++ {
		t := probe(ctx, r.Dial, sleep, r.Patience, func() { r.tell(Progress{Sleep: sleep, Phase: Sleeping, Nth: n}) })
		if !r.decided(ctx, t, n) {
			return
		}
	}
}

// decided notes a try, gives up the sleeps that it makes needless, and tells whether it is worth
// another one.
func (r *running) decided(ctx context.Context, t Try, n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.Outcome == Unclear && ctx.Err() != nil {
		r.say(Progress{Sleep: t.Asked, Phase: Needless, Nth: n})
		return false
	}
	r.tries = append(r.tries, t)
	r.say(Progress{Sleep: t.Asked, Phase: Decided, Try: t, Nth: n})
	if !sure(r.tries) {
		return t.Outcome != Held
	}
	b := of(r.tries)
	for sleep, cancel := range r.now {
		if b.forgotten > 0 && sleep >= b.forgotten {
			cancel()
		}
	}
	return t.Outcome == Unclear
}

// unclear is why nothing is known of a sleep.
func (r *running) unclear() error {
	for _, t := range r.tries {
		if t.Outcome == Unclear && !slices.ContainsFunc(r.tries, func(o Try) bool { return o.Asked == t.Asked && o.Outcome != Unclear }) {
			return fmt.Errorf("a sleep of %v: %w", t.Asked, t.Err)
		}
	}
	return nil
}

func (r *running) result(complete bool) Result {
	b := of(r.tries)
	tries := slices.Clone(r.tries)
	slices.SortStableFunc(tries, func(a, b Try) int { return int(a.Asked - b.Asked) })
	return Result{Held: b.held, Forgotten: b.forgotten, How: b.how, Interval: Half(b.held), Tries: tries, Complete: complete}
}

// tell tells the news.
func (r *running) tell(p Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.say(p)
}

// say needs r.mu.
func (r *running) say(p Progress) {
	if r.Progress != nil {
		r.Progress(p)
	}
}
