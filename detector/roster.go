package detector

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
type roster[K comparable] struct {
	index  []uint64 // length 0 or a power of two
	shift  uint8    // 64 − log2 of it: the hash's first bits are the place
	count  int
	chunks [][]peer[K]
	free   []number // of peers forgotten
}

// number names a peer of a shard.
type number uint32

const chunk = 1 << 14 // peers

func (r *roster[K]) at(n number) *peer[K] { return &r.chunks[n/chunk][n%chunk] }

// find returns the peer with this id and the hash of it, or nil.
func (r *roster[K]) find(hash uint64, id K) *peer[K] {
	if i, ok := r.place(hash, id); ok {
		return r.at(number(uint32(r.index[i]) - 1))
	}
	return nil
}

// place returns where in the index the peer is.
func (r *roster[K]) place(hash uint64, id K) (i int, ok bool) {
	if r.count == 0 {
		return 0, false
	}
	for i = int(hash >> r.shift); ; i = (i + 1) & (len(r.index) - 1) {
		word := r.index[i]
		if word == 0 {
			return 0, false
		}
		if word>>32 == hash>>32 && r.at(number(uint32(word)-1)).is(id) {
			return i, true
		}
	}
}

// add takes p in, which is not there yet, and returns it where it lies. Other pointers to peers are void afterwards.
func (r *roster[K]) add(hash uint64, p peer[K]) *peer[K] {
	if 4*(r.count+1) > 3*len(r.index) {
		r.grow()
	}
	r.count++
	n := r.take()
	r.insert(hash&^(1<<32-1) | uint64(n+1))
	q := r.at(n)
	p.number, p.look, p.short = n, q.look, shorten(p.id)
	*q = p
	return q
}

// take returns a free number.
func (r *roster[K]) take() number {
	if last := len(r.free) - 1; last >= 0 {
		n := r.free[last]
		r.free = r.free[:last]
		return n
	}
	last := len(r.chunks) - 1
	if last < 0 || len(r.chunks[last]) == chunk {
		r.chunks = append(r.chunks, nil)
		last++
	}
	c := r.chunks[last]
	if len(c) == cap(c) {
		grown := make([]peer[K], len(c), min(chunk, cap(c)+max(4, cap(c)/8)))
		adviseHugePages(grown)
		copy(grown, c)
		c = grown
	}
	r.chunks[last] = append(c, peer[K]{look: never})
	return number(last*chunk + len(c))
}

// remove lets go of the peer with this id, if it is there. Its number keeps its look.
func (r *roster[K]) remove(hash uint64, id K) {
	i, ok := r.place(hash, id)
	if !ok {
		return
	}
	n := number(uint32(r.index[i]) - 1)
	p := r.at(n)
	*p = peer[K]{look: p.look}
	r.free = append(r.free, n)
	r.count--
	// Close the gap: a word moves up unless it is between its home and the gap's other side.
	mask := len(r.index) - 1
	for j := (i + 1) & mask; r.index[j] != 0; j = (j + 1) & mask {
		home := int(r.index[j] >> r.shift)
		if (j-home)&mask >= (j-i)&mask {
			r.index[i] = r.index[j]
			i = j
		}
	}
	r.index[i] = 0
}

func (r *roster[K]) insert(word uint64) {
	i := int(word >> r.shift)
	for r.index[i] != 0 {
		i = (i + 1) & (len(r.index) - 1)
	}
	r.index[i] = word
}

func (r *roster[K]) grow() {
	old := r.index
	if len(old) == 0 {
		r.index, r.shift = make([]uint64, 4), 62
	} else {
		r.index, r.shift = make([]uint64, 2*len(old)), r.shift-1
		adviseHugePages(r.index)
	}
	for _, word := range old {
		if word != 0 {
			r.insert(word)
		}
	}
}

// all calls f for each peer.
func (r *roster[K]) all(f func(p *peer[K])) {
	for _, word := range r.index {
		if word != 0 {
			f(r.at(number(uint32(word) - 1)))
		}
	}
}
