//go:build unix

package main

import (
	"fmt"
	"os"
	"syscall"
)

// exposedError is about a secret that others than its owner may read. The group of a file of root's may: that is how a
// Kubernetes secret reaches a process that is not root.
func exposedError(path string, info os.FileInfo) error {
	most := os.FileMode(0o700)
	if s, ok := info.Sys().(*syscall.Stat_t); ok && s.Uid == 0 && s.Gid != 0 {
		most = 0o740
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&^most != 0 {
		return fmt.Errorf("others may read it (mode %04o): chmod 600 %s", info.Mode().Perm(), path)
	}
	return nil
}
