package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// How the commands find a node that they are not told: by its control socket, in one of the places where a node's --state-dir or
// --control is by custom, or one directory further down, where several nodes run.
//
// Whose a socket is, is not looked at: root asks nodes that run as other users, whom nobody here knows. What keeps strangers out is
// where the places are. /run and /var/lib are root's, who makes a directory there for the user that the node runs as; the home is
// this user's; and the environment is what this user says. One that is kept across su or sudo names another user's places, and
// that user is believed then.

// customaryHTTP is where a node is asked that has no socket: the address of the examples, and of Windows, which has none.
const customaryHTTP = "127.0.0.1:8080"

// socketDirs are the places of sockets.
func socketDirs() (dirs []string) {
	add := func(dir string, below ...string) {
		dir = filepath.Join(append([]string{dir}, below...)...)
		if filepath.IsAbs(dir) && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	if dir := os.Getenv("PULSERING_STATE_DIR"); dir != "" { // as in the container of a node
		add(dir)
	}
	for _, variable := range []string{"XDG_RUNTIME_DIR", "XDG_STATE_HOME"} {
		if dir := os.Getenv(variable); dir != "" {
			add(dir, "pulsering")
		}
	}
	if home, err := os.UserHomeDir(); err == nil {
		add(home, ".local/state/pulsering")
	}
	add("/run/pulsering")
	add("/var/lib/pulsering")
	return dirs
}

// onlySocket returns the one socket in dirs where somebody listens; empty: there is none.
func onlySocket(dirs []string) (string, error) {
	var found, closed []string
	for _, dir := range dirs {
		if _, err := os.ReadDir(dir); errors.Is(err, fs.ErrPermission) {
			closed = append(closed, dir)
		}
		here, _ := filepath.Glob(filepath.Join(quoteGlob(dir), "*.sock"))
		below, _ := filepath.Glob(filepath.Join(quoteGlob(dir), "*", "*.sock"))
		for _, path := range append(here, below...) {
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

// quoteGlob makes a path stand for itself in a pattern.
func quoteGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}
