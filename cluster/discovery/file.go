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

// file is a source that reads a file at each ask.
type file struct {
	spec string
	path string // absolute: it stays the same file where the process changes its directory
}

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
	return file{spec, path}, nil
}

func (f file) String() string { return f.spec }

// Discover reads the file.
func (f file) Discover(context.Context) ([]string, error) {
	text, err := readFile(f.path, maxText)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w (yet): it is tried again; want a file of addresses, one a line", err)
	}
	if err != nil {
		return nil, told(f, []error{err})
	}
	addrs, errs := parseList(text)
	return addrs, told(f, errs)
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
