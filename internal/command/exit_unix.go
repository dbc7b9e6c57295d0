//go:build unix

package command

import (
	"cmp"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ExitOf tells how a process ended that was waited for.
func ExitOf(state *os.ProcessState) Exit {
	status, ok := state.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return Exit{Code: 128 + int(status.Signal()), Signal: status.Signal(), Core: status.CoreDump()}
	}
	return Exit{Code: state.ExitCode()}
}

// SignalName returns "SIGTERM", where Go's own String says "terminated".
func SignalName(s os.Signal) string {
	if n, ok := s.(syscall.Signal); ok {
		return cmp.Or(unix.SignalName(n), n.String())
	}
	return s.String()
}
