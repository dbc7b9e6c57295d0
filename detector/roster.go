package detector

import (
	"math/bits"
	"sync/atomic"
	"unsafe"
)

// roster holds a shard's peers and finds them by their id.
//
// Peers lie in chunks, one after another, and are named by their number, which is half a pointer. An index of one word a
// slot finds the number: open addressing with linear probing, each word the upper half of the id's hash and the
// number plus one, 0 if free. The word's place follows from its hash half, so that growing and deleting need no id.
//
// A heartbeat of one peer among a million finds nothing in the processor's caches, and its cost is the number of loads
// from memory that have to wait for each other. Here they are two: the word, and the peer, all of whose lines are asked
// for at once. In a map of pointers they are control bytes, slot, peer, and the bytes of the id. What is large is in few
// large pieces, because it also counts whether a page is in the TLB (see adviseHugePages).
//
// Who holds the shard's lock may change a roster, and finds a peer if it is there. All others may guess at any time: they
// may be given another peer, and miss one that is there, since words move when others are deleted or the index grows. So
// a guess has to be verified under the peer's lock, and to be repeated under the shard's if it was wrong.
type roster[K comparable] struct {
	table atomic.Pointer[table[K]] // nil: nobody is there, nor ever was
	count int                      // peers
	used  number                   // numbers that were ever given to one
	free  []number                 // of peers forgotten
}

// table is where the peers are. It is replaced when the index or the number of chunks grows, by one that shares what has
// not changed. Words come and go in place.
type table[K comparable] struct {
	index  []atomic.Uint64 // their number is a power of two
	shift  uint8           // 64 − log2 of it: the hash's first bits are the place
	chunks [][]peer[K]
}

// number names a peer of a shard.
type number uint32

// Chunks never move, since a heartbeat may have got hold of a peer without the shard's lock. So there are sixteen of each
// size, up to the last, and a sixteenth of the places is free at most, but for the first few.
const (
	firstChunk = 4  // log2 of the peers in a chunk of the smallest size
	lastChunk  = 13 // and of the largest
)

// locate returns where the peer with this number is: which follows from its five highest bits.
func locate(n number) (chunk, place int, size uint8) {
	size = uint8(max(firstChunk, min(lastChunk, bits.Len32(uint32(n))-5)))
	return int(n>>size) + 16*int(size-firstChunk), int(n & (1<<size - 1)), size
}

func (t *table[K]) at(n number) *peer[K] {
	chunk, place, _ := locate(n)
	return &t.chunks[chunk][place]
}

// prefetch asks for the word that a guess begins with.
func (r *roster[K]) prefetch(hash uint64) {
	if t := r.table.Load(); t != nil {
		prefetch(unsafe.Pointer(&t.index[hash>>t.shift]), 8)
	}
}

// guess returns what may be the peer with this hash, or nil.
func (r *roster[K]) guess(hash uint64) *peer[K] {
	t := r.table.Load()
	if t == nil {
		return nil
	}
	i := int(hash >> t.shift)
	for range t.index {
		word := t.index[i&(len(t.index)-1)].Load()
		if word == 0 {
			return nil
		}
		i++
		if word>>32 != hash>>32 {
			continue
		}
		chunk, place, _ := locate(number(uint32(word) - 1))
		if chunk >= len(t.chunks) {
			return nil // it came after the table was replaced
		}
		return &t.chunks[chunk][place]
	}
	return nil
}

// find returns the peer with this id and the hash of it, or nil.
func (r *roster[K]) find(hash uint64, id K) *peer[K] {
	if t := r.table.Load(); t != nil {
		if i, ok := t.place(hash, id); ok {
			return t.at(number(uint32(t.index[i].Load()) - 1))
		}
	}
	return nil
}

// at returns the peer with this number.
func (r *roster[K]) at(n number) *peer[K] { return r.table.Load().at(n) }

// nth returns the place for the peer with this number, or nil where there are no numbers so
// high. Anybody may call it at any time: the place may be free, or become so, and who wants to
// know takes the peer's lock.
func (r *roster[K]) nth(n number) *peer[K] {
	t := r.table.Load()
	if t == nil {
		return nil
	}
	chunk, place, _ := locate(n)
	if chunk >= len(t.chunks) {
		return nil
	}
	return &t.chunks[chunk][place]
}

// place returns where in the index the peer is.
func (t *table[K]) place(hash uint64, id K) (i int, ok bool) {
	for i = int(hash >> t.shift); ; i = (i + 1) & (len(t.index) - 1) {
		word := t.index[i].Load()
		if word == 0 {
			return 0, false
		}
		if word>>32 == hash>>32 && t.at(number(uint32(word)-1)).is(id) {
			return i, true
		}
	}
}

// add makes a place for a peer with this hash, which is not there yet, and returns it, for the caller to fill in.
func (r *roster[K]) add(hash uint64) *peer[K] {
	t := r.table.Load()
	if t == nil {
		t = &table[K]{index: make([]atomic.Uint64, 4), shift: 62}
	}
	if 4*(r.count+1) > 3*len(t.index) {
		t = t.grow()
	}
	r.count++
	var n number
	if last := len(r.free) - 1; last >= 0 {
		n, r.free = r.free[last], r.free[:last]
	} else {
		n = r.used
		r.used++
		t = t.reach(n)
	}
	r.table.Store(t)
	t.insert(hash&^(1<<32-1) | uint64(n+1))
	return t.at(n)
}

// reach returns a table with a place for the next number.
func (t *table[K]) reach(n number) *table[K] {
	chunk, place, size := locate(n)
	if chunk == len(t.chunks) {
		peers := make([]peer[K], 1<<size)
		adviseHugePages(peers)
		t = &table[K]{t.index, t.shift, append(t.chunks, peers)}
	}
	p := &t.chunks[chunk][place]
	p.number, p.look = n, never
	return t
}

// remove lets go of the peer with this id, if it is there. Its number keeps its look.
func (r *roster[K]) remove(hash uint64, id K) {
	t := r.table.Load()
	if t == nil {
		return
	}
	i, ok := t.place(hash, id)
	if !ok {
		return
	}
	n := number(uint32(t.index[i].Load()) - 1)
	t.at(n).clear()
	r.free = append(r.free, n)
	r.count--
	// Close the gap: a word moves up unless it is between its home and the gap's other side.
	mask := len(t.index) - 1
	for j := (i + 1) & mask; ; j = (j + 1) & mask {
		word := t.index[j].Load()
		if word == 0 {
			break
		}
		home := int(word >> t.shift)
		if (j-home)&mask >= (j-i)&mask {
			t.index[i].Store(word)
			i = j
		}
	}
	t.index[i].Store(0)
}

func (t *table[K]) insert(word uint64) {
	i := int(word >> t.shift)
	for t.index[i].Load() != 0 {
		i = (i + 1) & (len(t.index) - 1)
	}
	t.index[i].Store(word)
}

// grow returns a table with an index of twice the size.
func (t *table[K]) grow() *table[K] {
	grown := &table[K]{make([]atomic.Uint64, 2*len(t.index)), t.shift - 1, t.chunks}
	adviseHugePages(grown.index)
	for i := range t.index {
		if word := t.index[i].Load(); word != 0 {
			grown.insert(word)
		}
	}
	return grown
}

// all calls f for each peer, in the order in which they lie in memory.
func (r *roster[K]) all(f func(p *peer[K])) {
	for n := range r.used {
		if p := r.at(n); p.watched() {
			f(p)
		}
	}
}

// clear lets go of all.
func (r *roster[K]) clear() {
	r.table.Store(nil)
	r.count, r.used, r.free = 0, 0, nil
}
