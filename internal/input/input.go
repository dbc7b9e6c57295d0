// Package input reads the small files that flags name: configurations, keys, tokens, certificates.
//
// Nobody knows what stands at a path. What is read has a bound, so that the wrong file costs an
// error and no memory. And a pipe is read once: a shell's <(…) is as good as a file at the start,
// but whoever opens it again finds it empty, or waits for a writer for ever.
package input

import (
	"fmt"
	"io"
	"io/fs"
	"os"
)

// File reads a file of at most a number of bytes, and says what kind of file it was. A file that is
// read again has to be a regular one. Errors name the file.
func File(path string, most int, again bool) (text []byte, info fs.FileInfo, err error) {
	if again { // before it is opened, which may wait
		if err := regular(path); err != nil {
			return nil, nil, err
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, nil, err
	}
	if info.IsDir() {
		return nil, nil, fmt.Errorf("%s is a directory: give a file", path)
	}
	if size := info.Size(); info.Mode().IsRegular() && size > int64(most) {
		return nil, nil, fmt.Errorf("%s has %d bytes: want at most %d", path, size, most)
	}
	text, err = All(f, path, most)
	return text, info, err
}

// All reads at most a number of bytes to the end. The name is for the error about more.
func All(r io.Reader, name string, most int) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err == nil && len(text) > most {
		err = fmt.Errorf("%s has more than %d bytes: want at most %[2]d", name, most)
	}
	if err != nil {
		return nil, err
	}
	return text, nil
}

// regular refuses what a second reading would find empty, or wait for. A directory has an error of
// its own.
func regular(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() && !info.IsDir() {
		return fmt.Errorf("%s is no regular file (%v), and is read more than once: give a file", path, info.Mode().Type())
	}
	return nil
}
