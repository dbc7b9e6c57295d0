package cluster

import (
	"cmp"
	"hash/fnv"
	"slices"
)

// rings decide who listens to whom: to each member its successor and its predecessor on each of k/2 rings, where a ring is
// the members in the order of a hash keyed by the ring's number. With up to k others everybody listens to everybody.
//
// Successor and predecessor make the relation symmetric: nodes that hold the same view agree about both sides of it without
// a word. The union of a few random cycles is an expander with high probability (Friedman, "A proof of Alon's second
// eigenvalue conjecture", 2008), so that a verdict passed from neighbour to neighbour reaches all in O(log N) steps.
//
// The rings are kept in order, as members come and go one by one while neighbours are looked up all the time: either is a
// binary search on each ring, where to hash a thousand members for each question takes a good part of a millisecond.
type rings struct {
	order [][]place // by ring
}

// place is a member's place on one ring.
type place struct {
	hash uint64
	of   *record
}

func newRings(k int) *rings { return &rings{make([][]place, k/2)} }

// set gives the member of that name its place on each ring; nil takes it away.
func (r *rings) set(name string, m *record) {
	for ring, places := range r.order {
		i, found := find(places, ring, name)
		switch {
		case found && m != nil:
			places[i].of = m
		case found:
			r.order[ring] = slices.Delete(places, i, i+1)
		case m != nil:
			r.order[ring] = slices.Insert(places, i, place{ringHash(ring, name), m})
		}
	}
}

// len is the number of members that have a place.
func (r *rings) len() int { return len(r.order[0]) }

// observers returns who listens to the member of that name, whether it has a place or not, if only those for whom counts is
// true have one. The result is sorted by name and has no more than k members; fewer where two rings agree.
func (r *rings) observers(name string, counts func(*record) bool) []*record {
	k := 2 * len(r.order)
	chosen := make([]*record, 0, k+1)
	for _, p := range r.order[0] {
		if p.of.Name != name && counts(p.of) {
			chosen = append(chosen, p.of)
		}
		if len(chosen) > k {
			break
		}
	}
	if len(chosen) > k { // not all of them, then
		chosen = chosen[:0]
		for ring, places := range r.order {
			i, found := find(places, ring, name)
			next, prev := i, i+len(places)-1
			if found {
				next++
			}
			for !counts(places[next%len(places)].of) {
				next++
			}
			for !counts(places[prev%len(places)].of) {
				prev--
			}
			chosen = append(chosen, places[next%len(places)].of, places[prev%len(places)].of)
		}
	}
	slices.SortFunc(chosen, func(a, b *record) int { return cmp.Compare(a.Name, b.Name) })
	return slices.Compact(chosen)
}

// find returns where on a ring the member of that name is or would be. The name decides between equal hashes.
func find(places []place, ring int, name string) (i int, found bool) {
	hash := ringHash(ring, name)
	return slices.BinarySearchFunc(places, name, func(p place, name string) int {
		if p.hash != hash { // the name is far away in memory
			return cmp.Compare(p.hash, hash)
		}
		return cmp.Compare(p.of.Name, name)
	})
}

// ringHash is the same in every process and release: members must agree on it. FNV-1a alone leaves names that differ in
// their last byte close together on every ring, hence the finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
func ringHash(ring int, name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte{byte(ring)})
	h.Write([]byte(name))
	x := h.Sum64()
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	x ^= x >> 31
	return x
}
