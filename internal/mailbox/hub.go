package mailbox

import (
	"context"
	"sync"
)

// A Hub hands every event to all subscribers, each of which has a [Mailbox] of its own. Its methods may be called
// from any goroutine and never wait for a reader. It takes no lock of its owner's, so an owner may publish under its
// own lock, which is how events about one key keep their order.
type Hub[K comparable, E any] struct {
	fold Fold[E]

	mu     sync.Mutex
	boxes  map[*Mailbox[K, E]]struct{}
	closed bool
}

// NewHub returns a hub whose mailboxes fold with fold.
func NewHub[K comparable, E any](fold Fold[E]) *Hub[K, E] {
	return &Hub[K, E]{fold: fold, boxes: make(map[*Mailbox[K, E]]struct{})}
}

// Subscribe returns a mailbox that receives what is published from now on, until ctx ends or its reader does. On a
// closed hub the mailbox is closed already.
//
// An owner whose readers begin with a snapshot subscribes and puts the snapshot into the mailbox while it keeps
// others from publishing, by the lock or the goroutine that it publishes under.
func (h *Hub[K, E]) Subscribe(ctx context.Context) *Mailbox[K, E] {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := newMailbox(ctx, h.fold, h.remove)
	if h.closed {
		m.Close()
		return m
	}
	h.boxes[m] = struct{}{}
	return m
}

// Publish puts e into every subscriber's mailbox. After Close it does nothing.
func (h *Hub[K, E]) Publish(key K, e E) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for m := range h.boxes {
		m.Put(key, e)
	}
}

// Close closes every mailbox: readers read what is pending and end. It does not wait for them. A second Close is
// harmless.
func (h *Hub[K, E]) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for m := range h.boxes {
		m.Close()
	}
	clear(h.boxes)
}

// remove forgets a mailbox that has finished. Removing one that Close has dropped already is harmless.
func (h *Hub[K, E]) remove(m *Mailbox[K, E]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.boxes, m)
}
