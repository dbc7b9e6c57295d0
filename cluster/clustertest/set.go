package clustertest

// Everyone in a set of addresses stands for all of them, those to come included.
const Everyone = "*"

// set is a set of endpoints by their id.
type set struct {
	all  bool
	bits []uint64 // the last word is not 0, so that equal sets look equal
}

func (n *Network) set(addrs []string) (set, error) {
	var s set
	for _, addr := range addrs {
		if addr == Everyone {
			return set{all: true}, nil
		}
		e, err := n.endpoint(addr)
		if err != nil {
			return set{}, err
		}
		for len(s.bits) <= e.id/64 {
			s.bits = append(s.bits, 0)
		}
		s.bits[e.id/64] |= 1 << (e.id % 64)
	}
	return s, nil
}

func (s set) has(id int) bool {
	return s.all || id/64 < len(s.bits) && s.bits[id/64]>>(id%64)&1 == 1
}

// covers says whether s has every member of t.
func (s set) covers(t set) bool {
	if s.all || t.all {
		return s.all
	}
	for i, w := range t.bits {
		if i >= len(s.bits) && w != 0 || i < len(s.bits) && w&^s.bits[i] != 0 {
			return false
		}
	}
	return true
}

// pair is all the ways from one set of addresses to another.
type pair struct{ from, to set }

func (p pair) about() pair             { return p }
func (p pair) joins(from, to int) bool { return p.from.has(from) && p.to.has(to) }
func (p pair) covers(q pair) bool      { return p.from.covers(q.from) && p.to.covers(q.to) }
