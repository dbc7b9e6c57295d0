//go:build unix && !solaris && !aix

package main

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Nobody but the owner may open the socket, whatever the umask is, and the mask stays what it was.
func TestControlMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	before := syscall.Umask(0)
	defer syscall.Umask(before)
	l, err := listenControl(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if mask := syscall.Umask(0); mask != 0 {
		t.Errorf("the umask has become %o", mask)
	}
	l.Close()
	l.Close()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

// The socket of a node that has crashed is taken over, and nothing else is touched.
func TestControlPaths(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	stale, err := net.Listen("unix", in("stale"))
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	stale.Close()
	live, err := net.Listen("unix", in("live"))
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	for _, err := range []error{
		os.WriteFile(in("file"), []byte("mine"), 0o600), os.Mkdir(in("dir"), 0o700),
		os.Symlink(in("nothing"), in("dangling")), os.Symlink(in("stale"), in("link")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, says := range map[string]string{
		"live": "another process listens", "file": "is no socket", "dir": "is no socket", "dangling": "is no socket", "link": "is no socket",
		"none/s": "make the directory first", "file/s": "not a directory",
		strings.Repeat("x", longestSocket): "at most 103",
		"stale":                            "", "new": "",
	} {
		l, err := listenControl(in(name))
		if err == nil {
			l.Close()
		}
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%.20s: %v; want %q", name, err, says)
		}
	}
	if b, err := os.ReadFile(in("file")); err != nil || string(b) != "mine" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := net.Dial("unix", in("live")); err != nil {
		t.Errorf("the socket of another process is gone: %v", err)
	}
}

// At its end a node removes its own socket, and not the one that has taken its place.
func TestControlRemovesItsOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	first, err := listenControl(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil { // by an operator
		t.Fatal(err)
	}
	second, err := listenControl(path)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	first.Close()
	if c, err := net.Dial("unix", path); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
}

// Of many that find a stale socket at the same moment one gets it, and keeps it.
func TestControlAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for range 20 {
		stale, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		stale.(*net.UnixListener).SetUnlinkOnClose(false)
		stale.Close()
		var got []net.Listener
		var mu sync.Mutex
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if l, err := listenControl(path); err == nil {
					mu.Lock()
					defer mu.Unlock()
					got = append(got, l)
				}
			})
		}
		all.Wait()
		if len(got) != 1 {
			t.Errorf("%d got it", len(got))
		}
		for _, l := range got {
			l.Close()
		}
		os.Remove(path)
	}
}

// A directory that somebody else keeps locked is no place for a socket: who finds a stale one there would race for it.
func TestControlInALockedDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	unlock, err := lockDirectory(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if l, err := listenControl(path); err == nil || !strings.Contains(err.Error(), "keeps the directory "+filepath.Dir(path)+" locked: end it") {
		t.Errorf("%v, %v", l, err)
	}
	unlock()
	l, err := listenControl(path)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}
