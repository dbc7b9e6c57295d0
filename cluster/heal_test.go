package cluster

import (
	"math/rand/v2"
	"testing"
)

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
