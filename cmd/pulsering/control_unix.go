//go:build unix && !solaris && !aix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// controlSocket is a listener on a Unix socket, whose file goes with it.
type controlSocket struct {
	net.Listener
	path string
	file fs.FileInfo
	once sync.Once
}

// listenControl listens on a Unix socket that only the owner of the process can open. The socket of a node that has crashed is taken
// over, one where somebody listens is not, and neither is any other file.
func listenControl(path string) (net.Listener, error) {
	if len(path) > longestSocket {
		return nil, fmt.Errorf("%.40q… is %d bytes long: want a path of at most %d, which is what the name of a socket may have", path, len(path), longestSocket)
	}
	unlock, err := lockDirectory(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	// The mode has to be right from the start. Other files that the process makes in this instant are made too private, not too open.
	mask := syscall.Umask(0o177)
	listener, err := net.Listen("unix", path)
	syscall.Umask(mask)
	if err != nil {
		return nil, fmt.Errorf("%w: choose another path", err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false) // whose file it is then, see Close
	file, err := os.Lstat(path)
	if err != nil {
		listener.Close()
		return nil, err
	}
	return &controlSocket{Listener: listener, path: path, file: file}, nil
}

// Close implements net.Listener. The file is removed unless another one has taken its place.
func (c *controlSocket) Close() error {
	c.once.Do(func() {
		if now, err := os.Lstat(c.path); err == nil && os.SameFile(now, c.file) {
			os.Remove(c.path)
		}
	})
	return c.Listener.Close()
}

// removeStale removes a socket where nobody listens.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is no socket: choose another path, or remove it", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		conn.Close()
		return fmt.Errorf("another process listens on %s: choose another path, or end it", path)
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	}
	return fmt.Errorf("%w: choose another path, or remove the file", err)
}

// lockDirectory keeps other nodes from making their sockets in a directory at the same moment: of two that find a stale one, the later would
// remove that of the earlier. Where a directory cannot be locked, such as on some network file systems, it does nothing; one that
// somebody else keeps locked is an error after a second, as a node needs the lock for less than that.
func lockDirectory(path string) (unlock func(), err error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: make the directory first, or choose another path", err)
	}
	for range 100 {
		if err = syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != syscall.EWOULDBLOCK {
			return func() { dir.Close() }, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	dir.Close()
	return nil, fmt.Errorf("another process keeps the directory %s locked: end it (fuser -v %[1]s shows it), or choose a path in another directory", path)
}
