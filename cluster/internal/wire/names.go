package wire

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits on what is believed of a stranger's word.
const (
	// MaxName bounds names of members, in bytes.
	MaxName = 128
	// MaxDetail bounds the cause of a death, in bytes.
	MaxDetail = 64
	// MinBeat and MaxBeat bound the time between two heartbeats of a member.
	MinBeat, MaxBeat = 5 * time.Millisecond, 10 * time.Second
)

// BadName says what is wrong with a member's name; "": nothing, or it is empty.
func BadName(name string) string {
	switch {
	case len(name) > MaxName:
		return fmt.Sprintf("is %d bytes long: want 1 to %d", len(name), MaxName)
	case !utf8.ValidString(name):
		return "is not valid UTF-8"
	}
	for _, r := range name {
		if !unicode.IsPrint(r) || r == ' ' {
			return fmt.Sprintf("holds %q: want printable characters and no spaces", r)
		}
	}
	return ""
}

// PrintableCut is the beginning of s, no longer than most bytes, with a dot for each character that
// does not print.
func PrintableCut(s string, most int) string {
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
