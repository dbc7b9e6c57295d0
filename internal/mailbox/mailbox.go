// Package mailbox is the queue between one writer that must never wait and readers that may be slow.
//
// Think of the pigeonholes behind a hotel desk, one a room. The clerk never waits for a guest: a new slip goes
// into the room's pigeonhole, and where an older slip is still there the two are made into one. A guest who was
// out all day finds what matters now, not every slip of the day, and the wall of pigeonholes never grows.
//
// A [Mailbox] belongs to one reader, its events are keyed, and the owner's [Fold] decides what a key keeps while
// nobody reads. A [Hub] hands every published event to all mailboxes. The contract:
//
//   - Put and Publish never block on a reader. They cost one fold a reader.
//   - Events of one key come out in the order they were put, folded. Across keys, the key whose change has
//     waited longest comes first.
//   - Memory is bounded by keys × what Fold keeps, for each reader.
//   - A reader ends with its context (pending events are dropped), with break (for good), or after Close, once
//     it has read what was pending. A mailbox that nobody ever reads is gone when its context ends.
package mailbox

import (
	"context"
	"iter"
	"sync"
)

// Fold adds next to the events of one key that wait to be read, oldest first, and returns what shall wait from
// now on. It owns pending and may change it in place; an empty result leaves the key with nothing to read. It runs under
// the mailbox's lock: it must not call the mailbox or hub, and its results should be bounded in length, because they
// bound the memory of a reader that has fallen behind.
type Fold[E any] func(pending []E, next E) []E

// A Mailbox holds what one reader has not read yet. Its methods may be called from any goroutine; only one at a
// time may range over [Mailbox.All].
type Mailbox[K comparable, E any] struct {
	fold     Fold[E]
	ctx      context.Context
	onFinish func(*Mailbox[K, E]) // nil: nobody to tell
	release  func() bool          // gives up the hold on ctx

	wake chan struct{} // one slot: something changed since the reader looked
	done chan struct{} // closed with finished

	mu       sync.Mutex
	pending  map[K][]E
	order    []K  // keys of pending, by their first waiting event
	closed   bool // takes no more, what is pending may still be read
	finished bool // nothing will be read any more
}

// New returns an open mailbox that lives at most as long as ctx.
func New[K comparable, E any](ctx context.Context, fold Fold[E]) *Mailbox[K, E] {
	return newMailbox[K](ctx, fold, nil)
}

func newMailbox[K comparable, E any](ctx context.Context, fold Fold[E], onFinish func(*Mailbox[K, E])) *Mailbox[K, E] {
	m := &Mailbox[K, E]{
		fold:     fold,
		ctx:      ctx,
		onFinish: onFinish,
		wake:     make(chan struct{}, 1),
		done:     make(chan struct{}),
		pending:  make(map[K][]E),
	}
	// The lock makes release visible to finish, which may run before AfterFunc returns.
	m.mu.Lock()
	defer m.mu.Unlock()
	m.release = context.AfterFunc(ctx, m.finish)
	return m
}

// Put leaves e for the reader and never waits for it. It reports false, and keeps nothing, once the mailbox is
// closed or its reader has ended.
func (m *Mailbox[K, E]) Put(key K, e E) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.finished {
		return false
	}
	waiting, queued := m.pending[key]
	m.pending[key] = m.fold(waiting, e)
	if !queued {
		m.order = append(m.order, key)
	}
	m.notify()
	return true
}

// Close ends the mailbox for its writer: the reader reads what is pending and ends. A second Close is harmless.
func (m *Mailbox[K, E]) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.notify()
}

// Done is closed when nothing will be read any more: the reader has ended, or the context has.
func (m *Mailbox[K, E]) Done() <-chan struct{} { return m.done }

// All returns the events as they come, and waits where there are none. Ranging ends with the context, with break,
// which is for good, or after Close once everything pending was read. Ranging again then ends at once.
func (m *Mailbox[K, E]) All() iter.Seq[E] {
	return func(yield func(E) bool) {
		defer m.finish()
		for {
			events, end := m.take()
			for _, e := range events {
				if m.ctx.Err() != nil || !yield(e) {
					return
				}
			}
			if end {
				return
			}
			if len(events) > 0 {
				continue
			}
			select {
			case <-m.wake:
			case <-m.done:
			}
		}
	}
}

// take removes the events of the key that has waited longest. It takes them all, not one, so that a key that changes
// faster than it is read cannot hold the others up: what comes later queues behind them. end says that there is
// nothing left and that nothing will come.
func (m *Mailbox[K, E]) take() (events []E, end bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.order) > 0 {
		key := m.order[0]
		var zero K
		m.order[0] = zero // the array lives on for a while, the key need not
		m.order = m.order[1:]
		events = m.pending[key]
		delete(m.pending, key)
		if len(events) > 0 {
			return events, false
		}
	}
	m.order = nil
	return nil, m.closed || m.finished
}

// finish ends the mailbox for both sides.
func (m *Mailbox[K, E]) finish() {
	m.mu.Lock()
	if m.finished {
		m.mu.Unlock()
		return
	}
	m.finished = true
	m.pending, m.order = nil, nil
	close(m.done)
	release := m.release
	m.mu.Unlock()

	release()
	if m.onFinish != nil {
		m.onFinish(m)
	}
}

// notify tells the reader to look again. The slot is enough: the reader looks at everything each time.
func (m *Mailbox[K, E]) notify() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}
