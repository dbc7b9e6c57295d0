//go:build unix

package main

import (
	"syscall"
	"time"
)

// files is how many files this process may have open. Go has raised the soft limit to the hard one
// when the process began (package os).
func files() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1 << 30
	}
	return int(min(uint64(limit.Cur), 1<<30))
}

// processorTime is what this process has taken so far.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
