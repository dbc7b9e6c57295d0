package check

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxReason is how long a reason may be, in bytes: it is part of a line of the log, where an address
// and the beginning of what the service says have room, and a whole page has no place.
const maxReason = 256

// reason is an error's text as the log shows it: one line of printable characters, cut with "…"
// where it is too long.
func reason(err error) string {
	var b strings.Builder
	for word := range strings.FieldsSeq(err.Error()) { // line breaks and tabs are spaces, too
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		for _, r := range word {
			if !unicode.IsPrint(r) {
				r = utf8.RuneError
			}
			b.WriteRune(r)
		}
		if b.Len() > maxReason {
			break
		}
	}
	s := b.String()
	if len(s) <= maxReason {
		return s
	}
	cut := maxReason - len("…")
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
