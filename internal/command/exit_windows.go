package command

import "os"

// ExitOf tells how a process ended that was waited for.
func ExitOf(state *os.ProcessState) Exit { return Exit{Code: state.ExitCode()} }

// SignalName returns what Go calls it: no process ends by a signal here.
func SignalName(s os.Signal) string { return s.String() }
