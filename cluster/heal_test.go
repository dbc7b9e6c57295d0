package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// Whom to knock at, the best first: those who are up and memberlist holds for dead, seeds that nobody has the address of, and the dead, the
// latest first.
func TestOrderOfKnocks(t *testing.T) {
	now := time.Now()
	c := loner(t, now, Config{Name: "a", Seeds: []string{"10.0.0.98:7946", "10.0.0.99:7946"}})
	people := map[string]*record{}
	for i, name := range []string{"buried", "unheard", "early", "late", "left", "up"} {
		people[name] = meet(t, c, now, name, fmt.Sprintf("10.0.0.%d:7946", 1+i), nil)
		c.heard(now, people[name], 0, 1000)
	}
	meet(t, c, now, "seed", "10.0.0.98:7946", nil)
	c.heartbeat(now, people["buried"], &wire.Beat{Seq: 1001, Edge: 1, Interval: micros(time.Second), Every: micros(DefaultBeat)})
	c.gossipDead(now, "buried#1")
	c.gossipDead(now, "unheard#1") // nobody here listens to it: for those who do
	c.merge(now, nil, claim.Claim{Name: "left", Boot: 1, Seq: 1001, State: claim.Left})
	c.condemn(now.Add(time.Second), people["early"], ReasonSilent)
	c.condemn(now.Add(2*time.Second), people["late"], ReasonSilent)

	var got []string
	for _, hp := range (&Node{cfg: c.cfg, core: c, seeds: seeds{fixed: c.cfg.seeds}}).lost() {
		got = append(got, hp.String())
	}
	want := []string{people["buried"].Addr, "10.0.0.99:7946", people["late"].Addr, people["early"].Addr}
	if !slices.Equal(got, want) {
		t.Errorf("knocks at %v, want %v", got, want)
	}
}

// The first ones of many are chosen often enough, the others too.
func TestChoose(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const n, draws = 152, 100_000
	var chosen [n]int
	for range draws {
		chosen[choose(n, rng.Float64())]++
	}
	if first := float64(chosen[0]+chosen[1]) / draws; first < 0.21 || first > 0.23 { // ln 3 / ln 153
		t.Errorf("the first two are chosen %.3f of the time, want 0.218", first)
	}
	for i, times := range chosen {
		if times == 0 {
			t.Errorf("number %d is never chosen", i)
		}
	}
	for _, draw := range []float64{0, 0.5, 0.9999999999999999} {
		for n := 1; n < 5; n++ {
			if i := choose(n, draw); i < 0 || i >= n {
				t.Errorf("draw %v of %d chooses number %d", draw, n, i)
			}
		}
	}
}
