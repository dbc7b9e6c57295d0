package cluster

import (
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
)

// What a verdict rests on travels with the verdict, and not with what refutes it: a later Down, on other grounds, would seem to
// rest on it too.
func TestRefutationHasNoBasis(t *testing.T) {
	now := time.Now()
	c, x := listener(t, now)
	x.Basis = &claim.Basis{Phi: 900, Threshold: 800, By: []string{"y", "z"}}
	c.condemn(now, x, ReasonSilent)
	c.heard(now.Add(time.Second), x, 0, 1001)
	if x.State != claim.Up || x.Basis != nil {
		t.Errorf("%v on the basis of %+v, want up and none", x.State, x.Basis)
	}
	if told := c.out.broadcasts; len(told) != 2 || told[0].Basis == nil || told[1].Basis != nil {
		t.Errorf("told %+v, want the verdict with its basis and the refutation without", told)
	}
}
