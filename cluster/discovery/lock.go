package discovery

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
)

const (
	lockFile = "lock"
	// ownerFile says who has the lock. It is another file because on Windows nobody else can read
	// what is locked.
	ownerFile = "owner"
)

// lock is held on a directory. The system ends it with the process, and no child inherits it.
type lock struct {
	held  *flock.Flock
	owner string // path
}

// lockDir locks a directory, or says who has it.
func lockDir(dir string) (*lock, error) {
	path := filepath.Join(dir, lockFile)
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() { // to open a pipe would wait for its writer
		return nil, fmt.Errorf("discovery: %s is no regular file: remove it, or choose another state directory", path)
	}
	l := &lock{flock.New(path), filepath.Join(dir, ownerFile)}
	free, err := l.held.TryLock()
	if err != nil {
		return nil, dirError(dir, err)
	}
	if !free {
		return nil, fmt.Errorf("discovery: the state directory %s is in use by %s: "+
			"give each node a directory of its own, or end that process", dir, l.holder())
	}
	host, _ := os.Hostname()
	os.Remove(l.owner) // that of a process that was killed
	// Without it, on a full disk, the error of another process says less, and is still right.
	os.WriteFile(l.owner, fmt.Appendf(nil, "process %d on %s", os.Getpid(), host), 0o600)
	return l, nil
}

// holder names the process that has the lock.
func (l *lock) holder() string {
	b, err := readFile(l.owner, 512)
	if err != nil || len(b) == 0 {
		return "another process"
	}
	said := strings.TrimSpace(string(b))
	if quoted := fmt.Sprintf("%q", said); quoted != `"`+said+`"` {
		return quoted
	}
	return said
}

func (l *lock) unlock() error {
	os.Remove(l.owner)
	return l.held.Unlock()
}
