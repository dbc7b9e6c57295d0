package link

import (
	"errors"
	"syscall"
	"time"
)

const (
	// firstRetry and lastRetry bound the time between two tries. Each is any time up to twice the
	// bound before ("full jitter": M. Brooker, Exponential Backoff and Jitter, AWS Architecture
	// Blog, 2015), so that a server that is back is not overrun.
	firstRetry, lastRetry = time.Second, 30 * time.Second
	// graceTries is into how many parts the server's Grace is divided by the longest time between
	// two tries while it lasts, and refusedTries the same for tries that are refused.
	graceTries, refusedTries = 6, 3
)

// comeback is what a client goes by when it chooses the time to its next try.
type comeback struct {
	tries   int           // that failed since the latest welcome
	told    time.Duration // when the server said to come back; 0: it did not
	grace   time.Duration // of a session that is kept by the server still; 0: none is
	refused bool          // the latest try was refused: nothing listens there
}

// wait is the time to the next try. random is any time up to what it is given.
//
// Whose session is kept tries more often, so as not to lose it. A try that is refused says that
// nobody else gets in there either: all clients of that server wait for it to start, and their
// tries fall on it together when it has. With a bound of b, n clients are n·2/b tries a second. So
// the bound is twice as long there: less would be a burden, and more a slow return.
func (b comeback) wait(random func(time.Duration) time.Duration) time.Duration {
	if b.told > 0 {
		return b.told
	}
	most := min(firstRetry<<min(b.tries, 10), lastRetry)
	if b.grace > 0 {
		parts := time.Duration(graceTries)
		if b.refused {
			parts = refusedTries
		}
		most = min(most, max(b.grace/parts, firstRetry))
	}
	return random(most)
}

// refusedBy tells whether a try to connect ended since nothing listens there.
func refusedBy(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// spread is within what time the clients of a server that closes are told to come back: while their
// sessions might last, but neither all at once nor later than they would by themselves.
func spread(grace time.Duration) time.Duration { return min(max(grace, firstRetry), lastRetry) }
