//go:build unix

package discovery

import (
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFileIsNoPipe: nobody is waited for who may never write to it.
func TestFileIsNoPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seeds")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		within(t, func() {
			_, err := parse(t, "file:"+path).Discover(t.Context())
			wantError(t, err, path, "is a pipe", "want a file")
		})
	}
}
