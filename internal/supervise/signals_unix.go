//go:build unix

package supervise

import (
	"errors"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

var (
	// forwarded are passed on. SIGURG is Go's own, SIGCHLD and SIGPIPE are about this process
	// alone, and a stop (SIGTSTP) or its end is for a shell to send to a group.
	forwarded = []os.Signal{
		syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH,
	}
	// endings mean: end. A SIGHUP may mean: read the configuration again.
	endings = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, os.Kill}
	// gentle asks a child to end.
	gentle os.Signal = syscall.SIGTERM
)

// fromKeyboard tells whether a terminal sends s to its whole foreground group.
func fromKeyboard(s os.Signal) bool {
	return slices.Contains([]os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGWINCH}, s)
}

// inForeground tells whether this process's group is the one that its terminal sends to. Without a
// terminal it is not.
func inForeground() bool {
	tty, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer unix.Close(tty)
	group, err := unix.IoctlGetInt(tty, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

func notProgram(err error) bool { return errors.Is(err, syscall.ENOEXEC) }
