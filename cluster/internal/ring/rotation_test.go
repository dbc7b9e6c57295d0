package ring

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Whatever the changes: each heartbeat comes within the turns that the one before promised,
// nobody is dropped without a last one, and receivers are served evenly.
func TestRotationKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r Rotation
		due := map[string]int{} // the turn by which the receiver was promised the next heartbeat
		for now := range 400 {
			if now == 0 || rapid.IntRange(0, 19).Draw(t, "change") == 0 {
				r.Set(rapid.SliceOfNDistinct(rapid.SampledFrom(names(12)), 0, 12, rapid.ID).Draw(t, "receivers"))
			}
			turn, turns, ok := r.Next()
			if !ok {
				if len(due) > 0 {
					t.Fatalf("turn %d: nobody is served while %v are waiting", now, due)
				}
				continue
			}
			delete(due, turn.To)
			if !turn.Last {
				due[turn.To] = now + turns
			}
			for to, by := range due {
				if now >= by {
					t.Fatalf("turn %d: %s was promised a heartbeat by turn %d", now, to, by)
				}
			}
		}
		if want := r.want; len(want) > 0 {
			for range 2 * len(r.round) { // at most one round under way, one with the last turns
				r.Next()
			}
			var served []string
			for range len(want) {
				turn, _, _ := r.Next()
				served = append(served, turn.To)
			}
			slices.Sort(served)
			slices.Sort(want)
			if !slices.Equal(served, want) {
				t.Fatalf("served %v, want each of %v once", served, want)
			}
		}
	})
}

func TestRotationSaysGoodbyeOnce(t *testing.T) {
	var r Rotation
	r.Set([]string{"a", "b", "c"})
	for range 3 {
		r.Next()
	}
	r.Set([]string{"a", "c"})
	var last []string
	for range 20 {
		if turn, _, _ := r.Next(); turn.Last {
			last = append(last, turn.To)
		}
	}
	if !slices.Equal(last, []string{"b"}) {
		t.Errorf("last heartbeats to %v, want one to b", last)
	}
}

func TestRotationInWords(t *testing.T) {
	var r Rotation
	r.Set([]string{"a", "b"})
	r.Next()
	r.Set([]string{"a"})
	if got, want := r.String(), "a | b then [a]"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	r.Next()
	r.Next()
	if got, want := r.String(), "a | b (last) then [a]"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if !r.Serves("a") || r.Serves("b") || r.Serves("c") || r.Turns() != 2 {
		t.Errorf("a is served: %v, b: %v, c: %v; %d turns", r.Serves("a"), r.Serves("b"), r.Serves("c"), r.Turns())
	}
}
