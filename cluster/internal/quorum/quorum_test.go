package quorum

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

var levels = Thresholds{Down: 9, Stall: 6}

func voice(by string, phi, before float64) Testimony {
	return Testimony{By: by, Phi: phi, Before: before, Listens: true, Steady: true}
}

func with(t Testimony, change func(*Testimony)) Testimony {
	change(&t)
	return t
}

func weigh(all []Testimony, others int) Sum { return levels.Weigh(all, func() int { return others }) }

func TestWeigh(t *testing.T) {
	unsteady := func(t *Testimony) { t.Steady = false }
	stranger := func(t *Testimony) { t.Listens = false }
	clean := func(t *Testimony) { t.Clean = true }
	for name, c := range map[string]struct {
		all    []Testimony
		others int // who listen
		want   Sum
	}{
		"nobody":                             {nil, 2, Sum{}},
		"one alone":                          {[]Testimony{voice("a", 20, 20)}, 0, Sum{9, 6, []string{"a"}}},
		"one of whom less is missing":        {[]Testimony{voice("a", 5, 1)}, 0, Sum{5, 1, []string{"a"}}},
		"one without a doubt":                {[]Testimony{voice("a", 0, 0), voice("b", 20, 20)}, 1, Sum{9, 6, []string{"b"}}},
		"two, each with its half":            {[]Testimony{voice("a", 20, 20), voice("b", 20, 2)}, 1, Sum{9, 5, []string{"a", "b"}}},
		"two, one of which is clean":         {[]Testimony{with(voice("a", 20, 20), clean), voice("b", 20, 2)}, 1, Sum{9, 8, []string{"a", "b"}}},
		"three, each with its third":         {[]Testimony{voice("a", 20, 1), voice("b", 2, 1), voice("c", 20, 1)}, 2, Sum{8, 3, []string{"a", "b", "c"}}},
		"four, of which three suffice":       {[]Testimony{voice("a", 3, 1), voice("b", 3, 1), voice("c", 3, 1), voice("d", 1, 1)}, 3, Sum{10, 4, []string{"a", "b", "c", "d"}}},
		"two, one heard with gaps":           {[]Testimony{voice("a", 20, 20), with(voice("b", 20, 20), unsteady)}, 2, Sum{9, 6, []string{"a"}}},
		"the same, and nobody else listens":  {[]Testimony{voice("a", 20, 20), with(voice("b", 20, 20), unsteady)}, 1, Sum{9, 6, []string{"a", "b"}}},
		"three, two heard with gaps":         {[]Testimony{voice("a", 20, 1), with(voice("b", 20, 1), unsteady), with(voice("c", 20, 1), unsteady)}, 5, Sum{9, 3, []string{"a", "b", "c"}}},
		"two who listen, and one who do not": {[]Testimony{voice("a", 20, 1), voice("b", 20, 1), with(voice("c", 20, 1), stranger)}, 1, Sum{9, 2, []string{"a", "b"}}},
		"one who listens, and two who do not": {
			[]Testimony{voice("a", 20, 1), with(voice("b", 20, 1), stranger), with(voice("c", 20, 1), stranger)}, 2, Sum{9, 3, []string{"a", "b", "c"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := weigh(c.all, c.others)
			if math.Abs(got.Phi-c.want.Phi) > 0.01 || math.Abs(got.Before-c.want.Before) > 0.01 || !slices.Equal(got.By, c.want.By) {
				t.Errorf("%+v", got)
				t.Errorf("%+v is wanted", c.want)
			}
		})
	}
}

// Full shares are enough, and nothing less than the thresholds is.
func TestReaches(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7} {
		var all []Testimony
		for i := range n {
			all = append(all, voice(string(rune('a'+i)), 100, 100))
		}
		if s := weigh(all, n-1); !levels.Reaches(s) {
			t.Errorf("%d who are certain come to %+v", n, s)
		}
	}
	for s, want := range map[[2]float64]bool{{9, 6}: true, {8.99, 6}: false, {9, 5.99}: false, {100, 0}: false, {0, 100}: false} {
		if got := levels.Reaches(Sum{Phi: s[0], Before: s[1]}); got != want {
			t.Errorf("%v reaches %+v: %v", s, levels, got)
		}
	}
}

// reference says the same in the words of the design: of at most three shares each voice
// fills one as far as it can.
func reference(all []Testimony, others int) (phi, before float64, by []string) {
	var counts, listening []Testimony
	for _, t := range all {
		if t.Phi > 0 {
			counts = append(counts, t)
			if t.Listens {
				listening = append(listening, t)
			}
		}
	}
	if len(listening) >= 2 {
		counts = listening
	} else {
		slices.SortStableFunc(counts, func(a, b Testimony) int {
			return map[bool]int{true: 0, false: 1}[a.Listens] - map[bool]int{true: 0, false: 1}[b.Listens]
		})
	}
	shares := max(1, min(3, len(counts)))
	var steady []Testimony
	for _, t := range counts {
		if len(counts) >= 3 || others < len(counts) || t.Steady {
			steady = append(steady, t)
		}
	}
	if len(counts) < 3 {
		shares = max(1, len(steady))
	}
	for _, t := range steady {
		most := levels.Stall
		if !t.Clean && len(steady) > 1 {
			most /= 2
		}
		phi, before, by = phi+min(t.Phi, levels.Down/float64(shares)), before+min(t.Before, most), append(by, t.By)
	}
	return phi, before, by
}

func draw(t *rapid.T) (all []Testimony, others int) {
	for i := range rapid.IntRange(0, 6).Draw(t, "voices") {
		all = append(all, Testimony{
			By: string(rune('a' + i)), Phi: rapid.Float64Range(0, 15).Draw(t, "phi"), Before: rapid.Float64Range(0, 15).Draw(t, "before"),
			Listens: rapid.Bool().Draw(t, "listens"), Steady: rapid.Bool().Draw(t, "steady"), Clean: rapid.Bool().Draw(t, "clean"),
		})
	}
	return all, rapid.IntRange(0, 6).Draw(t, "others")
}

func TestWeighIsAsTheReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all, others := draw(t)
		got := weigh(all, others)
		phi, before, by := reference(all, others)
		if math.Abs(got.Phi-phi) > 0.02 || math.Abs(got.Before-before) > 0.02 || !slices.Equal(got.By, by) {
			t.Fatalf("%+v, want φ %.2f, %.2f before, by %v", got, phi, before, by)
		}
	})
}

// More doubt never lowers a sum: neither of a voice that counts, nor one more who listens
// beside three.
func TestMoreDoubtNeverLowersASum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all, others := draw(t)
		was := weigh(all, others)
		if len(was.By) == 0 {
			return
		}
		more := slices.Clone(all)
		whose := was.By[rapid.IntRange(0, len(was.By)-1).Draw(t, "whose")]
		i := slices.IndexFunc(more, func(v Testimony) bool { return v.By == whose })
		more[i].Phi += rapid.Float64Range(0, 5).Draw(t, "more")
		more[i].Before += 1
		if is := weigh(more, others); is.Phi < was.Phi || is.Before < was.Before {
			t.Fatalf("%s doubts more, and %+v becomes %+v", more[i].By, was, is)
		}
		if listen := len(Heard(all)); listen >= FewestPaths && !slices.ContainsFunc(Heard(all), func(v Testimony) bool { return !v.Listens }) {
			another := with(all[i], func(t *Testimony) { t.By = "z" })
			if is := weigh(append(more, another), others); is.Phi < was.Phi {
				t.Fatalf("one more doubts, and %+v becomes %+v", was, is)
			}
		}
	})
}

// Nobody condemns alone where others could doubt too, however sure.
func TestOneOfSeveralNeverSuffices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all, others := draw(t)
		if len(all) < 2 {
			return
		}
		for i := range all {
			all[i].Phi, all[i].Before, all[i].Listens, all[i].Steady, all[i].Clean = 0.1, 0.1, true, true, false
		}
		all[0].Phi, all[0].Before = 1000, 1000
		if s := weigh(all, others); levels.Reaches(s) {
			t.Fatalf("%+v of %d reaches %+v", s, len(all), levels)
		}
	})
}
