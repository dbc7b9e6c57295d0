package cluster

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("node-%03d", i)
	}
	return all
}

func TestObserversOfSmallClustersAreAllOthers(t *testing.T) {
	for n := 1; n <= 9; n++ {
		members := names(n)
		for _, self := range members {
			got := observers(self, members, 8)
			want := slices.DeleteFunc(slices.Clone(members), func(m string) bool { return m == self })
			if !slices.Equal(got, want) {
				t.Errorf("%d members: observers(%s) = %v, want %v", n, self, got, want)
			}
		}
	}
}

// If b listens to a then a listens to b, whatever the members and their number: nobody has to be told who observes whom.
func TestObserversAreMutual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,4}[0-9]?`), 2, 60, rapid.ID).Draw(t, "members")
		k := 2 * rapid.IntRange(1, 6).Draw(t, "half of k")
		for _, a := range members {
			of := observers(a, members, k)
			if len(of) > k && len(of) != len(members)-1 {
				t.Fatalf("%s has %d observers, more than %d", a, len(of), k)
			}
			if len(of) == 0 {
				t.Fatalf("nobody listens to %s", a)
			}
			for _, b := range of {
				if b == a {
					t.Fatalf("%s observes itself", a)
				}
				if !slices.Contains(observers(b, members, k), a) {
					t.Fatalf("%s observes %s but not the other way round", b, a)
				}
			}
		}
	})
}

// A verdict passed from neighbour to neighbour has to reach everybody in a few steps, and the load has to be even.
func TestObserversMakeAShallowGraph(t *testing.T) {
	members := names(1000)
	neighbours := map[string][]string{}
	few := 0
	for _, m := range members {
		neighbours[m] = observers(m, members, 8)
		if len(neighbours[m]) < 7 {
			few++
		}
	}
	if few > 20 {
		t.Errorf("%d of 1000 members have fewer than 7 observers", few)
	}
	for _, from := range []string{members[0], members[499], members[999]} {
		reached := map[string]bool{from: true}
		steps := 0
		for edge := []string{from}; len(edge) > 0; steps++ {
			var next []string
			for _, m := range edge {
				for _, n := range neighbours[m] {
					if !reached[n] {
						reached[n] = true
						next = append(next, n)
					}
				}
			}
			edge = next
		}
		if len(reached) != 1000 || steps-1 > 6 {
			t.Errorf("from %s a message reaches %d of 1000 members in %d steps, want all in at most 6", from, len(reached), steps-1)
		}
	}
}
