package nat

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pulsering/pulsering/detector/link"
)

// Config says how a Learner learns. Dial and Set have to be given; other zero fields mean their
// default.
type Config struct {
	// Dial makes the spare connections, to the server that the connection that matters is to.
	Dial link.Dialer
	// Set is given the interval whenever it changes, the first one before Learn returns, one call
	// at a time: link.Client's SetInterval does, with its error noted elsewhere. It must not call
	// the Learner.
	Set func(time.Duration)
	// Safe is the interval that needs no proof, 1 s to 10 min. Default 15 s: half of the 30 s that
	// are the shortest limit commonly met.
	Safe time.Duration
	// Longest is the longest interval, Safe to 30 min. Default 4 min.
	Longest time.Duration
	// Patience is as in Search.
	Patience time.Duration
	// Anew is how old what was found may be before it is found anew, 1 h to 90 days. Default 7
	// days.
	Anew time.Duration
	// Memory keeps what was found; nil: it is learnt anew in each process.
	Memory *Memory
	// Server is the HOST:PORT that Dial connects to. It tells networks from one another, together
	// with Here; empty: all are one, and nothing is remembered.
	Server string
	// Network replaces Here.
	Network func(context.Context) (Network, error)
}

// Defaults of Config.
const (
	DefaultSafe   = 15 * time.Second
	DefaultLearnt = 4 * time.Minute
	DefaultAnew   = 7 * 24 * time.Hour
)

const (
	minSafe, maxSafe = time.Second, 10 * time.Minute
	minAnew          = time.Hour
	maxLearnt        = MaxSleep / 2
	networkTime      = 5 * time.Second // that finding out where one is may take
)

func (c Config) withDefaults() (Config, error) {
	var errs []error
	if c.Dial == nil {
		errs = append(errs, errors.New("nat: Config.Dial is nil: want a link.Dialer"))
	}
	if c.Set == nil {
		errs = append(errs, errors.New("nat: Config.Set is nil: want what the interval is given to"))
	}
	within := func(field string, d *time.Duration, byDefault, low, high time.Duration) {
		if *d == 0 {
			*d = byDefault
		}
		if *d < low || *d > high {
			errs = append(errs, fmt.Errorf("nat: Config.%s = %v: want %v to %v", field, *d, low, high))
		}
	}
	within("Safe", &c.Safe, DefaultSafe, minSafe, maxSafe)
	within("Longest", &c.Longest, max(DefaultLearnt, c.Safe), c.Safe, maxLearnt)
	within("Anew", &c.Anew, DefaultAnew, minAnew, maxAge)
	c.Safe, c.Longest = c.Safe.Truncate(time.Millisecond), c.Longest.Truncate(time.Millisecond)
	var err error
	c.Patience, err = patient("Config", c.Patience)
	if c.Network == nil && c.Server != "" {
		server := c.Server
		c.Network = func(ctx context.Context) (Network, error) { return Here(ctx, server) }
	}
	return c, errors.Join(append(errs, err)...)
}

// A Learner finds the longest interval at which a connection stays open in the network where it is.
// It begins with Config.Safe, and tries longer sleeps on one spare connection at a time: the
// connection that matters never beats at an interval of which twice as much was not seen to hold.
// When that connection is lost while it beats at an interval that was learnt, the interval is
// Config.Safe at once. Then nothing is tried for 10 min, and for twice as long after each further
// loss, up to a day.
//
// Make it with Learn, tell it what Client.Events tells, and end it with Close. All methods may be
// called from any goroutine.
type Learner struct {
	cfg    Config
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	wake   chan struct{}

	setMu sync.Mutex // held while Set runs
	told  time.Duration

	mu      sync.Mutex
	course  course
	network Network
	located bool // network and course are of somewhere
	arrived bool // and that is where the connection is
	away    bool // the connection that matters is lost
	fell    bool // likewise, at an interval that was learnt: Safe holds, and the network is not blamed yet
	stop    context.CancelFunc
	err     error
}

// Learn begins to learn. The error names a field of cfg that is out of range, its value and the
// limit.
func Learn(cfg Config) (*Learner, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &Learner{cfg: cfg, wake: make(chan struct{}, 1)}
	l.course = l.blank()
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.apply()
	l.wg.Go(l.run)
	return l, nil
}

func (l *Learner) blank() course {
	return course{safe: l.cfg.Safe, longest: l.cfg.Longest, anew: l.cfg.Anew}
}

// Saw tells the learner a change of the connection that matters: each event of link.Client.Events.
func (l *Learner) Saw(e link.Event) {
	switch e.Session.State {
	case link.Away, link.Gone:
		l.lost(e.Session.Cause)
	case link.Up:
		l.mu.Lock()
		back := l.away
		if back {
			l.away, l.arrived = false, false // perhaps somewhere else
		}
		l.mu.Unlock()
		if back {
			l.kick()
		}
	}
}

// lost falls back. What this end did itself is no fault of the network.
func (l *Learner) lost(cause link.Cause) {
	l.mu.Lock()
	l.away = true
	if cause != link.Local && l.course.interval() > l.cfg.Safe {
		l.fell = true
	}
	if l.stop != nil {
		l.stop()
	}
	l.mu.Unlock()
	l.apply()
}

// Interval is how far apart beats may be now.
func (l *Learner) Interval() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.interval()
}

// interval needs l.mu.
func (l *Learner) interval() time.Duration {
	if l.fell {
		return l.cfg.Safe
	}
	return l.course.interval()
}

// Err is why nothing was learnt or remembered lately; nil: all is well.
func (l *Learner) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Close ends learning, and returns when its goroutine and its spare connection have ended. Set is
// not called afterwards. A second Close is harmless.
func (l *Learner) Close() error {
	l.cancel()
	l.wg.Wait()
	l.setMu.Lock() // for a Saw that came at the same time
	defer l.setMu.Unlock()
	return nil
}

// apply gives Set the interval if it is another one.
func (l *Learner) apply() {
	l.setMu.Lock()
	defer l.setMu.Unlock()
	if every := l.Interval(); every != l.told && l.ctx.Err() == nil {
		l.told = every
		l.cfg.Set(every)
	}
}

// kick has run look again.
func (l *Learner) kick() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run tries one sleep after the other.
func (l *Learner) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for l.ctx.Err() == nil {
		l.arrive()
		l.apply()
		sleep, at, ctx := l.next(time.Now())
		if ctx == nil {
			timer.Reset(time.Until(at))
			select {
			case <-timer.C:
			case <-l.wake:
			case <-l.ctx.Done():
			}
			continue
		}
		t := probe(ctx, l.cfg.Dial, sleep, l.cfg.Patience, func() {})
		if ctx.Err() == nil {
			l.took(t, time.Now())
		}
		l.over()
	}
}

// arrive finds out where the connection is, and what is known of there.
func (l *Learner) arrive() {
	l.mu.Lock()
	done := l.arrived || l.away
	l.mu.Unlock()
	if done {
		return
	}
	var here Network
	var err error
	if l.cfg.Network != nil {
		ctx, cancel := context.WithTimeout(l.ctx, networkTime)
		here, err = l.cfg.Network(ctx)
		cancel()
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.arrived, l.err = true, err
	same := l.located && here.ID == l.network.ID
	if l.fell && same {
		l.course.lost(now)
		l.save(now)
	}
	l.fell = false // elsewhere the network that it was lost in is not to blame: it may just be out of reach
	if same {
		return
	}
	l.located, l.network, l.course = true, here, l.blank()
	if l.cfg.Memory == nil || here.ID == "" {
		return
	}
	if r, ok := l.cfg.Memory.Load(here, l.cfg.Server, now); ok {
		l.course.recall(r, now)
	}
}

// next returns the sleep to try now, with the context that ends when the connection is lost; or
// until when there is none.
func (l *Learner) next(now time.Time) (sleep time.Duration, at time.Time, ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		return 0, now.Add(time.Hour), nil // Saw wakes it
	}
	if sleep, at = l.course.try(now); now.Before(at) {
		return 0, at, nil
	}
	ctx, l.stop = context.WithCancel(l.ctx)
	return sleep, at, ctx
}

// over gives up what next began.
func (l *Learner) over() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop()
	l.stop = nil
}

// took learns from a try, and remembers.
func (l *Learner) took(t Try, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = t.Err
	if l.away {
		return // it was lost meanwhile
	}
	l.course.took(t, now)
	if t.Outcome != Unclear {
		l.save(now)
	}
}

// save needs l.mu.
func (l *Learner) save(now time.Time) {
	if l.cfg.Memory == nil || l.network.ID == "" {
		return
	}
	if err := l.cfg.Memory.Save(l.course.record(l.network, l.cfg.Server, now), now); err != nil {
		l.err = err
	}
}
