package main

import "strings"

// nearest returns the name that was most likely meant by a wrong one, or "". Capitals and the kind of dash do not count, and
// a third of the letters may be wrong.
func nearest(wrong string, names []string) string {
	const longest = 64 // no name is: whatever stands in a file costs little
	if len(wrong) > longest {
		return ""
	}
	wrong = plainName(wrong)
	best, least := "", max(1, len(wrong)/3)+1
	for _, name := range names {
		if d := edits(wrong, plainName(name)); d < least {
			best, least = name, d
		}
	}
	return best
}

func plainName(s string) string {
	return strings.ReplaceAll(strings.ToLower(s), "_", "-")
}

// edits is how many letters have to be put in, left out, replaced or swapped with their neighbour to make b of a: the
// restricted Damerau-Levenshtein distance (Damerau, CACM 7(3), 1964), by bytes.
func edits(a, b string) int {
	var before []int // the row above the one above
	above := make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			other := 1
			if a[i] == b[j] {
				other = 0
			}
			row[j+1] = min(above[j]+other, above[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, above = above, row
	}
	return above[len(b)]
}

// didYouMean ends an error about a wrong name.
func didYouMean(wrong string, names []string) string {
	if name := nearest(wrong, names); name != "" {
		return ": did you mean " + name + "?"
	}
	return ""
}
