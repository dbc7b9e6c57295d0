// Package ring decides who listens to whom, and whose turn it is to get the next heartbeat.
// It knows members by their names alone.
package ring

import (
	"cmp"
	"hash/fnv"
	"slices"
)

// Rings give each member its observers: its successor and its predecessor on each of k/2
// rings, where a ring is the members in the order of a hash keyed by the ring's number.
// With up to k others everybody listens to everybody.
//
// Successor and predecessor make the relation symmetric: nodes that hold the same view
// agree about both sides of it without a word. The union of a few random cycles is an
// expander with high probability (Friedman, "A proof of Alon's second eigenvalue
// conjecture", 2008), so that a verdict passed from neighbour to neighbour reaches all in
// O(log N) steps.
//
// A member that dies keeps its seat for a while, so that others listen to whom they
// listened to before, and whoever has a seat is counted among the living or not.
//
// The rings are kept in order, as members come and go one by one while neighbours are
// looked up all the time: either is a binary search on each ring, where to hash a thousand
// members for each question takes a good part of a millisecond.
type Rings struct {
	order  [][]place // by ring
	living int
}

// seat is what the places of one member share.
type seat struct {
	name  string
	lives bool
}

// place is a member's place on one ring.
type place struct {
	hash uint64
	of   *seat
}

// New returns rings that give a member up to k observers; k is even.
func New(k int) *Rings { return &Rings{order: make([][]place, k/2)} }

// Seat gives a member its place on each ring, among the living or not.
func (r *Rings) Seat(name string, lives bool) {
	s := r.seat(name)
	if s == nil {
		s = &seat{name: name}
		for ring, places := range r.order {
			i, _ := find(places, ring, name)
			r.order[ring] = slices.Insert(places, i, place{Hash(ring, name), s})
		}
	}
	r.count(s, lives)
}

// Unseat takes it away.
func (r *Rings) Unseat(name string) {
	s := r.seat(name)
	if s == nil {
		return
	}
	r.count(s, false)
	for ring, places := range r.order {
		i, _ := find(places, ring, name)
		r.order[ring] = slices.Delete(places, i, i+1)
	}
}

func (r *Rings) count(s *seat, lives bool) {
	switch {
	case lives && !s.lives:
		r.living++
	case s.lives && !lives:
		r.living--
	}
	s.lives = lives
}

func (r *Rings) seat(name string) *seat {
	if i, found := find(r.order[0], 0, name); found {
		return r.order[0][i].of
	}
	return nil
}

// Seated tells whether a member has a seat.
func (r *Rings) Seated(name string) bool { return r.seat(name) != nil }

// Lives tells whether it has one among the living.
func (r *Rings) Lives(name string) bool {
	s := r.seat(name)
	return s != nil && s.lives
}

// Len is the number of seats, and Living of those of the living.
func (r *Rings) Len() int    { return len(r.order[0]) }
func (r *Rings) Living() int { return r.living }

// Observers are those who listen to the member of that name, whether it has a seat or not;
// Successors those who would if the dead had none. They are sorted by name and no more than
// k; fewer where two rings agree.
func (r *Rings) Observers(name string) []string {
	return r.observers(name, func(*seat) bool { return true })
}

// Successors are who would listen to a member if only the living had a seat.
func (r *Rings) Successors(name string) []string {
	return r.observers(name, func(s *seat) bool { return s.lives })
}

// Without is who would listen to a member if those of the living had a seat of whom absent
// is false.
func (r *Rings) Without(absent func(name string) bool, name string) []string {
	return r.observers(name, func(s *seat) bool { return s.lives && !absent(s.name) })
}

func (r *Rings) observers(name string, counts func(*seat) bool) []string {
	k := 2 * len(r.order)
	chosen := make([]string, 0, k+1)
	for _, p := range r.order[0] {
		if p.of.name != name && counts(p.of) {
			chosen = append(chosen, p.of.name)
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
			chosen = append(chosen, places[next%len(places)].of.name, places[prev%len(places)].of.name)
		}
	}
	slices.Sort(chosen)
	return slices.Compact(chosen)
}

// find returns where on a ring the member of that name is or would be. The name decides
// between equal hashes.
func find(places []place, ring int, name string) (i int, found bool) {
	hash := Hash(ring, name)
	return slices.BinarySearchFunc(places, name, func(p place, name string) int {
		if p.hash != hash { // the name is far away in memory
			return cmp.Compare(p.hash, hash)
		}
		return cmp.Compare(p.of.name, name)
	})
}

// Own is the ring on which a node orders others for itself, by its own name and theirs, so that not
// all nodes have the same order.
const Own = -1

// Hash is the same in every process and release: members must agree on it. FNV-1a alone
// leaves names that differ in their last byte close together on every ring, hence the
// finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
func Hash(ring int, name string) uint64 {
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

// Clone returns a copy that has nothing in common with r.
func (r *Rings) Clone() *Rings {
	c := New(2 * len(r.order))
	c.living = r.living
	seats := map[string]*seat{}
	for _, p := range r.order[0] {
		copied := *p.of
		seats[copied.name] = &copied
	}
	for ring, places := range r.order {
		for _, p := range places {
			c.order[ring] = append(c.order[ring], place{p.hash, seats[p.of.name]})
		}
	}
	return c
}
