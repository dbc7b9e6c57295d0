package command

import (
	"fmt"
	"os"
)

// Exit is how a process ended.
type Exit struct {
	// Code is its exit status, and 128 plus the signal's number where a signal killed it, as shells
	// have it.
	Code int
	// Signal is what killed it. Nil: it ended by itself.
	Signal os.Signal
	// Core says that the kernel wrote a core dump.
	Core bool
}

// OK tells whether it ended with success.
func (e Exit) OK() bool { return e.Code == 0 && e.Signal == nil }

// String returns "exit status 3", or "killed by SIGSEGV (core dumped)".
func (e Exit) String() string {
	switch {
	case e.Signal == nil && e.Code > 0xffff: // Windows: what killed it is a number with a meaning in hexadecimal
		return fmt.Sprintf("exit status %#x", e.Code)
	case e.Signal == nil:
		return fmt.Sprintf("exit status %d", e.Code)
	case e.Core:
		return fmt.Sprintf("killed by %s (core dumped)", SignalName(e.Signal))
	}
	return "killed by " + SignalName(e.Signal)
}

// ExitError is the error of a command that did not end well.
type ExitError struct{ Exit }

// Error implements error: it is the String of the Exit.
func (e ExitError) Error() string { return e.String() }
