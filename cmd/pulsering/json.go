package main

import (
	"encoding/json"
	"fmt"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// marshal is how everything is made JSON that this program prints, or gives to a command: a line that a terminal may show.
func marshal(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	return printableJSON(b), err
}

// printableJSON escapes in JSON what could play with a terminal, as harmless does in a text: names and tags come from other machines, and
// encoding/json writes DEL, the controls from U+0080 to U+009F (U+009B begins a sequence as ESC [ does) and those that turn the
// direction of writing as they are. Whoever reads the JSON finds the same in it. Outside of strings JSON is ASCII.
func printableJSON(b []byte) []byte {
	first := 0
	for first < len(b) && b[first] < 0x7f {
		first++
	}
	if first == len(b) {
		return b
	}
	out := append(make([]byte, 0, len(b)+16), b[:first]...)
	for rest := b[first:]; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError: // readers take bytes that are no UTF-8 for it, too
			out = append(out, `\ufffd`...)
		case r < 0x7f || unicode.IsPrint(r):
			out = append(out, rest[:size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		rest = rest[size:]
	}
	return out
}
