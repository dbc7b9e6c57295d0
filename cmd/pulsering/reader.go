package main

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/alecthomas/kong"
)

// reader reads flags and keeps what is wrong with them, so that all of it can be said at once: kong stops at the first error.
type reader struct {
	wrong []error
	given map[*kong.Value]*given // the flags that are not left at their defaults
	again bool                   // all was read before: files that were pipes have nothing more to tell
}

// given is what a flag was given, and where.
type given struct {
	source string // where, for people: --beat, PULSERING_BEAT or pulsering.yaml:7
	items  []item // several for flags that may be repeated
}

// item is one value of a flag, as text.
type item struct {
	text string
	at   string // what errors about it begin with
}

// options make kong read the types of flags below.
func (r *reader) options() []kong.Option {
	return []kong.Option{
		reads(r, parseSpan),
		reads(r, parseSpanOrNever),
		reads(r, parseWholeSpan),
		reads(r, parseEven),
		reads(r, parseCount),
		reads(r, func(s string, _ *kong.Tag, t *text) error { *t = text(s); return nil }),
		reads(r, parseChoice),
		reads(r, func(s string, tag *kong.Tag, a *address) (err error) {
			*a, err = parseAddress(s, tag.Has("any"))
			return err
		}),
		reads(r, parseSeeds),
		reads(r, parseTags),
		reads(r, parseOrigins),
		reads(r, parseBool),
		reads(r, parseWebURL),
		reads(r, parseGatewayURL),
		reads(r, parseGatewayAt),
		reads(r, func(s string, _ *kong.Tag, k *keyFile) (err error) { *k, err = readKeyFile(s, r.again); return err }),
		reads(r, func(s string, _ *kong.Tag, t *tokenFile) (err error) { *t, err = readTokenFile(s, r.again); return err }),
		reads(r, func(s string, _ *kong.Tag, f *pemFile) (err error) { *f, err = readPEMFile(s, r.again); return err }),
		kong.ValueFormatter(helpWithRange),
	}
}

// reads makes parse the reader of a type. Kong sees only what it alone knows to be wrong, such as a value that is missing.
func reads[T any](r *reader, parse func(s string, tag *kong.Tag, to *T) error) kong.Option {
	return kong.TypeMapper(reflect.TypeFor[T](), kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
		g, err := r.next(ctx, target)
		if err != nil {
			return err
		}
		for _, it := range g.items {
			var err error
			switch {
			case it.text != "":
				err = parse(it.text, ctx.Value.Tag, target.Addr().Interface().(*T))
			case ctx.Value.Flag == nil: // an argument without a flag
				err = errors.New("is empty: give it a value")
			default:
				err = errors.New("is empty: give it a value, or leave it out")
			}
			for _, err := range each(err) {
				r.wrong = append(r.wrong, fmt.Errorf("%s: %w", it.at, err))
			}
		}
		return nil
	}))
}

// next takes what a flag is given next: by the sources, or by one argument on the command line.
func (r *reader) next(ctx *kong.DecodeContext, target reflect.Value) (*given, error) {
	if r.given == nil {
		r.given = make(map[*kong.Value]*given)
	}
	if g, ok := ctx.Scan.Peek().Value.(*given); ok {
		ctx.Scan.Pop()
		r.given[ctx.Value] = g
		return g, nil
	}
	name := "--" + ctx.Value.Name
	if ctx.Value.Flag == nil {
		name = ctx.Value.Name
	}
	text := "true" // --json alone
	if target.Kind() != reflect.Bool || ctx.Scan.Peek().Type == kong.FlagValueToken {
		if err := ctx.Scan.PopValueInto("a", &text); err != nil {
			return nil, err
		}
	}
	now := &given{source: name, items: []item{{text, name}}}
	if target.Addr().Pointer() != ctx.Value.Target.Addr().Pointer() { // else it is the default
		all := r.given[ctx.Value]
		if all == nil {
			all = &given{source: name}
			r.given[ctx.Value] = all
		}
		all.items = append(all.items, now.items...)
	}
	return now, nil
}

// each takes joined errors apart.
func each(err error) []error {
	var several interface{ Unwrap() []error }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &several):
		return several.Unwrap()
	}
	return []error{err}
}
