package detector

import "math/bits"

// schedule says which peers of a shard have to be looked at, and when the next: a hierarchical timing wheel (Varghese and
// Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987), but one that does not tick.
//
// A slot of level l covers 64^l nanoseconds. Where a look belongs follows from the first digit, of six bits each, in which
// its time differs from the base, the time that the schedule has got to:
//
//	base  … 2 7 5 3 1
//	look  … 2 7 9 1 0    level 2, slot 9
//
// Each slot knows its earliest look. When that is due, the slot is opened: what else is due comes out with it, and the
// rest moves to lower levels. So nothing happens between looks, they are exact to the nanosecond, and the work for one is
// bounded by the number of levels, whatever the number of peers.
//
// It is lazy. A heartbeat never touches it: a look that has become early is found out when it comes. A look that is put
// off, or not needed any more, stays where it is; one that is brought forward leaves its entry behind, to be dropped when
// its time comes; and that of a forgotten peer serves whoever gets its number next. So nothing is ever searched for. Entries
// pile up only as far as a peer's looks are brought forward again and again within one deadline: one that restarts every
// few seconds, where FirstHeartbeat is a day, leaves a day's worth, 17 bytes each.
//
// Slots are chains of bundles, not lists through the peers: to open one is to read memory in order, and loads no peer.
type schedule struct {
	base   instant
	first  instant // the earliest entry in a slot, or never
	levels [11]*level
	due    *bundle // entries whose time has come
	free   *bundle
}

const (
	digit = 6 // bits
	slots = 1 << digit
)

type level struct {
	taken uint64 // which slots hold entries, a bit each
	slots [slots]slot
}

type slot struct {
	first   instant
	bundles *bundle
}

// bundle is a part of a slot's entries, in 256 bytes.
type bundle struct {
	next    *bundle
	n       int
	entries [15]entry
}

type entry struct {
	at     instant
	number number
}

func newSchedule() schedule { return schedule{first: never} }

// next returns when the next entry is due, or never.
func (s *schedule) next() instant {
	if s.due != nil {
		return s.base
	}
	return s.first
}

// add takes an entry in.
func (s *schedule) add(e entry) {
	l := max(0, bits.Len64(uint64(e.at^s.base))-1) / digit
	if s.levels[l] == nil {
		s.levels[l] = new(level)
	}
	i := uint64(e.at) >> (l * digit) % slots
	slot := &s.levels[l].slots[i]
	if s.levels[l].taken&(1<<i) == 0 {
		s.levels[l].taken |= 1 << i
		slot.first = e.at
	}
	slot.first = min(slot.first, e.at)
	s.first = min(s.first, e.at)
	s.push(&slot.bundles, e)
}

// take takes out an entry that is due at now, if there is one: in no order among several. Time does not go back from one
// call to the next.
func (s *schedule) take(now instant) (e entry, ok bool) {
	if s.next() > now {
		return entry{}, false
	}
	if s.due == nil {
		s.open(now)
	}
	return s.pop(&s.due), true
}

// open sorts the entries of each slot with one that is due into those that are and those that are not.
func (s *schedule) open(now instant) {
	var opened *bundle
	for _, l := range s.levels {
		for l != nil && l.taken != 0 {
			i := bits.TrailingZeros64(l.taken)
			if l.slots[i].first > now {
				break
			}
			l.taken &^= 1 << i
			for b := l.slots[i].bundles; b != nil; {
				next := b.next
				b.next, opened = opened, b
				b = next
			}
			l.slots[i].bundles = nil
		}
	}
	s.base, s.first = now, never
	for _, l := range s.levels {
		if l != nil && l.taken != 0 {
			s.first = min(s.first, l.slots[bits.TrailingZeros64(l.taken)].first)
		}
	}
	for opened != nil {
		if e := s.pop(&opened); e.at <= now {
			s.push(&s.due, e)
		} else {
			s.add(e)
		}
	}
}

func (s *schedule) push(chain **bundle, e entry) {
	b := *chain
	if b == nil || b.n == len(b.entries) {
		if b = s.free; b != nil {
			s.free = b.next
		} else {
			b = new(bundle)
		}
		b.next, *chain = *chain, b
	}
	b.entries[b.n] = e
	b.n++
}

func (s *schedule) pop(chain **bundle) (e entry) {
	b := *chain
	b.n--
	if b.n == 0 {
		*chain, b.next, s.free = b.next, s.free, b
	}
	return b.entries[b.n]
}
