package cluster

import (
	"iter"
	"maps"
	"slices"
	"strings"
)

// inOrder yields a map by name. Wherever packets, events or sums come of it: the same inputs then
// lead to the same outputs, so that a run can be repeated.
func inOrder[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if v, there := m[name]; there && !yield(name, v) {
				return
			}
		}
	}
}

// byName sorts members by name: after a few were picked from many, as to sort all would cost more.
func byName(members []*record) []*record {
	slices.SortFunc(members, func(a, b *record) int { return strings.Compare(a.Name, b.Name) })
	return members
}
