//go:build !unix

package discovery

import "os/exec"

func ownGroup(*exec.Cmd) {}

// killGroup kills the program alone: what it started goes on.
func killGroup(cmd *exec.Cmd) error { return cmd.Process.Kill() }
