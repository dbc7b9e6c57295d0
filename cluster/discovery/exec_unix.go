//go:build unix

package discovery

import (
	"os/exec"
	"syscall"
)

// ownGroup has a program run in a process group of its own, with all that it starts.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills that group.
func killGroup(cmd *exec.Cmd) error {
	pid := cmd.Process.Pid
	if pid <= 1 {
		return nil // which would be a signal to other groups
	}
	return syscall.Kill(-pid, syscall.SIGKILL)
}
