package cluster

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Fail tells the others that what this node stands for is dead, so that they see it as Down (ReasonExited) at once, where they
// would take it for alive as long as this process beats. why goes with it (Event.Detail): what is not printable is replaced, and
// what is beyond 64 bytes cut off. Like Leave it waits until the word has been gossiped, about half a second, and is final for this
// boot: what is left is Close. After Leave it is nil and changes nothing; after Close: ErrClosed.
func (n *Node) Fail(ctx context.Context, why string) error {
	if why = printableCut(why, maxDetail); why == "" {
		why = "failed"
	}
	return n.part(ctx, "Fail", why)
}

// maxDetail bounds Event.Detail, in bytes.
const maxDetail = 64

// printableCut is the beginning of s, no longer than most bytes, with a dot for each character that does not print.
func printableCut(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '.'
		}
		return r
	}, strings.TrimSpace(s))
	for len(s) > most {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return strings.TrimSpace(s)
}
