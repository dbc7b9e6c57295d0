package discovery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	// DefaultPort is the port of an address that has none: that of cluster.DefaultBind.
	DefaultPort = "7946"

	// limit is how long one ask of a source may take. The resolver gives a name server 5 s before
	// it turns to the next one, and cluster gives all sources together 10 s.
	limit = 8 * time.Second
	// maxAddrs is how many addresses one ask of a source gives: any one is enough to join through.
	maxAddrs = 256
	// maxText is how many bytes of a file or of a program's output are read.
	maxText = 256 << 10
	// maxTold is how many of the errors about single addresses are told.
	maxTold = 4
)

// A Source gives addresses to join through. Its methods may be called from any goroutine.
type Source interface {
	// Discover returns "host:port" addresses, the best ones first. It may return both addresses and
	// an error: the addresses hold, and the error says what is missing. No addresses and no error
	// mean that there are none at present. It blocks until it has an answer or ctx ends.
	Discover(ctx context.Context) ([]string, error)
	// String returns what was parsed, to name the source in errors and logs.
	String() string
}

// Parse returns the source that a text stands for; the package's documentation has the forms. It
// looks nothing up, and opens and starts nothing: a file or program that is not there is an error
// of Discover.
func Parse(spec string) (Source, error) {
	s := strings.TrimSpace(spec)
	scheme, rest, has := strings.Cut(s, ":")
	if !has {
		scheme = ""
	}
	var source Source
	var err error
	switch scheme = strings.ToLower(scheme); {
	case s == "":
		err = errors.New(`want an address like "10.0.0.1:7946", "dns+srv://NAME", "file:PATH" or "exec:COMMAND"`)
	case scheme == "file":
		source, err = parseFile(s, rest)
	case scheme == "exec":
		source, err = parseCommand(s, rest)
	case scheme == "dns+srv":
		source, err = parseSRV(s)
	case strings.Contains(s, "://"):
		err = fmt.Errorf(`unknown scheme %q: want "dns+srv://NAME", "file:PATH", "exec:COMMAND" or an address without one`, scheme)
	default:
		source, err = ParseAddress(s)
	}
	if err != nil {
		return nil, fmt.Errorf("discovery: %q: %w", spec, err)
	}
	return source, nil
}

// All returns a source that asks all of sources side by side. Its answer is what they gave, each
// address once, in the order of sources; its error joins theirs. It waits for the slowest: what
// never changes, an [Address], is better given to cluster.Config.Seeds.
func All(sources ...Source) Source { return all(sources) }

type all []Source

func (a all) Discover(ctx context.Context) ([]string, error) {
	given := make([][]string, len(a))
	errs := make([]error, len(a))
	var asked sync.WaitGroup
	for i, s := range a {
		asked.Go(func() { given[i], errs[i] = s.Discover(ctx) })
	}
	asked.Wait()
	var addrs []string
	seen := map[string]bool{}
	for _, g := range given {
		for _, addr := range g {
			if !seen[addr] {
				seen[addr] = true
				addrs = append(addrs, addr)
			}
		}
	}
	return addrs, errors.Join(errs...)
}

func (a all) String() string {
	names := make([]string, len(a))
	for i, s := range a {
		names[i] = s.String()
	}
	return strings.Join(names, ", ")
}

// told names the source in what went wrong with one ask of it, of which it tells the first few.
func told(source Source, errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	if more := len(errs) - maxTold; more > 0 {
		errs = append(errs[:maxTold:maxTold], fmt.Errorf("and %d more", more))
	}
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	return &askError{fmt.Sprintf("discovery: %q: %s", source, strings.Join(texts, "; ")), errs}
}

// askError is several errors in one line.
type askError struct {
	text string
	errs []error
}

func (e *askError) Error() string   { return e.text }
func (e *askError) Unwrap() []error { return e.errs }
