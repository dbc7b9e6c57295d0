package discovery

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestFileThatHangs: the kernel holds up who opens a file for as long as another has a lease on it,
// as it does with one of a dead file server.
func TestFileThatHangs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seeds")
	write(t, path, "a")
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Skipf("no lease on %s: %v", path, err)
	}
	s := parse(t, "file:"+path)

	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	within(t, func() {
		if _, err := s.Discover(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	within(t, func() {
		_, err := s.Discover(t.Context())
		wantError(t, err, path, "has not ended")
	})

	f.Close() // and so the lease
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if _, err = s.Discover(t.Context()); err == nil {
			return
		}
		if time.Since(began) > 5*time.Second {
			t.Fatal(err)
		}
	}
}
