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

// holdsCommas tells whether a comma is part of a seed, as in a path or a command, and ends none.
func holdsCommas(spec string) bool {
	_, err := discovery.Parse(spec + ",")
	return err == nil
}

func parseSeeds(list string, _ *kong.Tag, to *seeds) error {
	specs := strings.Split(list, ",")
	if holdsCommas(list) {
		specs = []string{list}
	}
	var errs []error
	for _, spec := range specs {
		spec = strings.TrimSpace(spec)
		if len(specs) > 1 && holdsCommas(spec) {
			errs = append(errs, fmt.Errorf("%q: no list takes it, "+
				"for it may have commas itself: give it a --join of its own", spec))
			continue
		}
		source, err := discovery.Parse(spec)
		if err != nil {
			text := strings.TrimPrefix(err.Error(), "discovery: ") // whose name no user knows
			errs = append(errs, errors.New(text))
		} else if s := seed(source.String()); !slices.Contains(*to, s) {
			*to = append(*to, s)
		}
	}
	return errors.Join(errs...)
}

// isAddress tells a seed that is an address, with its port, from one to look addresses up by.
func (s seed) isAddress() bool {
	source, _ := discovery.Parse(string(s)) // there is no error: that is how it was made
	_, is := source.(discovery.Address)
	return is
}

// addresses are the seeds that are addresses.
func (s seeds) addresses() []string { return s.which(true) }

// lookups are the seeds that are no addresses.
func (s seeds) lookups() []string { return s.which(false) }

func (s seeds) which(addresses bool) (all []string) {
	for _, spec := range s {
		if spec.isAddress() == addresses {
			all = append(all, string(spec))
		}
	}
	return all
}
