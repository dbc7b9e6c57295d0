package detector

import (
	"sync"
	"sync/atomic"
	"time"
)

// moment is how late a timer may be before that means something, and how long one must have listened before silence
// means anything. Timers on a busy machine are some milliseconds late, and reading a socket buffer full of heartbeats
// (some hundred) takes about as long.
const moment = 5 * time.Millisecond

// ear knows whether this process has been listening.
//
// A process that does not run, be it for a SIGSTOP, a paused VM, a long collection or a machine with too much to
// do, hears nobody, and on waking finds everyone silent: its timers fire at once, perhaps before it has read the
// heartbeats that wait in its sockets. Nothing tells it that it was gone. But it knows when it meant to look at
// the clock, and so how late it is.
//
// The loop therefore always has a promise out: "by due I shall look at the clock", never further away than tick, a
// quarter of the shortest interval. That is not polling, for no peer is looked at. Without it, a pause that ends just
// before a deadline that was set long ago would go unseen, and the peer be judged with its heartbeats unread. Whoever
// comes first after a pause finds the promise broken: the loop, or a heartbeat out of the queue, which pays one
// comparison for it. What follows:
//
//   - Nobody is judged until we have listened again for as long as we were away (at least a moment, at most a
//     tick): a backlog of that length has to be read first.
//   - After half a tick or more, each peer's silence is put right (peer.skip) before anything else happens to it.
//     Shorter pauses are too short for heartbeats to be dropped or for a silence to look much longer.
//
// The pause began after the last look, so its beginning is known to within a tick.
type ear struct {
	due   atomic.Int64 // instant; never: nothing is scheduled, so nothing is promised
	ready atomic.Int64 // instant; nobody is judged before

	mu       sync.Mutex // held while a pause is put right, and never taken under a shard's lock
	tick     time.Duration
	fitting  map[time.Duration]int // how many peers each tick would fit; below 0 while a Watch is overtaken by a Forget
	looked   instant               // the last look at the clock
	draining bool                  // ready was set by a pause
}

const minTick, maxTick = 2 * moment, time.Second

// tickFor returns the tick that fits a peer with this interval. There are less than 400.
func tickFor(interval time.Duration) time.Duration {
	return min(maxTick, max(minTick, (interval/4).Truncate(moment/2)))
}

// attend makes the tick fit one more peer with this interval.
func (e *ear) attend(interval time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	tick := tickFor(interval)
	e.fitting[tick]++
	e.tick = min(e.tick, tick)
}

// dismiss takes back an attend.
func (e *ear) dismiss(interval time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	tick := tickFor(interval)
	e.fitting[tick]--
	if tick > e.tick || e.fitting[tick] > 0 {
		return
	}
	e.tick = maxTick
	for tick, peers := range e.fitting {
		if peers > 0 {
			e.tick = min(e.tick, tick)
		}
	}
}

// overdue reports that the promise is broken at the instant now.
func (e *ear) overdue(now instant) bool { return now > instant(e.due.Load()).add(moment) }

// promise says that the loop looks again at the instant at, or a tick after now if that is earlier, and returns
// which. never takes the promise back.
func (e *ear) promise(now, at instant) instant {
	e.mu.Lock()
	defer e.mu.Unlock()
	if at != never {
		at = min(at, now.add(e.tick))
	}
	e.due.Store(int64(at))
	return at
}

// look looks at the clock, which shows now. If there was a pause that has to be put right, it calls skip with its
// possible beginning and its end, and nobody else's look returns before that is done. skip returns what the clock shows
// then: among a million peers that is some tenths of a second later, which are no second pause.
func (e *ear) look(now instant, skip func(from, to instant) (now instant)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ready := instant(e.ready.Load())
	late, gap := now.sub(instant(e.due.Load())), now.sub(e.looked)
	switch {
	case gap <= 2*moment:
		// Listening all along.
	case late <= moment:
		// In time, but the last look is long ago, and a pause that ended just now cannot be told from none. The
		// schedule looks a moment ahead of each deadline, so this delays nobody's judgement.
		if now >= ready {
			ready = now.add(moment / 2)
			e.draining = false
		}
	case e.draining && gap < e.tick:
		// Late again while waiting to be ready. A machine that is always a bit late must judge all the same.
		e.draining = now < ready
	default:
		if late >= e.tick/2 {
			// First, so that a heartbeat which read the clock before the pause is not taken for one after it.
			e.ready.Store(int64(now.add(e.tick)))
			now = skip(e.looked, now)
		}
		ready = now.add(min(max(gap, moment), e.tick))
		e.draining = true
	}
	e.ready.Store(int64(ready))
	e.looked = max(e.looked, now)
	e.due.Store(int64(now.add(e.tick)))
}
