// Package claim knows what members say of each other, and which of two claims stands.
package claim

import "cmp"

// Claim is what somebody knows or judges of a member. Its age does not grow while gossip
// repeats it, which matters little: only news is gossiped, and that somebody is up is news
// only after it was down.
type Claim struct {
	Name  string
	Boot  uint64
	Epoch uint64
	Seq   uint64 // the latest heartbeat of the member that this rests on
	State State
	Addr  string // ip:port that the member advertised; may be empty where the receiver knows it
	// Age is, when sent, how many µs ago that heartbeat or a later sign of life was (Up), or else
	// the change, as far as the sender knows.
	Age   uint64
	Basis *Basis // of a verdict, where it is news; may be nil
}

// Basis is what a verdict rests on, for people to read.
type Basis struct {
	Phi       uint64   // the sum of doubts, in hundredths
	Threshold uint64   // what it had to reach, likewise
	By        []string // who doubted, sorted
	Exit      string   // of what the member died, where it said so itself
}

// State is what is claimed. The numbers travel.
type State uint8

const (
	Up   State = 1
	Down State = 3
	Left State = 4
)

// String returns "up", "down" or "left".
func (s State) String() string {
	switch s {
	case Up:
		return "up"
	case Down:
		return "down"
	case Left:
		return "left"
	}
	return "unknown"
}

// Exit is of what the member died, where it said so itself.
func (c Claim) Exit() string {
	if c.State != Down || c.Basis == nil {
		return ""
	}
	return c.Basis.Exit
}

// Compare orders claims. All that anybody says of a member is a claim, any two about one
// name can be compared, and the later one stands. Merging is taking the later: commutative,
// associative and idempotent, so that all nodes end in the same state whatever the order in
// which claims reach them.
//
//   - A higher boot beats a lower one.
//   - Within a boot Left beats everything: the member said so itself, and a new boot is the
//     only way back.
//   - Then the higher epoch. A member that learns that it was called down takes a higher
//     one, and thereby has the last word.
//   - Then the later evidence: Down after heartbeat s beats Up with s or less, and loses to
//     Up with more than s.
func (c Claim) Compare(d Claim) int {
	left := compareBool(c.State == Left, d.State == Left)
	if order := cmp.Or(cmp.Compare(c.Boot, d.Boot), left); order != 0 || c.State == Left {
		return order
	}
	return cmp.Or(
		cmp.Compare(c.Epoch, d.Epoch),
		cmp.Compare(c.Seq, d.Seq),
		compareBool(c.State == Down, d.State == Down),
	)
}

// After tells whether c stands against d.
func (c Claim) After(d Claim) bool { return c.Compare(d) > 0 }

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// MaxEpoch is the last epoch of a boot. Epochs grow by one with each wrong verdict, so that
// a higher one is a lie or damage; who is called down in the last one begins a new boot.
// The bound is the same for all, whatever they know: if it were a distance from the known
// epoch, what a node takes in would depend on what came first, and tables would differ for
// good.
const MaxEpoch = 1 << 16

// MaxBoot is the highest boot that is decoded, 146,000 years after 1970. A member takes
// none above HighestBoot, and above what others say of its own name it goes only up to half
// of that, so that there is room for it to be restarted in. BootRoom is how much of that
// its restarts may have taken by the time that memberlist announces one of its own
// processes to it.
const (
	MaxBoot        = 1 << 62
	HighestBoot    = MaxBoot / 2
	MaxForeignBoot = HighestBoot / 2
	BootRoom       = 1 << 20
)
