package clustertest

// Cut loses all that any address of from sends to any of to, one way, until it
// is healed. [Everyone] stands for all addresses. An address always reaches
// itself. What is in flight still arrives. Streams are not closed: what is
// written to them is sent again, as TCP does it, so that it arrives after
// healing or never, and dials need both directions.
func (n *Network) Cut(from, to []string) error {
	return n.setCut(from, to, true)
}

// Split cuts a and b from each other, both ways.
func (n *Network) Split(a, b []string) error {
	if err := n.Cut(a, b); err != nil {
		return err
	}
	return n.Cut(b, a)
}

// Isolate cuts addr from everyone, both ways. Heal with
// Heal([]string{addr}, []string{Everyone}).
func (n *Network) Isolate(addr string) error {
	return n.Split([]string{addr}, []string{Everyone})
}

// Heal ends every cut between a and b, both ways. With [Everyone] on both
// sides it ends all cuts.
func (n *Network) Heal(a, b []string) error {
	if err := n.setCut(a, b, false); err != nil {
		return err
	}
	return n.setCut(b, a, false)
}

func (n *Network) setCut(from, to []string, cut bool) error {
	return n.change(from, to, func(c *conditions, p pair) {
		c.cuts = append(without(c.cuts, p), cutRule{p, cut})
		// A heal means something only after a cut that it partly lifts.
		for len(c.cuts) > 0 && !c.cuts[0].cut {
			c.cuts = c.cuts[1:]
		}
	})
}
