package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/pulsering/pulsering/cluster/discovery"
)

// seeds is where members to join through come from, with commas or from several flags.
type seeds []seed

// seed is one specification: an address, or something to look addresses up by.
type seed string

// lookups begin the seeds that are looked up, and those that end at no comma: a path or a command may have some.
var (
	lookups = []string{"dns+srv://", "file:", "exec:"}
	whole   = []string{"file:", "exec:"}
)

func beginsWith(s string, any []string) bool {
	return slices.ContainsFunc(any, func(start string) bool { return strings.HasPrefix(s, start) })
}

func parseSeeds(list string, _ *kong.Tag, to *seeds) error {
	specs := strings.Split(list, ",")
	if beginsWith(list, whole) {
		specs = []string{list}
	}
	var errs []error
	for _, spec := range specs {
		s, err := parseSeed(strings.TrimSpace(spec))
		if len(specs) > 1 && beginsWith(string(s), whole) {
			err = fmt.Errorf("%q: no list takes it, for it may have commas itself: give it a --join of its own", s)
		}
		if err != nil {
			errs = append(errs, err)
		} else if !slices.Contains(*to, s) {
			*to = append(*to, s)
		}
	}
	return errors.Join(errs...)
}

// parseSeed gives an address without a port the default one.
func parseSeed(s string) (seed, error) {
	if beginsWith(s, lookups) {
		if slices.Contains(lookups, s) {
			return "", fmt.Errorf("%q: want something behind it, like dns+srv://_pulsering._udp.example, file:/run/seeds or exec:COMMAND", s)
		}
		_, err := discovery.Parse(s)
		return seed(s), err
	}
	a, err := discovery.ParseAddress(s)
	if err != nil {
		return "", fmt.Errorf("%q %w", s, err)
	}
	return seed(a), nil
}

// addresses are the seeds that are addresses.
func (s seeds) addresses() (all []string) {
	for _, spec := range s {
		if !beginsWith(string(spec), lookups) {
			all = append(all, string(spec))
		}
	}
	return all
}

// lookups are the seeds that are no addresses.
func (s seeds) lookups() (all []string) {
	for _, spec := range s {
		if beginsWith(string(spec), lookups) {
			all = append(all, string(spec))
		}
	}
	return all
}
