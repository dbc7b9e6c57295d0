//go:build unix

package main

import (
	"os"
	"syscall"
)

// onTerminal tells whether the process has a controlling terminal: one whose close it gets a SIGHUP for.
func onTerminal() bool {
	f, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	f.Close()
	return true
}
