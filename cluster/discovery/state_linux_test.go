package discovery

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// TestStateOnAFullDisk fills a small disk of its own.
func TestStateOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=0700"); err != nil {
		t.Skipf("cannot mount a small disk, which root can: %v", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	s := open(t, dir)
	defer s.Close()
	save(t, s, 1, b1)

	fill := filepath.Join(dir, "fill")
	full, err := os.Create(fill)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = full.Write(make([]byte, 4096))
	}
	full.Close()
	err = s.Save([]Member{c1}, 2)
	wantError(t, err, dir, "stays as it was")
	if !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, tempFile)); err == nil {
		t.Error("half a file is left")
	}
	wantLast(t, s, 2, b1.Addr, c1.Addr) // in memory

	t.Log("a restart on the full disk")
	s.Close()
	s = open(t, dir)
	defer s.Close()
	wantLast(t, s, 1, b1.Addr)
	if s.Warning() != nil {
		t.Error(s.Warning())
	}
	_, err = Open(dir)
	wantError(t, err, "in use by")

	t.Log("there is room again")
	os.Remove(fill)
	save(t, s, 3, c1)
	s.Close()
	s = open(t, dir)
	defer s.Close()
	wantLast(t, s, 3, b1.Addr, c1.Addr)
}

// TestStateWithPipes: whoever opens one waits for its other end.
func TestStateWithPipes(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{stateFile, tempFile, ownerFile, lockFile} {
		if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Open(dir)
	wantError(t, err, lockFile, "no regular file")
	os.Remove(filepath.Join(dir, lockFile))
	s := open(t, dir)
	wantError(t, s.Warning(), "want a file", "state.bad")
	save(t, s, 1, b1)
	_, err = parse(t, "file:"+filepath.Join(dir, badFile)).Discover(t.Context())
	wantError(t, err, "want a file")
}

// TestStateThatMayNotBeUsed runs as a user who may not.
func TestStateThatMayNotBeUsed(t *testing.T) {
	parent := t.TempDir()
	runtime.LockOSThread() // for good: the thread ends with the test
	if os.Getuid() == 0 {
		for dir := parent; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			os.Chmod(dir, 0o755)
		}
		defer syscall.Setfsuid(0)
		if err := syscall.Setfsuid(65534); err != nil {
			t.Skip(err)
		}
	} else {
		os.Chmod(parent, 0o500)
	}
	_, err := Open(filepath.Join(parent, "new"))
	wantError(t, err, parent, "permission denied", "may write to")
	_, err = Open(parent)
	wantError(t, err, parent, "permission denied", "may write to")
}
