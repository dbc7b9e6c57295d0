// Package command runs the commands that an operator gives: hooks, checks, programs that print
// seeds, and whatever else a flag may name.
//
// Think of an errand boy with a watch. He is sent with a note, has so long, and is called back when
// the time is over; who does not come is fetched. Whatever he set in motion on the way ends with
// the errand.
//
// The contract of [Command.Run]:
//
//   - A command is a line for the shell: sh -c on Unix, cmd /C on Windows; or a program and its
//     arguments, which no shell reads. Data reaches it by its environment and its standard input
//     alone, never by the line, so that no data is ever obeyed by the shell.
//   - It runs in a process group of its own (on Windows: a job). When its time is over, or the
//     context ends, the whole group is asked to end (SIGTERM), and killed after [Command.Grace].
//     What it leaves behind in its group is killed when it ends, after a moment to write what it
//     still has to say. Who leaves the group, as a daemon does, is let go.
//   - Its output is cut into lines of bounded length. Beyond the first 64 KiB it is read at 1 MiB a
//     second: a command that floods it waits at its own end of the pipe, and costs next to nothing
//     here. [Command.Stdout] is given the bytes as they come instead, and sees to its own bounds.
//   - It does not outlive this process where the system can see to that, see [Tie].
//
// A child inherits which signals are ignored: a process that runs commands should catch SIGPIPE
// (signal.Notify), not ignore it, or "yes | head -1" will not end as usual.
package command

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// DefaultGrace is the default of [Command.Grace].
const DefaultGrace = 2 * time.Second

// A Command is a line for the shell, or a program, and what it is given.
type Command struct {
	// Line is for the shell to read.
	Line string
	// Args are a program, found as a shell finds it, and its arguments. Where there are any they
	// run, and Line does not.
	Args []string
	// Env is added to the environment of this process, each as name=value. NUL bytes are an error.
	Env []string
	// Stdin is what it reads. Nil: nothing.
	Stdin []byte
	// Limit is how long it may take. Zero: as long as the context.
	Limit time.Duration
	// Grace is how long it has to end once it was asked to, and what it leaves behind to write.
	// Zero: DefaultGrace.
	Grace time.Duration
	// Output is told each line that the command writes to its standard output or error, without its
	// end and at most [MaxLine] bytes long. The bytes are the command's: quote them wherever they
	// are shown. Calls do not overlap, and none comes after Run has returned. Nil: nobody is told.
	Output func(line string)
	// Stdout is given what the command writes to its standard output, of which Output is then told
	// nothing. An error of it closes the pipe. Nil: Output is told.
	Stdout io.Writer
}

var errLimit = errors.New("time is over")

// Run runs the command and waits for its end: for Limit and Grace at most, unless the kernel itself
// cannot end it. The error is an [ExitError] for a command that ended with anything but success,
// says that it took too long, is the context's cause where that ended it, or says why the shell, or
// the program, cannot run.
func (c Command) Run(ctx context.Context) error {
	runtime.LockOSThread() // for Tie; Wait would occupy a thread anyway
	defer runtime.UnlockOSThread()

	limited := ctx
	if c.Limit > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeoutCause(ctx, c.Limit, errLimit)
		defer cancel()
	}
	out := &lines{emit: c.Output}
	defer out.end()
	cmd := c.prepare(limited)
	cmd.Env = append(cmd.Environ(), c.Env...)
	if c.Stdin != nil {
		cmd.Stdin = bytes.NewReader(c.Stdin)
	}
	cmd.Stdout, cmd.Stderr = out, out
	if c.Stdout != nil {
		cmd.Stdout = c.Stdout
	}
	cmd.WaitDelay = cmp.Or(c.Grace, DefaultGrace)
	tie := Tie(cmd, true)
	defer tie.Release()
	var stopped atomic.Bool
	cmd.Cancel = func() error {
		stopped.Store(true)
		return tie.Terminate()
	}

	if err := cmd.Start(); err != nil {
		if limited.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("cannot run %s: %w", cmd.Args[0], err)
	}
	tie.Started()
	err := cmd.Wait()
	tie.Kill()
	if cmd.ProcessState == nil {
		return err // the system has lost it
	}
	exit := ExitOf(cmd.ProcessState)
	switch {
	case stopped.Load() && ctx.Err() != nil:
		return context.Cause(ctx)
	case stopped.Load():
		return fmt.Errorf("still ran after %v: stopped", c.Limit)
	case exit.OK():
		return nil
	}
	return ExitError{exit}
}

// prepare makes what runs Args, or the system's own way to run Line, see shellArgs.
func (c Command) prepare(ctx context.Context) *exec.Cmd {
	args, attr := c.Args, (*syscall.SysProcAttr)(nil)
	if len(args) == 0 {
		args, attr = shellArgs(c.Line)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.SysProcAttr = attr
	return cmd
}
