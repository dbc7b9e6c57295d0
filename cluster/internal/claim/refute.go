package claim

// Self is what a member lives under: a boot, and the epoch within it.
type Self struct{ Boot, Epoch uint64 }

// Action is what a member does about a claim about itself.
type Action uint8

const (
	// Ignore: there is nothing wrong with it, or memberlist brings the same and is believed.
	Ignore Action = iota
	// Answer: it is outdated, and whoever sent it is told so.
	Answer
	// Rise: it stands against what the member lives under. The member goes on under the next
	// boot or epoch, and tells everybody.
	Rise
	// Malformed and WrongEpoch: nobody can have said so in earnest.
	Malformed
	WrongEpoch
)

// Refute is what a member that lives does about a claim about itself, and what it lives under from
// then on: the least that stands against the claim.
func Refute(self Self, said Claim) (next Self, act Action) {
	switch {
	case said.Boot >= HighestBoot || said.Boot > self.Boot && said.Boot > MaxForeignBoot:
		return self, Malformed
	case said.State == Up: // a later boot memberlist brings, and then the two are compared
		return self, Ignore
	case said.Boot < self.Boot:
		return self, Answer
	case said.Boot > self.Boot: // from a clock ahead of ours
		return Self{Boot: said.Boot + 1}, Rise
	case said.State == Left: // it did not say so, and within a boot there is no way back from it
		return Self{Boot: self.Boot + 1}, Rise
	case said.Epoch > MaxEpoch:
		return self, WrongEpoch
	case said.Epoch < self.Epoch:
		return self, Answer
	case said.Epoch == MaxEpoch:
		return Self{Boot: self.Boot + 1}, Rise
	}
	return Self{self.Boot, said.Epoch + 1}, Rise
}
