package ring

import (
	"cmp"
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

func ringsOf(members []string, k int) *Rings {
	r := New(k)
	for _, m := range members {
		r.Seat(m, true)
	}
	return r
}

// observers is the plain definition: each ring made anew of all members.
func observers(self string, members []string, k int) []string {
	others := slices.DeleteFunc(slices.Clone(members), func(m string) bool { return m == self })
	slices.Sort(others)
	if len(others) <= k {
		return others
	}
	var chosen []string
	for ring := range k / 2 {
		order := slices.SortedFunc(slices.Values(append([]string{self}, others...)), func(a, b string) int {
			return cmp.Or(cmp.Compare(Hash(ring, a), Hash(ring, b)), cmp.Compare(a, b))
		})
		at := slices.Index(order, self)
		chosen = append(chosen, order[(at+1)%len(order)], order[(at+len(order)-1)%len(order)])
	}
	slices.Sort(chosen)
	return slices.Compact(chosen)
}

// Whoever comes and goes, in whatever order, the rings answer as if they were made anew of
// those that are left; also where some of them do not count.
func TestRingsKeepOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := 2 * rapid.IntRange(1, 6).Draw(t, "half of k")
		some := rapid.StringMatching(`[a-f]{1,2}`)
		r, lives := New(k), map[string]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"come": func(t *rapid.T) {
				name := some.Draw(t, "name")
				lives[name] = rapid.Bool().Draw(t, "lives")
				r.Seat(name, lives[name])
			},
			"go": func(t *rapid.T) {
				name := some.Draw(t, "name")
				delete(lives, name)
				r.Unseat(name)
			},
			"": func(t *rapid.T) {
				var seated, living, present []string
				absent := func(name string) bool { return name[0] < 'c' }
				for name := range lives {
					seated = append(seated, name)
					if lives[name] {
						living = append(living, name)
					}
					if lives[name] && !absent(name) {
						present = append(present, name)
					}
				}
				if r.Len() != len(seated) || r.Living() != len(living) {
					t.Fatalf("%d members, %d of them living; want %d and %d", r.Len(), r.Living(), len(seated), len(living))
				}
				name := some.Draw(t, "of")
				if _, ok := lives[name]; r.Seated(name) != ok || r.Lives(name) != lives[name] {
					t.Fatalf("%s is seated: %v, and lives: %v", name, r.Seated(name), r.Lives(name))
				}
				copied := r.Clone()
				r.Seat("zz", true)
				r.Unseat("zz")
				for _, c := range []struct {
					who     string
					members []string
					got     []string
				}{
					{"all", seated, r.Observers(name)},
					{"the living", living, r.Successors(name)},
					{"the present", present, r.Without(absent, name)},
					{"a copy", seated, copied.Observers(name)},
				} {
					if want := observers(name, c.members, k); !slices.Equal(c.got, want) {
						t.Fatalf("k = %d, %s of %v: observers(%s) = %v, want %v", k, c.who, c.members, name, c.got, want)
					}
				}
			},
		})
	})
}

func TestObserversOfSmallClustersAreAllOthers(t *testing.T) {
	for n := 1; n <= 9; n++ {
		members := names(n)
		for _, self := range members {
			got := ringsOf(members, 8).Observers(self)
			want := slices.DeleteFunc(slices.Clone(members), func(m string) bool { return m == self })
			if !slices.Equal(got, want) {
				t.Errorf("%d members: observers(%s) = %v, want %v", n, self, got, want)
			}
		}
	}
}

// If b listens to a then a listens to b, whatever the members and their number: nobody has
// to be told who observes whom.
func TestObserversAreMutual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,4}[0-9]?`), 2, 60, rapid.ID).Draw(t, "members")
		k := 2 * rapid.IntRange(1, 6).Draw(t, "half of k")
		r := ringsOf(members, k)
		for _, a := range members {
			of := r.Observers(a)
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
				if !slices.Contains(r.Observers(b), a) {
					t.Fatalf("%s observes %s but not the other way round", b, a)
				}
			}
		}
	})
}

// A verdict passed from neighbour to neighbour has to reach everybody in a few steps, and
// the load has to be even.
func TestObserversMakeAShallowGraph(t *testing.T) {
	members := names(1000)
	rings := ringsOf(members, 8)
	neighbours := map[string][]string{}
	few := 0
	for _, m := range members {
		neighbours[m] = rings.Observers(m)
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

// Members of different releases have to agree on who listens to whom.
func TestHashStays(t *testing.T) {
	for _, c := range []struct {
		ring int
		name string
		want uint64
	}{
		{0, "a", 0x16bc26fa3458bfad},
		{0, "b", 0x9ae3a910e483f68},
		{1, "a", 0x250633f150197690},
		{Own, "node-7.example", 0x9771a2fbb3fe8afe},
		{3, "", 0xe49abb0b396f44c},
	} {
		if got := Hash(c.ring, c.name); got != c.want {
			t.Errorf("Hash(%d, %q) = %#x, want %#x", c.ring, c.name, got, c.want)
		}
	}
}
