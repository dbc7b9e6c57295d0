package discovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

func parseFile(spec, path string) (Source, error) {
	if local, ok := strings.CutPrefix(path, "//"); ok { // a URL, RFC 8089
		if local, ok = strings.CutPrefix(local, "localhost"); !ok && !strings.HasPrefix(local, "/") {
			return nil, errors.New("is a file of another host: want file:PATH")
		}
		path = local
	}
	if path == "" {
		return nil, errors.New("has no path: want file:PATH")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// The path is absolute: it stays the same file where the process changes its directory.
	return newTextSource(spec, func(context.Context) ([]byte, error) { return readSeeds(path) }), nil
}

func readSeeds(path string) ([]byte, error) {
	text, err := readFile(path, maxText)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w (yet): it is tried again; want a file of addresses, one a line", err)
	}
	return text, err
}

// readFile reads a regular file of at most a number of bytes. To open a pipe would wait for whoever
// writes to it.
func readFile(path string, most int) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%s is a directory: want a file", path)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is a pipe, socket or device (%v): want a file", path, info.Mode().Type())
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err == nil && len(text) > most {
		err = fmt.Errorf("%s is too long: want at most %d bytes", path, most)
	}
	if err != nil {
		return nil, err
	}
	return text, nil
}
