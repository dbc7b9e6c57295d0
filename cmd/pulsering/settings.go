package main

import (
	"context"
	"errors"
	"io"
	"reflect"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/hashicorp/go-hclog"
)

// configFlags make a command read its flags from the environment and a file too.
type configFlags struct {
	Config      text `placeholder:"FILE" help:"YAML file of flags, one key each. A flag beats a variable of the environment (PULSERING_STALL_ALLOWANCE), and that the file."`
	PrintConfig bool `help:"Print the configuration that results, in the form of --config, with where each value comes from, and end."`
}

const (
	sliceKind = reflect.Slice
	mapKind   = reflect.Map
)

// settable are the flags of a command that the environment and a file may set; none: it reads neither.
func settable(command *kong.Node) (flags []*kong.Flag) {
	reads := false
	for _, flag := range command.Flags {
		switch flag.Name {
		case "config":
			reads = true
		case "print-config":
		default:
			flags = append(flags, flag)
		}
	}
	if !reads {
		return nil
	}
	return flags
}

// settings are all that decides what a command does: its flags, its environment and its file, read once.
type settings struct {
	args     []string
	cli      cli
	flags    reader
	command  *kong.Context
	file     string   // that of --config; empty: none
	wrong    []error  // all that is wrong
	broken   error    // what went wrong that no argument can mend
	warnings []string // about what is of no use
	done     bool     // nothing is left to do: it was --help or --version

	inFile map[string]*given // by flag
	loaded bool
}

// parse reads the arguments, and with them the environment and the file that go with the command.
func parse(ctx context.Context, args []string, con console) *settings {
	return (&settings{args: args}).parse(ctx, con)
}

func (s *settings) parse(ctx context.Context, con console) *settings {
	parser, err := kong.New(&s.cli, append(s.flags.options(),
		kong.Name("pulsering"),
		kong.Description("Tells the members of a cluster which of them are up, suspect, down or gone, within a second.\n\n"+
			"New here? Run: pulsering demo"),
		kong.Writers(con.out, con.err),
		kong.Exit(func(int) { s.done = true }), // only --help and --version call it, and parsing goes on
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 110}),
		kong.Resolvers(kong.ResolverFunc(s.resolve)),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(con, s))...)
	if err != nil {
		panic(err) // the grammar is wrong, whatever the arguments
	}
	if len(s.args) == 0 {
		parser.Stdout = con.err
		parser.Parse([]string{"--help"})
		return s
	}
	s.command, err = parser.Parse(s.args)
	if s.done {
		return s
	}
	var unparsed *kong.ParseError
	if err != nil && (!errors.As(err, &unparsed) || unparsed.ExitCode() == exitFailed) {
		s.broken = err // a hook of kong's failed: --help could not be written
		return s
	}
	if err != nil {
		s.command = unparsed.Context
		if unparsed.Context.Error != nil { // kong stopped at the flags: what is wrong elsewhere is worth a word too
			unparsed.Context.Resolve()
		}
		s.wrong = append(s.flags.wrong, err)
		return s
	}
	s.wrong = append(s.flags.wrong, s.check()...)
	return s
}

// check is what is wrong with flags that go together. Each alone has been looked at before.
func (s *settings) check() (wrong []error) {
	if cmd, ok := s.command.Selected().Target.Addr().Interface().(interface{ wrong() []error }); ok {
		for _, err := range cmd.wrong() {
			wrong = append(wrong, s.named(err))
		}
	}
	return wrong
}

// resolve is asked by kong for each flag that the command line leaves out.
func (s *settings) resolve(_ *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	if parent.Command == nil {
		return nil, nil
	}
	if !s.loaded {
		s.loaded = true
		s.load(parent.Command)
	}
	switch {
	case settable(parent.Command) == nil || flag.Name == "print-config":
		return nil, nil
	case flag.Name == "config":
		return asValue(fromEnvironment(flag)), nil
	}
	if g := fromEnvironment(flag); g != nil {
		return g, nil
	}
	return asValue(s.inFile[flag.Name]), nil
}

// asValue is nil where nothing is given, as kong wants it.
func asValue(g *given) any {
	if g == nil {
		return nil
	}
	return g
}

// load reads the file of a command's --config.
func (s *settings) load(command *kong.Node) {
	flags := settable(command)
	if flags == nil {
		return
	}
	var names []string
	for _, flag := range flags {
		names = append(names, flag.Name)
	}
	s.warnings = strangeVariables(names, command.Parent.Children)
	for _, flag := range command.Flags {
		if flag.Name != "config" {
			continue
		}
		g := s.flags.given[flag.Value]
		if g == nil {
			g = fromEnvironment(flag)
		}
		if g == nil {
			return
		}
		last := g.items[len(g.items)-1]
		if s.file = last.text; s.file == "" {
			return // its own reader says so
		}
		var errs []error
		s.inFile, errs = readConfig(s.file, last.at, flags, s.flags.again)
		s.flags.wrong = append(s.flags.wrong, errs...)
	}
}

// warn logs what is of no use.
func (s *settings) warn(log hclog.Logger) {
	for _, warning := range s.warnings {
		log.Warn(warning)
	}
}

// given is what a flag of the command was given; nil: it is left at its default.
func (s *settings) given(flag string) *given {
	for _, f := range s.command.Selected().Flags {
		if f.Name == flag {
			return s.flags.given[f.Value]
		}
	}
	return nil
}

var flagAtStart = regexp.MustCompile(`^--([a-z][a-z-]*)`)

// named has an error begin with the place that the value comes from, where it begins with a flag that was not given as one.
func (s *settings) named(err error) error {
	text := inFlags(err.Error())
	m := flagAtStart.FindStringSubmatch(text)
	if m == nil || s.command == nil || s.command.Selected() == nil {
		return err
	}
	g := s.given(m[1])
	if g == nil || g.items[0].at == m[0] {
		return err
	}
	return renamed{err, g.items[0].at + strings.TrimPrefix(text, m[0])}
}

// renamed is an error in other words.
type renamed struct {
	error
	text string
}

func (r renamed) Error() string { return r.text }
func (r renamed) Unwrap() error { return r.error }

// again reads all of it anew, for a reload.
func (s *settings) again(ctx context.Context) *settings {
	next := &settings{args: s.args}
	next.flags.again = true
	return next.parse(ctx, console{out: io.Discard, err: io.Discard})
}
