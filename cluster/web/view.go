package web

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pulsering/pulsering/internal/record"
)

// viewAge is how old an answer about members may be. To read them takes the lock that the ring works under, so that is done twenty times a
// second at most, however many clients ask.
const viewAge = 50 * time.Millisecond

// view is the members as they were a moment ago, for all who ask.
type view struct {
	node    Node
	changes atomic.Uint64 // since the start: what is seen before the latest is stale

	mu     sync.Mutex
	latest *members
}

// changed makes whoever asks from now on see the members anew.
func (v *view) changed() { v.changes.Add(1) }

// members returns the members, at most viewAge old.
func (v *view) members() *members {
	v.mu.Lock()
	defer v.mu.Unlock()
	changes := v.changes.Load() // before the members are read
	if m := v.latest; m != nil && m.changes == changes && time.Since(m.at) < viewAge {
		return m
	}
	m := &members{at: time.Now(), changes: changes}
	self, isolated := v.node.Self().Name, v.node.Isolated()
	all := v.node.Members()
	m.all = make([]record.Member, len(all))
	for i, other := range all {
		itself := other.Name == self
		m.all[i] = record.Member{Member: other, Self: itself, Isolated: itself && isolated}
		if itself {
			m.self = i
		}
	}
	v.latest = m
	return m
}

// members is all of them at one moment.
type members struct {
	at      time.Time
	changes uint64
	all     []record.Member // sorted by name
	self    int             // the index of the node itself

	encode sync.Once
	json   [][]byte // each member
	body   []byte   // and all of them, as an array
}

// encoded returns each member as JSON, and all of them.
func (m *members) encoded() (each [][]byte, body []byte) {
	m.encode.Do(func() {
		m.json = make([][]byte, len(m.all))
		for i, one := range m.all {
			m.json[i], _ = one.MarshalJSON() // all of its fields have JSON
		}
		m.body = jsonArray(m.json)
	})
	return m.json, m.body
}

func jsonArray(elements [][]byte) []byte {
	size := len("[]\n") + len(elements)
	for _, e := range elements {
		size += len(e)
	}
	b := bytes.NewBuffer(make([]byte, 0, size))
	b.WriteByte('[')
	for i, e := range elements {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(e)
	}
	b.WriteString("]\n")
	return b.Bytes()
}
