//go:build unix && !linux

package main

import "syscall"

// ownGroup puts a child into a process group of its own, so that a Ctrl-C at the terminal reaches the parent alone.
// There is no way here to have it end with a parent that is killed: it leaves at its next event, which nobody reads.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
