package link

import (
	"errors"
	"fmt"
	"time"
)

// Config says how a [Server] or [Client] beats and judges. The zero Config is a good one; zero fields mean their default.
type Config struct {
	// Interval is the time between two beats at most, 10 ms to 1 h; each one comes after 75 to 100 % of it (as in BFD, RFC 5880,
	// section 6.8.7), the first at a random moment of it. Default 1 s, or a third of Within where that is given. To keep a
	// connection open through NAT and firewalls it has to be at most half of the shortest idle limit on the way: 30 s suits the
	// 60 s of common load balancers. Package nat finds the limit.
	Interval time.Duration

	// Within is how soon a dead peer is to be found: 30 ms to 3 h. It chooses Interval, for a link that loses nothing and is
	// never late; a Server pings up to eight times more often where a link is worse, unless the client asked for an interval.
	// FalseAlarmEvery is kept whatever that comes to.
	Within time.Duration

	// FalseAlarmEvery is how often a live session is taken for dead at most, on average, ten intervals to 100 years. Default 30
	// days. See detector.Config.
	FalseAlarmEvery time.Duration

	// Grace is how long a session whose connection is over stays Away: while it lasts, its owner may resume it, and nobody is
	// told of a leave. Up to 24 h; default 15 s; negative: no time at all.
	Grace time.Duration

	// Gone is how long a session that is Gone is still listed, and its name known. Up to 24 h; default 2 min; negative: no time at all.
	Gone time.Duration

	// MaxMessage is how long a message of the application may be, in bytes: 1 to 1 GiB, default 1 MiB. The end of a connection
	// that sends a longer one is a Close with CodeTooBig.
	MaxMessage int

	// MaxWaiting is how many bytes of messages a session holds at most that the other end has not acknowledged: MaxMessage to
	// 1 GiB, default four times MaxMessage. A Send beyond it is an ErrBehind.
	MaxWaiting int

	// MaxSessions is how many sessions and connections a Server has at most, 1 to 100 million; default 1 million.
	MaxSessions int

	// MaxSpares is how many spare connections a Server has asleep at most, 1 to MaxSessions: each holds a socket for up to an hour and
	// is not judged. Default 1000, or MaxSessions where that is less. See package nat.
	MaxSpares int

	// Session is the name that a Client asks for, at most 128 bytes; empty: the server makes one up. Secret resumes a session of
	// that name, of this client's process before: see [Client.Secret].
	Session, Secret string

	// OneWay is for a Client that beats by itself and wants no pings, such as a device that sleeps in between.
	OneWay bool

	// State64 is what a Client's beats carry of the application's own, at most MaxState bytes; see [Client.SetState].
	State64 []byte

	// Receive is called with each message of the application, in order, on the goroutine that reads the connection: while it
	// runs nothing more is read from there. data is the callee's. Nil: messages are acknowledged and dropped.
	Receive func(session string, data []byte)
}

// Defaults of Config.
const (
	DefaultInterval        = time.Second
	DefaultFalseAlarmEvery = 30 * 24 * time.Hour
	DefaultGrace           = 15 * time.Second
	DefaultGone            = 2 * time.Minute
	DefaultMaxMessage      = 1 << 20
	DefaultMaxSessions     = 1_000_000
	DefaultMaxSpares       = 1000
)

const (
	minInterval, maxInterval = 10 * time.Millisecond, time.Hour
	withinIntervals          = 3  // how many intervals it takes until φ is high enough, on a clean link
	minPromise               = 10 // FalseAlarmEvery in intervals, at least: see detector.Config
	maxKept                  = 24 * time.Hour
	maxWaiting               = 1 << 30
)

// possible is the nearest to an interval that a peer wants which can be judged so that FalseAlarmEvery holds.
func (c Config) possible(every time.Duration) time.Duration {
	return min(max(every, minInterval), maxEvery, c.FalseAlarmEvery/minPromise)
}

// withDefaults checks c and fills in what is zero.
func (c Config) withDefaults() (Config, error) {
	var errs []error
	bad := func(field string, value any, want string) {
		errs = append(errs, fmt.Errorf("link: Config.%s = %v: want %s", field, value, want))
	}
	if c.Within != 0 && (c.Within < withinIntervals*minInterval || c.Within > withinIntervals*maxInterval) {
		bad("Within", c.Within, fmt.Sprintf("%v to %v", withinIntervals*minInterval, withinIntervals*maxInterval))
	}
	switch {
	case c.Interval == 0 && c.Within > 0:
		c.Interval = c.Within / withinIntervals
	case c.Interval == 0:
		c.Interval = DefaultInterval
	case c.Interval < minInterval || c.Interval > maxInterval:
		bad("Interval", c.Interval, fmt.Sprintf("%v to %v", minInterval, maxInterval))
	case c.Within > 0 && c.Interval > c.Within/withinIntervals:
		bad("Interval", c.Interval, fmt.Sprintf("at most a third of Within, %v", c.Within/withinIntervals))
	}
	if c.FalseAlarmEvery == 0 {
		c.FalseAlarmEvery = DefaultFalseAlarmEvery
	}
	if c.FalseAlarmEvery < minPromise*c.Interval || c.FalseAlarmEvery > 100*365*24*time.Hour {
		bad("FalseAlarmEvery", c.FalseAlarmEvery, fmt.Sprintf("%v (ten intervals) to 100 years", minPromise*c.Interval))
	}
	kept := func(field string, d *time.Duration, byDefault time.Duration) {
		switch {
		case *d == 0:
			*d = byDefault
		case *d > maxKept:
			bad(field, *d, fmt.Sprintf("at most %v", maxKept))
		}
		*d = max(0, *d)
	}
	kept("Grace", &c.Grace, DefaultGrace)
	kept("Gone", &c.Gone, DefaultGone)
	number := func(field string, n *int, byDefault, low, high int) {
		if *n == 0 {
			*n = byDefault
		}
		if *n < low || *n > high {
			bad(field, *n, fmt.Sprintf("%d to %d", low, high))
		}
	}
	number("MaxMessage", &c.MaxMessage, DefaultMaxMessage, 1, 1<<30)
	number("MaxWaiting", &c.MaxWaiting, min(4*c.MaxMessage, maxWaiting), c.MaxMessage, maxWaiting)
	number("MaxSessions", &c.MaxSessions, DefaultMaxSessions, 1, 100_000_000)
	sessions := max(1, c.MaxSessions) // of which something else is said where it is less
	number("MaxSpares", &c.MaxSpares, min(DefaultMaxSpares, sessions), 1, sessions)
	if len(c.Session) > MaxName {
		bad("Session", fmt.Sprintf("%d bytes", len(c.Session)), fmt.Sprintf("at most %d", MaxName))
	}
	if len(c.State64) > MaxState {
		bad("State64", fmt.Sprintf("%d bytes", len(c.State64)), fmt.Sprintf("at most %d", MaxState))
	}
	return c, errors.Join(errs...)
}
