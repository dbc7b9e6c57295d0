package main

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/pulsering/pulsering/cluster"
)

// pool hands jobs to the members that are up, one at a time each, and takes them back from those that go down.
//
// A worker that is called down may only be slow, and finish its job after another has got it, too. So a job may be worked at
// twice, but its result is stored once: each is given out with a token, and the ledger refuses those that are no longer valid.
type pool struct {
	do       func(ctx context.Context, worker cluster.Member, job string) error // returns soon after ctx ends
	isWorker func(cluster.Member) bool
	latest   func(name string) (cluster.Member, bool) // such as Node.Member; nil: events alone tell of members
	logf     func(format string, args ...any)
	ledger   ledger
}

// worker is one boot of a member. A restart is another worker.
type worker struct {
	member cluster.Member
	up     bool // and not even suspect: it gets new jobs
	busy   bool
	alive  context.Context // ends when the worker is down or has left; never replaced
	end    context.CancelFunc
}

type result struct {
	worker *worker
	job    string
	err    error
}

// A worker that failed rests for this long, so that a broken one does not eat all jobs in turn.
const rest = time.Second

// errEnded is that nobody can do the jobs that are left.
var errEnded = errors.New("the node has ended, and its events with it")

// run does all jobs and returns, or returns ctx's error, or errEnded once there are no more events. It alone owns the workers.
func (p *pool) run(ctx context.Context, events iter.Seq[cluster.Event], jobs []string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	news := make(chan cluster.Event)
	go func() {
		defer close(news)
		for e := range events {
			select {
			case news <- e:
			case <-ctx.Done():
				return
			}
		}
	}()

	results := make(chan result)
	workers := make(map[string]*worker) // by name
	waiting := slices.Clone(jobs)
	for left := len(jobs); left > 0; {
		for _, w := range workers {
			if w.up && !w.busy && len(waiting) > 0 {
				job := waiting[0]
				waiting = waiting[1:]
				w.busy = true
				if p.latest != nil { // a new epoch is no event where nobody here had called the worker down
					if m, ok := p.latest(w.member.Name); ok && m.Boot == w.member.Boot {
						w.member = m
					}
				}
				go p.hand(ctx, w, w.member, job, results)
			}
		}
		select {
		case e, more := <-news:
			if !more {
				return cmp.Or(ctx.Err(), errEnded)
			}
			p.learn(ctx, workers, e)
		case r := <-results:
			r.worker.busy = false
			if r.err == nil {
				left--
			} else {
				p.logf("took %q back from %s: %v", r.job, r.worker.member.Name, r.err)
				waiting = append([]string{r.job}, waiting...)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// learn changes the workers as the event says.
func (p *pool) learn(ctx context.Context, workers map[string]*worker, e cluster.Event) {
	w := workers[e.Member.Name]
	switch e.Kind {
	case cluster.Up:
		if w == nil && p.isWorker(e.Member) {
			w = new(worker)
			w.alive, w.end = context.WithCancel(ctx)
			workers[e.Member.Name] = w
		}
		if w != nil {
			w.member, w.up = e.Member, true
		}
	case cluster.Updated:
		if w != nil {
			w.member = e.Member
		}
	case cluster.Suspect:
		if w != nil {
			w.up = false // it keeps its job, but gets no other
		}
	case cluster.Down, cluster.Left:
		if w != nil {
			w.end() // its job comes back as a failed one
			delete(workers, e.Member.Name)
		}
	}
}

// hand gives a job to a worker and reports how that went.
func (p *pool) hand(ctx context.Context, w *worker, member cluster.Member, job string, results chan<- result) {
	var err error
	if p.ledger.assign(job, tokenOf(member)) { // or else whoever it was taken from has done it
		err = p.do(w.alive, member, job)
	}
	if err != nil { // if the worker is gone, there is no need to wait
		select {
		case <-time.After(rest):
		case <-w.alive.Done():
		}
	}
	select {
	case results <- result{w, job, err}:
	case <-ctx.Done():
	}
}
