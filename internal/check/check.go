// Package check asks a service again and again whether it is well.
//
// Think of a nurse on her round. One look that finds the patient out of bed is no alarm; some in a
// row are. One good look and all is well again. And she never has to look twice at a time, nor
// stand at the bed for ever.
//
// A member whose service fails its check is wedged, which is a state of its health and no death:
// the process is there, and goes on beating.
package check

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hashicorp/go-hclog"
)

// A Checker looks once. Nil: the service is well. The error says why it is not; it may hold bytes
// of the service, which [Run] makes printable. A Checker returns soon after ctx ends.
type Checker func(ctx context.Context) error

// State says what the checks make of a service.
type State uint8

const (
	// Starting: no check has passed yet, and the tries are not used up.
	Starting State = iota
	// Passing: the last check passed, or fewer than Config.Tries in a row have failed since one
	// did.
	Passing
	// Wedged: Config.Tries checks in a row have failed.
	Wedged
)

// String returns "starting", "passing" or "wedged".
func (s State) String() string {
	switch s {
	case Starting:
		return "starting"
	case Passing:
		return "passing"
	case Wedged:
		return "wedged"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Health is a state and why.
type Health struct {
	State State
	// Reason is why the service is Wedged, for a line of the log: printable and not long. Empty
	// otherwise.
	Reason string
	// At is when the check ended that showed it.
	At time.Time
}

// jitter is the part of the interval by which checks are early or late, so that those of many
// members part.
const jitter = 0.1

// Config says how often a check runs, and when it has failed. It has no defaults: those are the
// command's, whose flags fill all of it.
type Config struct {
	// Interval is the time from the end of a check to the beginning of the next, a tenth more or
	// less.
	Interval time.Duration
	// Limit is how long one check may take; one that takes longer has failed.
	Limit time.Duration
	// Tries is how many checks in a row have to fail before the service is wedged.
	Tries int
	// Log is told of each check that fails, at debug. Nil: nobody is.
	Log hclog.Logger
}

// Run checks at once and then at every interval, until ctx ends. It calls changed with Starting
// before the first check, and then with each change of the state, from its own goroutine: the next
// check waits until changed has returned.
//
// A wedged service that fails for another reason is no change: a change is told to the whole
// cluster, and a service that flaps between two errors would cost everybody. The log has them all.
func Run(ctx context.Context, cfg Config, check Checker, changed func(Health)) {
	if cfg.Log == nil {
		cfg.Log = hclog.NewNullLogger()
	}
	health := Health{State: Starting, At: time.Now()}
	changed(health)
	for failed := 0; ; {
		err := once(ctx, cfg.Limit, check)
		if ctx.Err() != nil {
			return
		}
		next := health.State
		if err == nil {
			failed = 0
			next = Passing
		} else {
			failed = min(failed+1, cfg.Tries)
			cfg.Log.Debug("check failed", "try", failed, "of", cfg.Tries, "reason", reason(err))
			if failed == cfg.Tries {
				next = Wedged
			}
		}
		if next != health.State {
			health = Health{State: next, At: time.Now()}
			if next == Wedged {
				health.Reason = reason(err)
			}
			changed(health)
		}
		wait := time.NewTimer(time.Duration(float64(cfg.Interval) * (1 - jitter + 2*jitter*rand.Float64())))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return
		}
	}
}

// once checks within limit.
func once(ctx context.Context, limit time.Duration, check Checker) error {
	limited, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no result within %v", limit))
	defer cancel()
	return check(limited)
}
