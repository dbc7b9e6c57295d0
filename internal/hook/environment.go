package hook

import (
	"maps"
	"runtime"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxValue bounds a variable, in bytes: Linux takes no more than 128 KiB (execve(2)), Windows 32
// KiB.
const maxValue = 4096

// environment makes variables of data.
func environment(vars map[string]string) []string {
	var env []string
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		env = append(env, "PULSERING_"+name+"="+value(vars[name], runtime.GOOS))
	}
	return env
}

// value is what of s may be in a variable.
func value(s, goos string) string {
	if len(s) > maxValue {
		cut := maxValue
		for cut > maxValue-utf8.UTFMax && !utf8.RuneStart(s[cut]) { // not through a character
			cut--
		}
		s = s[:cut]
	}
	s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	if goos == "windows" {
		s = strings.Map(func(r rune) rune {
			if strings.ContainsRune("&|<>^%!()\"'`\r\n", r) {
				return '_'
			}
			return r
		}, s)
	}
	return s
}
