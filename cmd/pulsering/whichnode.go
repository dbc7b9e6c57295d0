package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Where a node has its control socket unless it is told, and how the commands find it there: of the nodes that run as the same
// user there is mostly one. Only directories are looked at that nobody but that user, or root, can put a file in.

// customaryHTTP is where a node is asked that has no socket: the address of the examples, and of Windows, which has none.
const customaryHTTP = "127.0.0.1:8080"

// socketDirs are the directories of control sockets, the one first that a node of this user makes its own in.
func socketDirs() (dirs []string) {
	add := func(parts ...string) {
		if dir := filepath.Join(parts...); filepath.IsAbs(parts[0]) && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	service, _, _ := strings.Cut(os.Getenv("RUNTIME_DIRECTORY"), ":") // of systemd
	for _, dir := range []string{os.Getenv("PULSERING_STATE_DIR"), service} {
		add(dir)
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		add(dir, "pulsering")
	}
	if os.Getuid() == 0 {
		add("/run/pulsering")
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		add(dir, "pulsering")
	}
	if home, err := os.UserHomeDir(); err == nil {
		add(home, ".local/state/pulsering")
	}
	add("/run/pulsering")
	add("/var/lib/pulsering")
	return dirs
}

// defaultControl is where a node of that name has its socket unless it is told. The directory may have to be made, with mode 0700.
func defaultControl(name string) string {
	return filepath.Join(socketDirs()[0], strings.TrimLeft(url.PathEscape(name), ".")+".sock")
}

// onlySocket returns the one socket in dirs where somebody listens; empty: there is none.
func onlySocket(dirs []string) (string, error) {
	var found, closed []string
	for _, dir := range dirs {
		files, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrPermission) {
			closed = append(closed, dir)
		}
		for _, file := range files {
			path := filepath.Join(dir, file.Name())
			if file.Type() != fs.ModeSocket || filepath.Ext(path) != ".sock" {
				continue
			}
			conn, err := net.DialTimeout("unix", path, time.Second)
			switch {
			case err == nil:
				conn.Close()
				found = append(found, path)
			case errors.Is(err, syscall.EACCES):
				closed = append(closed, path)
			}
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		lines := make([]string, len(found))
		for i, path := range found {
			lines[i] = "\n    --control " + printable(path)
		}
		return "", fmt.Errorf("%d nodes run on this machine: say which one to ask:%s", len(found), strings.Join(lines, ""))
	case len(closed) > 0:
		return "", fmt.Errorf("the node that runs on this machine is another user's (%s): ask as that user, or name its address with --http",
			printable(closed[0]))
	}
	return "", nil
}
