// Command pulsering runs a member of a Pulsering cluster, and asks a running member what it sees.
//
//	pulsering demo       a cluster of five on this machine, nothing to set up
//	pulsering node       run a member; events on standard output, log on standard error
//	pulsering members    the members as a running node sees them, once or as they change
//	pulsering events     follow what a running node learns
//	pulsering top        the members and their φ, live in a terminal
//	pulsering explain    why a node thinks of a member what it does
//	pulsering ping       ask a member whether it is there
//	pulsering leave      have a node say goodbye and end
//	pulsering forget     take a member that is down or has left off the list
//	pulsering keys       exchange the keys of a running cluster: list, add, use, remove
//	pulsering gateway    sessions over WebSocket and TCP; events on standard output
//	pulsering connect    a client of a gateway that stays connected
//	pulsering keepalive  what TCP keep-alive does on the path to an address, live
//	pulsering nat        how long this network lets a connection sleep
//	pulsering keygen     make a key that encrypts a cluster's traffic
//	pulsering replay     put recorded heartbeats through the detector
//	pulsering completion for bash, zsh and fish
//	pulsering man        manual pages
//	pulsering version    the version of this binary, as pulsering --version
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
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/pulsering/pulsering/cluster"
)

type cli struct {
	Demo       demoCmd       `cmd:"" help:"Watch five members form a ring on this machine, lose one, say so and take it back."`
	Node       nodeCmd       `cmd:"" help:"Run a member of a cluster."`
	Members    membersCmd    `cmd:"" help:"Show the members as a running node sees them."`
	Events     eventsCmd     `cmd:"" help:"Follow what a running node learns about the others."`
	Gateway    gatewayCmd    `cmd:"" help:"Judge sessions over WebSocket and TCP by their heartbeats."`
	Connect    connectCmd    `cmd:"" help:"Keep a session with a gateway, and show its round-trip times."`
	Keepalive  keepaliveCmd  `cmd:"" help:"Watch what TCP keep-alive does on the path to an address."`
	Nat        natCmd        `cmd:"" help:"Find out how long this network lets a connection to a gateway sleep."`
	Top        topCmd        `cmd:"" help:"Watch the members and their φ live, in a terminal."`
	Explain    explainCmd    `cmd:"" help:"Say why a node thinks of a member what it does."`
	Ping       pingCmd       `cmd:"" help:"Ask a member whether it is there, and how long that takes."`
	Leave      leaveCmd      `cmd:"" help:"Have a node say goodbye and end."`
	Forget     forgetCmd     `cmd:"" help:"Take a member that is down or has left off the list."`
	Keys       keysCmd       `cmd:"" help:"Exchange the keys of a running cluster."`
	Keygen     keygenCmd     `cmd:"" help:"Print a new key for a key file."`
	Replay     replayCmd     `cmd:"" help:"Put recorded heartbeats through the detector, to find the right threshold."`
	Completion completionCmd `cmd:"" help:"Print what makes a shell complete commands, flags and names."`
	Man        manCmd        `cmd:"" help:"Print a manual page."`
	Names      namesCmd      `cmd:"" name:"complete-names" hidden:""`
	Version    versionCmd    `cmd:"" help:"Print the version of this binary."`

	ShowVersion versionFlag `name:"version" help:"Print the version of this binary."`
}

// console is where a command writes to, and what it is asked from there.
type console struct {
	out, err io.Writer
	outTTY   bool // out is a terminal: it may be redrawn
	outColor bool // and colours are wanted there
	errColor bool
	together bool // out and err are the same terminal, pipe or file: what both tell is told twice

	hangups *hangups // what a SIGHUP asks for; nil: nothing
}

func main() {
	ctx, hangups, stop := untilSignal(context.Background())
	errs := newPatientWriter(os.Stderr)
	con := console{out: os.Stdout, err: errs, hangups: hangups}
	con.outTTY = isTerminal(os.Stdout)
	con.outColor = con.outTTY && os.Getenv("NO_COLOR") == ""
	con.errColor = isTerminal(os.Stderr) && os.Getenv("NO_COLOR") == ""
	con.together = isTerminal(os.Stdout) && isTerminal(os.Stderr) || sameFile(os.Stdout, os.Stderr)
	code := run(ctx, os.Args[1:], con)
	stop()
	errs.flush()
	os.Exit(code)
}

const (
	exitFailed = 1
	exitUsage  = 2
)

// run does what the arguments say and returns the exit code.
func run(ctx context.Context, args []string, con console) int {
	s, err := awaited(ctx, func() (*settings, error) { return parse(ctx, args, con), nil })
	if err != nil {
		complain(con, err)
		return failureCode(ctx, err)
	}
	switch {
	case len(args) == 0:
		return exitUsage
	case s.done:
		return 0
	case s.broken != nil:
		complain(con, s.broken)
		return exitFailed
	case len(s.wrong) > 0:
		complain(con, s.wrong...)
		hint(con, s.command)
		return exitUsage
	}
	if s.wantsPrint() {
		for _, warning := range s.warnings {
			fmt.Fprintf(con.err, "pulsering: warning: %s\n", warning)
		}
		if err := s.print(con.out); err != nil {
			complain(con, err)
			return exitFailed
		}
		return 0
	}

	if err = s.command.Run(); err == nil {
		return 0
	}
	var ended serviceEnded
	if errors.As(err, &ended) { // who reads its output knows
		return ended.Code
	}
	complain(con, s.named(err))
	if code, ok := startCode(err); ok {
		return code
	}
	if errors.Is(err, cluster.ErrConfig) {
		hint(con, s.command)
		return exitUsage
	}
	return failureCode(ctx, err)
}

// failureCode is the exit code for an error that may be the signal that ended ctx.
func failureCode(ctx context.Context, err error) int {
	var signal signalled
	if errors.Is(err, context.Canceled) && errors.As(context.Cause(ctx), &signal) {
		return signal.exitCode()
	}
	return exitFailed
}

// awaited is what read returns, as long as ctx lasts. Whoever reads a file may wait for ever, for
// the writer of a pipe or for a network disk that hangs, and no reader of files can be told to
// stop: once ctx ends nobody waits for it, and whatever it returns is lost.
func awaited[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := read()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// complain writes what is wrong, in terms of flags. Errors may have several lines, and quote what other machines said.
func complain(con console, errs ...error) {
	for _, err := range errs {
		lines := strings.Split(inFlags(err.Error()), "\n")
		for i, line := range lines {
			lines[i] = harmless(line)
		}
		fmt.Fprintf(con.err, "pulsering: error: %s\n", strings.Join(lines, "\n"))
	}
}

// hint points at the help of the command that was meant.
func hint(con console, command *kong.Context) {
	path := "pulsering"
	if c := command.Selected(); c != nil {
		path = c.FullPath()
	}
	fmt.Fprintf(con.err, "Run %q to see what is possible.\n", path+" --help")
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

// untilSignal returns a context that ends with the first SIGINT, SIGTERM or SIGHUP, but for a SIGHUP that is taken for a reload.
// A second SIGINT or SIGTERM has its usual effect, so that whatever hangs can be stopped at once. A second SIGHUP has none: a
// terminal that closes may send two of them, and a service manager one right after its SIGTERM. A SIGHUP that was ignored at
// the start stays ignored: the program was started by nohup.
func untilSignal(parent context.Context) (ctx context.Context, hups *hangups, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals, hung := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		hups = newHangups()
		signal.Notify(hung, syscall.SIGHUP)
	}
	go func() {
		var why error
		for why == nil && ctx.Err() == nil {
			select {
			case s := <-signals:
				why = signalled{s}
			case s := <-hung:
				if hups.ends() {
					why = signalled{s}
				}
			case <-ctx.Done():
			}
		}
		signal.Stop(signals) // first: whoever sees that it ends may send the second signal at once
		cancel(why)
	}()
	return ctx, hups, func() {
		cancel(nil)
		signal.Stop(hung)
	}
}
