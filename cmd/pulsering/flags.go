package main

import (
	"errors"
	"fmt"
	"net"
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

// Decode implements kong.MapperValue.
func (s *span) Decode(ctx *kong.DecodeContext) error {
	text, err := value(ctx)
	if err != nil {
		return err
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is no duration: want a number with its unit, like 250ms, 2s or 24h", text)
	}
	low, high := ctx.Value.Tag.Get("min"), ctx.Value.Tag.Get("max")
	if d < mustDuration(low) || d > mustDuration(high) {
		return fmt.Errorf("%v is out of range: want %s to %s", d, low, high)
	}
	*s = span(d)
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

// Decode implements kong.MapperValue.
func (e *even) Decode(ctx *kong.DecodeContext) error {
	text, err := value(ctx)
	if err != nil {
		return err
	}
	low, high := ctx.Value.Tag.Get("min"), ctx.Value.Tag.Get("max")
	least, _ := strconv.Atoi(low)
	most, _ := strconv.Atoi(high)
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most || n%2 != 0 {
		return fmt.Errorf("%q: want an even number from %s to %s", text, low, high)
	}
	*e = even(n)
	return nil
}

// text is a string that is not empty.
type text string

// Decode implements kong.MapperValue.
func (t *text) Decode(ctx *kong.DecodeContext) error {
	s, err := value(ctx)
	*t = text(s)
	return err
}

// address is host:port, with port 0 and an empty host allowed where the tag any is set: there it is listened on.
type address string

// Decode implements kong.MapperValue.
func (a *address) Decode(ctx *kong.DecodeContext) error {
	s, err := value(ctx)
	if err != nil {
		return err
	}
	*a, err = parseAddress(s, ctx.Value.Tag.Has("any"))
	return err
}

func parseAddress(s string, listens bool) (address, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", fmt.Errorf("%q is no address: want host:port, like 127.0.0.1:7946", s)
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

// value reads the flag's value, which may not be empty.
func value(ctx *kong.DecodeContext) (string, error) {
	var s string
	if err := ctx.Scan.PopValueInto("a", &s); err != nil {
		return "", err
	}
	if s == "" {
		return "", errors.New("is empty: give it a value, or leave the flag out")
	}
	return s, nil
}

// addresses is a list of addresses, with commas or from several flags.
type addresses []address

// Decode implements kong.MapperValue.
func (l *addresses) Decode(ctx *kong.DecodeContext) error {
	list, err := value(ctx)
	if err != nil {
		return err
	}
	for s := range strings.SplitSeq(list, ",") {
		a, err := parseAddress(s, false)
		if err != nil {
			return err
		}
		*l = append(*l, a)
	}
	return nil
}

// tags are key=value pairs, each from a flag of its own.
type tags map[string]string

// Decode implements kong.MapperValue.
func (t *tags) Decode(ctx *kong.DecodeContext) error {
	pair, err := value(ctx)
	if err != nil {
		return err
	}
	k, v, ok := strings.Cut(pair, "=")
	if !ok || k == "" {
		return fmt.Errorf("%q is no tag: want key=value, like zone=a", pair)
	}
	if _, twice := (*t)[k]; twice {
		return fmt.Errorf("key %q is given twice: give it once", k)
	}
	if *t == nil {
		*t = make(tags)
	}
	(*t)[k] = v
	return nil
}

// helpWithRange adds what the flag accepts to its help.
func helpWithRange(v *kong.Value) string {
	if low, high := v.Tag.Get("min"), v.Tag.Get("max"); low != "" {
		return fmt.Sprintf("%s %s to %s.", v.Help, low, high)
	}
	return v.Help
}
