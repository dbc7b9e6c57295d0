package cluster

import "cmp"

// The order of claims. All that anybody says of a member is a claim, any two claims about one name can be compared, and the
// later one stands. Merging is taking the later: commutative, associative and idempotent, so that all nodes end in the
// same state whatever the order in which claims reach them.
//
//   - A higher boot beats a lower one.
//   - Within a boot Left beats everything: the member said so itself, and a new boot is the only way back.
//   - Then the higher epoch. A member that learns that it was called down takes a higher one, and thereby has the last word.
//   - Then the later evidence: Down after heartbeat s beats Up with s or less, and loses to Up with more than s.
func (c claim) compare(d claim) int {
	return cmp.Or(
		cmp.Compare(c.Boot, d.Boot),
		compareBool(c.State == StateLeft, d.State == StateLeft),
		whereNot(c.State == StateLeft, cmp.Or(
			cmp.Compare(c.Epoch, d.Epoch),
			cmp.Compare(c.Seq, d.Seq),
			compareBool(c.State == StateDown, d.State == StateDown),
		)),
	)
}

func (c claim) after(d claim) bool { return c.compare(d) > 0 }

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func whereNot(not bool, result int) int {
	if not {
		return 0
	}
	return result
}

// maxEpoch is the last epoch of a boot. Epochs grow by one with each wrong verdict, so that a higher one is a lie or damage; who
// is called down in the last one begins a new boot. The bound is the same for all, whatever they know: if it were a distance
// from the known epoch, what a node takes in would depend on what came first, and tables would differ for good.
const maxEpoch = 1 << 16
