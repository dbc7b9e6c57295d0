//go:build unix

package command

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

func shellArgs(line string) ([]string, *syscall.SysProcAttr) {
	return []string{"sh", "-c", line}, nil
}

// Tether is the hold on a process and, where it has a group of its own, on that.
type Tether struct {
	cmd   *exec.Cmd
	group bool
}

// Tie prepares cmd, which has not started yet, to be stopped as a whole, and to end with this
// process whatever ends that: by Pdeathsig on Linux and FreeBSD, where the kernel kills the process
// itself and not its children; by a job on Windows, with its children; not at all elsewhere. With
// ownGroup it gets a process group of its own, out of reach of a Ctrl-C at the terminal.
//
// Linux kills the process when the thread ends that started it. So who calls cmd.Start locks its
// thread (runtime.LockOSThread) until cmd.Wait has returned.
func Tie(cmd *exec.Cmd, ownGroup bool) *Tether {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = ownGroup
	endWithParent(cmd.SysProcAttr)
	return &Tether{cmd, ownGroup}
}

// Started has to be called once cmd has started.
func (t *Tether) Started() {}

// Terminate asks the process, or its whole group, to end. The error is os.ErrProcessDone where
// nobody is left.
func (t *Tether) Terminate() error { return t.signal(syscall.SIGTERM) }

// Kill ends the process, or its whole group, even once the process itself was waited for: the group
// keeps its number for as long as one is left in it. Where none is left nothing happens; that the
// number has gone to a new group since Wait returned would take a whole round of process numbers in
// a few microseconds.
func (t *Tether) Kill() { t.signal(syscall.SIGKILL) }

func (t *Tether) signal(s syscall.Signal) error {
	if !t.group {
		return t.cmd.Process.Signal(s)
	}
	err := syscall.Kill(-t.cmd.Process.Pid, s)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// Release gives up what the hold itself takes.
func (t *Tether) Release() {}
