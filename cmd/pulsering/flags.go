package main

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// A flag that is given says something: zero or empty is no way to ask for the default, as it is in the library, where
// a field cannot be left out. So each type below refuses it. An empty variable in --join "$SEEDS" would otherwise start
// a second cluster without a word.

// span is a duration between the tags min and max.
type span time.Duration

func parseSpan(s string, tag *kong.Tag, to *span) error {
	d, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is no duration: want a number with its unit, like 250ms, 2s or 24h", s)
	}
	low, high := tag.Get("min"), tag.Get("max")
	if d < mustDuration(low) || d > mustDuration(high) {
		return fmt.Errorf("%v is out of range: want %s to %s", d, low, high)
	}
	*to = span(d)
	return nil
}

// spanOrNever is a span, or never: that word, or as in the library any negative duration.
type spanOrNever time.Duration

func parseSpanOrNever(s string, tag *kong.Tag, to *spanOrNever) error {
	if d, err := time.ParseDuration(s); s == "never" || err == nil && d < 0 {
		*to = -1
		return nil
	}
	err := parseSpan(s, tag, (*span)(to))
	if err != nil {
		return fmt.Errorf("%w, or never", err)
	}
	return nil
}

// wholeSpan is a span of whole seconds.
type wholeSpan time.Duration

func parseWholeSpan(s string, tag *kong.Tag, to *wholeSpan) error {
	var d span
	if err := parseSpan(s, tag, &d); err != nil {
		return err
	}
	if time.Duration(d)%time.Second != 0 {
		return fmt.Errorf("%v: want whole seconds, %s to %s", time.Duration(d), tag.Get("min"), tag.Get("max"))
	}
	*to = wholeSpan(d)
	return nil
}

// mustDuration is for struct tags: a test parses every flag.
func mustDuration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		panic(err)
	}
	return d
}

// even is an even number between the tags min and max.
type even int

func parseEven(s string, tag *kong.Tag, to *even) error {
	low, high := tag.Get("min"), tag.Get("max")
	least, _ := strconv.Atoi(low)
	most, _ := strconv.Atoi(high)
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most || n%2 != 0 {
		return fmt.Errorf("%q: want an even number from %s to %s", s, low, high)
	}
	*to = even(n)
	return nil
}

// count is a number between the tags min and max.
type count int

func parseCount(s string, tag *kong.Tag, to *count) error {
	low, high := tag.Get("min"), tag.Get("max")
	least, _ := strconv.Atoi(low)
	most, _ := strconv.Atoi(high)
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		return fmt.Errorf("%q: want a number from %s to %s", s, low, high)
	}
	*to = count(n)
	return nil
}

// text is a string that is not empty.
type text string

// choice is one of the words in the tag of.
type choice string

func parseChoice(s string, tag *kong.Tag, to *choice) error {
	if words := strings.Split(tag.Get("of"), ","); !slices.Contains(words, s) {
		return fmt.Errorf("%q is none of %s", s, strings.Join(words, ", "))
	}
	*to = choice(s)
	return nil
}

// address is host:port, with port 0 and an empty host allowed where the tag any is set: there it is listened on.
type address string

func parseAddress(s string, listens bool) (address, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil || strings.Contains(s, "@") { // that of a URL
		return "", fmt.Errorf("%s is no address: want host:port, like 127.0.0.1:7946", wrongURL(s))
	}
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil || n == 0 && !listens:
		return "", fmt.Errorf("%q has port %q: want a number from 1 to 65535", s, port)
	case host == "" && !listens:
		return "", fmt.Errorf("%q has no host: want host:port, like 127.0.0.1:7946", s)
	}
	return address(s), nil
}

// parseBool takes the words that kong takes.
func parseBool(s string, _ *kong.Tag, to *bool) error {
	switch strings.ToLower(s) {
	case "true", "yes", "1":
		*to = true
	case "false", "no", "0":
		*to = false
	default:
		return fmt.Errorf("%q: want true or false", s)
	}
	return nil
}

// tags are key=value pairs, each from a flag of its own.
type tags map[string]string

func parseTags(pair string, _ *kong.Tag, to *tags) error {
	k, v, ok := strings.Cut(pair, "=")
	if !ok || k == "" {
		return fmt.Errorf("%q is no tag: want key=value, like zone=a", pair)
	}
	if _, twice := (*to)[k]; twice {
		return fmt.Errorf("key %q is given twice: give it once", k)
	}
	if *to == nil {
		*to = make(tags)
	}
	(*to)[k] = v
	return nil
}

// helpWithRange adds what the flag accepts to its help.
func helpWithRange(v *kong.Value) string {
	if low, high := v.Tag.Get("min"), v.Tag.Get("max"); low != "" {
		return fmt.Sprintf("%s %s to %s.", v.Help, low, high)
	}
	return v.Help
}

// fieldFlags are the flags that fill the fields of cluster.Config. The library's errors and hints name fields.
var fieldFlags = map[string]string{
	"Name":              "--name",
	"Bind":              "--bind",
	"Advertise":         "--advertise",
	"Label":             "--label",
	"Seeds":             "--join",
	"Tags":              "--tag",
	"Beat":              "--beat",
	"StallAllowance":    "--stall-allowance",
	"FalseAlarmEvery":   "--false-alarm-every",
	"ForgetAfter":       "--forget-after",
	"IsolatedDownAfter": "--isolated-down-after",
	"Observers":         "--observers",
	"Heartbeats":        "--heartbeats",
	"Keys":              "--key-file",
	"Expect":            "--expect",
	"Discover":          "--join",
	"Remembered":        "--state-dir",
	"LastBoot":          "--state-dir",
}

var (
	fieldAtStart = regexp.MustCompile(`(?m)^cluster: ([A-Z]\w*)(\[\d+\])?:`)
	fieldInText  = regexp.MustCompile(`\bConfig\.([A-Z]\w*)`)
)

// inFlags puts flags in the place of the fields that a text of the library names.
func inFlags(text string) string {
	text = fieldAtStart.ReplaceAllStringFunc(text, func(s string) string {
		if flag, ok := fieldFlags[fieldAtStart.FindStringSubmatch(s)[1]]; ok {
			return flag + ":"
		}
		return s
	})
	return fieldInText.ReplaceAllStringFunc(text, func(s string) string {
		if flag, ok := fieldFlags[strings.TrimPrefix(s, "Config.")]; ok {
			return flag
		}
		return s
	})
}
