// Command pulsering runs a member of a Pulsering cluster, and asks a running member what it sees.
//
//	pulsering demo      a cluster of five on this machine, nothing to set up
//	pulsering node      run a member; events on standard output, log on standard error
//	pulsering members   the members as a running node sees them
//	pulsering events    follow what a running node learns
//	pulsering keygen    make a key that encrypts a cluster's traffic
//	pulsering version   the version of this binary
//
// It exits with 0 when all went well, 1 when something failed while running, 2 when it was used in a wrong way, and 128
// plus the signal's number when a signal cut it short.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/pulsering/pulsering/cluster"
)

type cli struct {
	Demo    demoCmd    `cmd:"" help:"Watch five members form a ring on this machine, lose one, say so and take it back."`
	Node    nodeCmd    `cmd:"" help:"Run a member of a cluster."`
	Members membersCmd `cmd:"" help:"Show the members as a running node sees them."`
	Events  eventsCmd  `cmd:"" help:"Follow what a running node learns about the others."`
	Keygen  keygenCmd  `cmd:"" help:"Print a new key for a key file."`
	Version versionCmd `cmd:"" help:"Print the version of this binary."`
}

// console is where a command writes to.
type console struct {
	out, err io.Writer
	outTTY   bool // out is a terminal: it may be redrawn
	outColor bool // and colours are wanted there
	errColor bool
}

func main() {
	ctx, stop := untilSignal(context.Background())
	con := console{out: os.Stdout, err: os.Stderr}
	con.outTTY = isTerminal(os.Stdout)
	con.outColor = con.outTTY && os.Getenv("NO_COLOR") == ""
	con.errColor = isTerminal(os.Stderr) && os.Getenv("NO_COLOR") == ""
	code := run(ctx, os.Args[1:], con)
	stop()
	os.Exit(code)
}

const (
	exitFailed = 1
	exitUsage  = 2
)

// run does what the arguments say and returns the exit code.
func run(ctx context.Context, args []string, con console) int {
	var helped bool
	parser, err := kong.New(&cli{},
		kong.Name("pulsering"),
		kong.Description("Tells the members of a cluster which of them are up, suspect, down or gone, within a second.\n\n"+
			"New here? Run: pulsering demo"),
		kong.Writers(con.out, con.err),
		kong.Exit(func(int) { helped = true }), // only --help calls it, and parsing goes on
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 110}),
		kong.ValueFormatter(helpWithRange),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(con))
	if err != nil {
		panic(err) // the grammar above is wrong, whatever the arguments
	}
	if len(args) == 0 {
		parser.Stdout = con.err
		parser.Parse([]string{"--help"})
		return exitUsage
	}
	command, err := parser.Parse(args)
	if helped {
		return 0
	}
	if err != nil {
		fmt.Fprintf(con.err, "pulsering: error: %v\n", err)
		var wrong *kong.ParseError
		if !errors.As(err, &wrong) || wrong.ExitCode() == exitFailed { // a hook of kong's failed: --help could not be written
			return exitFailed
		}
		help := "pulsering --help"
		if c := wrong.Context.Selected(); c != nil {
			help = c.FullPath() + " --help"
		}
		fmt.Fprintf(con.err, "Run %q to see what is possible.\n", help)
		return exitUsage
	}
	if err := command.Run(); err != nil {
		fmt.Fprintf(con.err, "pulsering: error: %v\n", err)
		if errors.Is(err, cluster.ErrConfig) {
			fmt.Fprintf(con.err, "Run %q to see what is possible.\n", command.Selected().FullPath()+" --help")
			return exitUsage
		}
		var s signalled
		if errors.Is(err, context.Canceled) && errors.As(context.Cause(ctx), &s) {
			return s.exitCode()
		}
		return exitFailed
	}
	return 0
}

// signalled is the cause of a context that a signal ended.
type signalled struct{ os.Signal }

func (s signalled) Error() string { return "stopped by a signal: " + s.String() }

// Is makes it the kind of error that any cancelled context gives.
func (s signalled) Is(target error) bool { return target == context.Canceled }

// exitCode follows the shells: 130 for an interrupt, 143 for a termination.
func (s signalled) exitCode() int {
	if n, ok := s.Signal.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return exitFailed
}

// untilSignal returns a context that ends with the first SIGINT or SIGTERM. The second one has its usual effect, so
// that whatever hangs can be stopped at once.
func untilSignal(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			cancel(signalled{s})
		case <-ctx.Done():
			signal.Stop(signals)
		}
	}()
	return ctx, func() { cancel(nil) }
}
