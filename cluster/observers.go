package cluster

import (
	"hash/fnv"
	"slices"
)

// observers returns who listens to self among members: its successor and its predecessor on each of k/2 rings, where a
// ring is the members in the order of a hash keyed by the ring's number. With up to k others everybody listens to
// everybody.
//
// Successor and predecessor make the relation symmetric: members that hold the same view agree about both sides of it
// without a word. The union of a few random cycles is an expander with high probability (Friedman, "A proof of Alon's
// second eigenvalue conjecture", 2008), so that a verdict passed from neighbour to neighbour reaches all in O(log N) steps.
//
// members may hold self. The result is sorted and has no more than k names; fewer where two rings agree.
func observers(self string, members []string, k int) []string {
	others := slices.DeleteFunc(slices.Clone(members), func(m string) bool { return m == self })
	slices.Sort(others)
	others = slices.Compact(others)
	if len(others) <= k {
		return others
	}
	var chosen []string
	for ring := range k / 2 {
		at := ringPoint(ring, self)
		var next, prev, first, last point
		for _, m := range others {
			p := ringPoint(ring, m)
			if first.name == "" || p.before(first) {
				first = p
			}
			if last.name == "" || last.before(p) {
				last = p
			}
			if at.before(p) && (next.name == "" || p.before(next)) {
				next = p
			}
			if p.before(at) && (prev.name == "" || prev.before(p)) {
				prev = p
			}
		}
		if next.name == "" { // self is the last one: the ring closes
			next = first
		}
		if prev.name == "" {
			prev = last
		}
		chosen = append(chosen, next.name, prev.name)
	}
	slices.Sort(chosen)
	return slices.Compact(chosen)
}

// point is a member's place on one ring.
type point struct {
	hash uint64
	name string // never empty; it decides between equal hashes
}

func (p point) before(q point) bool {
	if p.hash != q.hash {
		return p.hash < q.hash
	}
	return p.name < q.name
}

// ringPoint is the same in every process and release: members must agree on it. FNV-1a alone leaves names that differ in
// their last byte close together on every ring, hence the finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
func ringPoint(ring int, name string) point {
	h := fnv.New64a()
	h.Write([]byte{byte(ring)})
	h.Write([]byte(name))
	x := h.Sum64()
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	x ^= x >> 31
	return point{x, name}
}
