//go:build unix

package discovery

import (
	"errors"
	"os"
	"syscall"
)

// syncDir waits until a rename in a directory is on the disk, on file systems that can tell.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	return nil
}
