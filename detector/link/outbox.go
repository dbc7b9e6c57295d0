package link

import (
	"encoding/binary"
	"errors"
	"sync"
)

// ErrBehind is what Send returns where more waits for an acknowledgement than Config.MaxWaiting. Nothing was sent.
var ErrBehind = errors.New("link: the other end is too far behind")

// outbox holds the messages of one direction of a session that are not acknowledged, numbered from 1 on, so that a connection that
// takes the place of another one loses none.
type outbox struct {
	mu     sync.Mutex
	acked  uint64   // the latest one that is acknowledged
	events [][]byte // those after it
	bytes  int
}

// last is the number of the latest message, and acked that of the latest one that is acknowledged.
func (o *outbox) last() (last, acked uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.acked + uint64(len(o.events)), o.acked
}

// add takes a message, which is the outbox's from then on. One fits in whatever its length.
func (o *outbox) add(data []byte, most int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.events) > 0 && o.bytes+len(data) > most {
		return ErrBehind
	}
	o.events = append(o.events, data)
	o.bytes += len(data)
	return nil
}

// ack forgets the messages up to number n. It reports false for a number that was never given.
func (o *outbox) ack(n uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n > o.acked+uint64(len(o.events)) {
		return false
	}
	if n <= o.acked {
		return true
	}
	done := int(n - o.acked)
	for i, e := range o.events[:done] {
		o.bytes -= len(e)
		o.events[i] = nil
	}
	o.events = o.events[done:]
	if len(o.events) == 0 {
		o.events = nil
	}
	o.acked = n
	return true
}

// get returns the first message from number n on that is not acknowledged, with its number; nil: there is none.
func (o *outbox) get(n uint64) (seq uint64, data []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n = max(n, o.acked+1)
	if i := n - o.acked - 1; i < uint64(len(o.events)) {
		return n, o.events[i]
	}
	return 0, nil
}

// clear forgets all messages.
func (o *outbox) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events, o.bytes = nil, 0
}

// rebase goes on counting after number n, for an end that remembers more than this one, or, with 0, for a session that begins anew.
func (o *outbox) rebase(n uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.acked = n
}

// appendData appends what a Data frame carries: the number of the message, and the message.
func appendData(dst []byte, seq uint64, data []byte) []byte {
	return append(binary.AppendUvarint(dst, seq), data...)
}

// splitData is the reverse of appendData.
func splitData(p []byte) (seq uint64, data []byte, ok bool) {
	seq, n := binary.Uvarint(p)
	if n <= 0 || seq == 0 {
		return 0, nil, false
	}
	return seq, p[n:], true
}

// DataHeader is how much longer a Data frame is than its message, at most: an adapter whose messages are bounded adds it to
// Config.MaxMessage.
const DataHeader = binary.MaxVarintLen64
