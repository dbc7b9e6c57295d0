package detector

// schedule orders the peers of a shard by when they are looked at next: a heap with four children a node, whose
// entries carry their key so that sifting stays within few cache lines.
type schedule[K comparable] struct {
	heap []entry[K]
}

type entry[K comparable] struct {
	look instant
	peer *peer[K]
}

const unscheduled = -1

// next returns the earliest look, or never.
func (s *schedule[K]) next() instant {
	if len(s.heap) == 0 {
		return never
	}
	return s.heap[0].look
}

// due returns the peer with the earliest look, if that is not after now. It stays scheduled.
func (s *schedule[K]) due(now instant) *peer[K] {
	if s.next() > now {
		return nil
	}
	return s.heap[0].peer
}

// set schedules p, anew if it was already; never takes it out.
func (s *schedule[K]) set(p *peer[K], look instant) {
	p.look = look
	if look == never {
		s.remove(p)
		return
	}
	e := entry[K]{look, p}
	if p.slot == unscheduled {
		s.heap = append(s.heap, e)
		s.up(len(s.heap)-1, e)
		return
	}
	if look <= s.heap[p.slot].look {
		s.up(int(p.slot), e)
	} else {
		s.down(int(p.slot), e)
	}
}

func (s *schedule[K]) remove(p *peer[K]) {
	i := int(p.slot)
	if i == unscheduled {
		return
	}
	p.slot = unscheduled
	last := len(s.heap) - 1
	e := s.heap[last]
	s.heap[last] = entry[K]{}
	s.heap = s.heap[:last]
	if i == last {
		return
	}
	if i > 0 && e.look < s.heap[(i-1)/4].look {
		s.up(i, e)
	} else {
		s.down(i, e)
	}
}

// up places e at i or above.
func (s *schedule[K]) up(i int, e entry[K]) {
	for i > 0 {
		parent := (i - 1) / 4
		if s.heap[parent].look <= e.look {
			break
		}
		s.place(i, s.heap[parent])
		i = parent
	}
	s.place(i, e)
}

// down places e at i or below.
func (s *schedule[K]) down(i int, e entry[K]) {
	for {
		least := 4*i + 1
		if least >= len(s.heap) {
			break
		}
		for c := least + 1; c < min(4*i+5, len(s.heap)); c++ {
			if s.heap[c].look < s.heap[least].look {
				least = c
			}
		}
		if e.look <= s.heap[least].look {
			break
		}
		s.place(i, s.heap[least])
		i = least
	}
	s.place(i, e)
}

func (s *schedule[K]) place(i int, e entry[K]) {
	s.heap[i] = e
	e.peer.slot = int32(i)
}
