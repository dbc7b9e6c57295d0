package claim

import (
	"testing"

	"pgregory.net/rapid"
)

func TestRefute(t *testing.T) {
	self := Self{Boot: 5, Epoch: 2}
	for name, c := range map[string]struct {
		said Claim
		next Self
		act  Action
	}{
		"up":                           {Claim{Boot: 5, Epoch: 2, State: Up}, self, Ignore},
		"up, in a later epoch":         {Claim{Boot: 5, Epoch: 9, State: Up}, self, Ignore},
		"up, under a later boot":       {Claim{Boot: 6, State: Up}, self, Ignore},
		"down, in this epoch":          {Claim{Boot: 5, Epoch: 2, State: Down}, Self{5, 3}, Rise},
		"down, in a later one":         {Claim{Boot: 5, Epoch: 7, State: Down}, Self{5, 8}, Rise},
		"down, in an earlier one":      {Claim{Boot: 5, Epoch: 1, State: Down}, self, Answer},
		"down, in the last one":        {Claim{Boot: 5, Epoch: MaxEpoch, State: Down}, Self{6, 0}, Rise},
		"down, in none that can be":    {Claim{Boot: 5, Epoch: MaxEpoch + 1, State: Down}, self, WrongEpoch},
		"left":                         {Claim{Boot: 5, State: Left}, Self{6, 0}, Rise},
		"an earlier process, down":     {Claim{Boot: 4, Epoch: 9, State: Down}, self, Answer},
		"an earlier process, left":     {Claim{Boot: 4, State: Left}, self, Answer},
		"an earlier process, up":       {Claim{Boot: 4, State: Up}, self, Ignore},
		"a later process, down":        {Claim{Boot: 8, Epoch: 3, State: Down}, Self{9, 0}, Rise},
		"a later process, left":        {Claim{Boot: 8, State: Left}, Self{9, 0}, Rise},
		"the highest that is believed": {Claim{Boot: MaxForeignBoot, State: Down}, Self{MaxForeignBoot + 1, 0}, Rise},
		"higher":                       {Claim{Boot: MaxForeignBoot + 1, State: Down}, self, Malformed},
		"out of range":                 {Claim{Boot: HighestBoot, State: Up}, self, Malformed},
	} {
		if next, act := Refute(self, c.said); next != c.next || act != c.act {
			t.Errorf("%s: %+v, action %d; want %+v and %d", name, next, act, c.next, c.act)
		}
	}
	high := Self{Boot: MaxForeignBoot + 7}
	if next, act := Refute(high, Claim{Boot: high.Boot, State: Down}); act != Rise || next != (Self{high.Boot, 1}) {
		t.Errorf("one that is above what others may say: %+v, action %d", next, act)
	}
}

// Whatever is said: the member's word stands in the end, and it has risen by as little as it takes.
func TestRefuteStandsByAsLittleAsCanBe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		self := Self{rapid.Uint64Range(1, 4).Draw(t, "boot"), rapid.Uint64Range(0, 4).Draw(t, "epoch")}
		said := drawClaim(t)
		seq := rapid.Uint64Range(0, 3).Draw(t, "heartbeats")
		up := func(s Self) Claim { return Claim{Name: said.Name, Boot: s.Boot, Epoch: s.Epoch, Seq: seq, State: Up} }
		next, act := Refute(self, said)
		if said.State == Up {
			if act != Ignore || next != self {
				t.Fatalf("%+v to %+v about being up", act, next)
			}
			return
		}
		if !up(next).After(said) {
			t.Fatalf("%+v does not stand against %+v", next, said)
		}
		switch act {
		case Answer:
			if next != self {
				t.Fatalf("rises to %+v with an answer", next)
			}
		case Rise:
			if next.Boot > self.Boot {
				if next != (Self{max(self.Boot, said.Boot) + 1, 0}) {
					t.Fatalf("rises to %+v from %+v about %+v", next, self, said)
				}
				return
			}
			less := up(Self{next.Boot, next.Epoch - 1})
			less.Seq = min(seq, said.Seq) // heartbeats alone would do, if there were more
			if less.After(said) {
				t.Fatalf("rises to %+v where %+v stands against %+v", next, less, said)
			}
		default:
			t.Fatalf("action %d", act)
		}
	})
}
