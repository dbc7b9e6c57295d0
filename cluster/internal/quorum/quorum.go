// Package quorum knows what is made of the doubts of several about a silent member. It is
// arithmetic: who is asked, when, and about whom is for others to say.
package quorum

import "slices"

// Testimony is the doubt of one member about another that is silent.
type Testimony struct {
	By string
	// Phi is how unlikely the silence is on the witness's own path, if the member lives.
	Phi float64
	// Before is the part of that which no stall explains: what was missing before the longest stall
	// that could be going on began.
	Before float64
	// Listens: heartbeats of the member are due at the witness. Others know nothing of what
	// their paths to it lose.
	Listens bool
	// Steady: it was told again and again without a gap. The judge's own always is.
	Steady bool
	// Clean: the path has lost nothing lately, as far as the judge knows. Of others it does not.
	Clean bool
}

// FewestPaths is how many paths it takes to condemn, where so many can be had: a path that
// is gone is one misfortune, however many questions it swallows, so each counts no more
// than its share.
const FewestPaths = 3

// Thresholds are what the doubts of several have to come to.
type Thresholds struct {
	Down  float64 // what the sum of doubts has to reach
	Stall float64 // and its part that no stall explains
}

// Sum is what doubts come to, and whose they are, in the order in which they were given.
type Sum struct {
	Phi, Before float64
	By          []string
}

// Reaches tells whether a sum is enough for a verdict.
func (q Thresholds) Reaches(s Sum) bool { return s.Phi >= q.Down && s.Before >= q.Stall }

// Heard are the testimonies that count: doubts, and of members that do not listen to the
// silent one only where fewer than two who do have any.
func Heard(all []Testimony) []Testimony {
	var listeners, others []Testimony
	for _, t := range all {
		switch {
		case t.Phi <= 0:
		case t.Listens:
			listeners = append(listeners, t)
		default:
			others = append(others, t)
		}
	}
	if len(listeners) < 2 {
		return append(listeners, others...)
	}
	return listeners
}

// Weigh adds up doubts, as paths lose independently. others is how many listen to the
// silent member beside the judge. Where fewer than three doubt and others who listen say
// nothing, those may be dead, or the few may have bad links, to the member as to the
// others. Whether the few hear each other well tells the two apart, so only those count who
// are heard without a gap.
//
// Each counts no more than its share of Down. Of what no stall explains each counts no more
// than half, unless its path is known to have lost nothing lately.
func (q Thresholds) Weigh(all []Testimony, others func() int) Sum {
	voices := Heard(all)
	if len(voices) < FewestPaths && others() >= len(voices) {
		voices = slices.DeleteFunc(voices, func(t Testimony) bool { return !t.Steady })
	}
	const rounding = 1.001
	share := q.Down / float64(min(FewestPaths, max(1, len(voices)))) * rounding
	var s Sum
	for _, t := range voices {
		half := q.Stall / 2 * rounding
		if t.Clean || len(voices) == 1 {
			half *= 2
		}
		s.Phi += min(t.Phi, share)
		s.Before += min(t.Before, half)
		s.By = append(s.By, t.By)
	}
	return s
}
