package check

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxReason is how long a reason may be, in bytes: it travels with each member's metadata, which
// has little room.
const MaxReason = 64

// reason is an error's text as others may see it: one line of printable characters, cut with "…"
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
		if b.Len() > MaxReason {
			break
		}
	}
	s := b.String()
	if len(s) <= MaxReason {
		return s
	}
	cut := MaxReason - len("…")
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
