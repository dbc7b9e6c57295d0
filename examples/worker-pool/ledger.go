package main

import (
	"cmp"
	"errors"
	"fmt"
	"sync"

	"github.com/pulsering/pulsering/cluster"
)

// token is the fencing token of a job: which life of which worker it was given to. A worker that was called down, and was
// only slow, learns it (cluster.Accused) and goes on under a higher epoch; one that restarts has a higher boot. So
// what a worker began before it was called down never passes for what it does after.
type token struct {
	Worker string `json:"worker"`
	Boot   uint64 `json:"boot,string"`
	Epoch  uint64 `json:"epoch"`
}

func tokenOf(m cluster.Member) token { return token{m.Name, m.Boot, m.Epoch} }

// before tells whether the token is of an earlier life of the same worker.
func (t token) before(other token) bool {
	return t.Worker == other.Worker && cmp.Or(cmp.Compare(t.Boot, other.Boot), cmp.Compare(t.Epoch, other.Epoch)) < 0
}

func (t token) String() string {
	return fmt.Sprintf("%s (boot %d, epoch %d)", t.Worker, t.Boot, t.Epoch)
}

// ledger is where results are stored: here in the memory of the process that hands out jobs, in a real system a database.
// Whatever workers believe, it takes each result once, from the one that the job was given to last.
type ledger struct {
	mu   sync.Mutex
	held map[string]token // who may store the result, by job
	done map[string]token // who did
}

// errStale is that a result comes from somebody whom the job was taken from.
var errStale = errors.New("the job is another's")

// assign gives a job to a worker, and takes it from whoever had it. It reports false where the job is done.
func (l *ledger) assign(job string, to token) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held, l.done = make(map[string]token), make(map[string]token)
	}
	if _, done := l.done[job]; done {
		return false
	}
	l.held[job] = to
	return true
}

// store takes the result of a job: the one step that others see, hence the one where the token is checked.
func (l *ledger) store(job string, by token) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if holder, held := l.held[job]; !held || holder != by {
		return fmt.Errorf("%s of %v: %w", job, by, errStale)
	}
	delete(l.held, job)
	l.done[job] = by
	return nil
}
