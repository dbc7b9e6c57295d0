package claim

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func drawClaim(t *rapid.T) Claim {
	return Claim{
		Name: "x", Boot: rapid.Uint64Range(1, 3).Draw(t, "boot"),
		Epoch: rapid.Uint64Range(0, 2).Draw(t, "epoch"), Seq: rapid.Uint64Range(0, 3).Draw(t, "seq"),
		State: rapid.SampledFrom([]State{Up, Down, Left}).Draw(t, "state"),
	}
}

func TestClaimsAreInTotalOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawClaim(t), drawClaim(t), drawClaim(t)
		if a.Compare(b) != -b.Compare(a) {
			t.Fatalf("compare(%v, %v) = %d, the other way round %d", a, b, a.Compare(b), b.Compare(a))
		}
		if a.Compare(b) > 0 && b.Compare(c) > 0 && a.Compare(c) <= 0 {
			t.Fatalf("%v after %v after %v, but not the first after the last", a, b, c)
		}
	})
}

// The sentences of the design, in its words.
func TestLaterClaimStands(t *testing.T) {
	up := func(boot, epoch, seq uint64) Claim { return Claim{Boot: boot, Epoch: epoch, Seq: seq, State: Up} }
	down := func(boot, epoch, seq uint64) Claim {
		return Claim{Boot: boot, Epoch: epoch, Seq: seq, State: Down}
	}
	left := Claim{Boot: 1, State: Left}
	ascending := []Claim{
		up(1, 0, 0), down(1, 0, 0), up(1, 0, 1), up(1, 0, 7), down(1, 0, 7), up(1, 0, 8), // the later evidence
		up(1, 1, 0), down(1, 1, 0), up(1, 1, 3), // the higher epoch
		left,                       // Left beats everything within a boot
		up(2, 0, 0), down(2, 0, 9), // the higher boot
	}
	for i, a := range ascending {
		for j, b := range ascending {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := a.Compare(b); got != want {
				t.Errorf("compare(%+v, %+v) = %d, want %d", a, b, got, want)
			}
		}
	}
	// Two goodbyes of one boot are one, whatever heartbeat they name.
	if got := left.Compare(Claim{Boot: 1, Epoch: 4, Seq: 9, State: Left}); got != 0 {
		t.Errorf("compare(left, left) = %d, want 0", got)
	}
}

// All nodes end in the same state whatever the order in which claims reach them.
func TestMergingIsBlindToOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claims := rapid.SliceOfN(rapid.Custom(drawClaim), 1, 8).Draw(t, "claims")
		merge := func(order []Claim) Claim {
			latest := order[0]
			for _, c := range order[1:] {
				if c.After(latest) {
					latest = c
				}
			}
			return latest
		}
		shuffled := rapid.Permutation(claims).Draw(t, "shuffled")
		a, b := merge(claims), merge(append(slices.Clone(shuffled), shuffled...))
		if a.Compare(b) != 0 {
			t.Fatalf("one order ends with %v, another with %v", a, b)
		}
	})
}

func TestExit(t *testing.T) {
	said := &Basis{By: []string{"x"}, Exit: "exit status 3"}
	for _, c := range []struct {
		claim Claim
		want  string
	}{
		{Claim{State: Down, Basis: said}, "exit status 3"},
		{Claim{State: Down, Basis: &Basis{Phi: 900}}, ""},
		{Claim{State: Down}, ""},
		{Claim{State: Up, Basis: said}, ""},
		{Claim{State: Left, Basis: said}, ""},
	} {
		if got := c.claim.Exit(); got != c.want {
			t.Errorf("%+v: died of %q, want %q", c.claim, got, c.want)
		}
	}
}
