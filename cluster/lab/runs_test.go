package lab

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// runs is a folder of results: those in its archive, one a line of JSON, and those in files of their own, which are newer. A
// series in the making writes files; pack puts them into the archive.
type runs struct {
	dir    string
	packed map[string]*result // by the name of the file that it was
}

// runName is what the run of a case is called.
func runName(name string, seed uint64) string {
	return fmt.Sprintf("%s-seed%d", strings.ReplaceAll(name, "/", "-"), seed)
}

func archiveFile(dir string) string { return filepath.Join(dir, "lab", "runs.jsonl.gz") }

// file is where a run is, or will be, before it is packed.
func (r *runs) file(name string, seed uint64) string {
	return filepath.Join(r.dir, "lab", "runs", runName(name, seed)+".json")
}

func openRuns(dir string) (*runs, error) {
	r := &runs{dir: dir, packed: map[string]*result{}}
	buf, err := os.ReadFile(archiveFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(buf))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", archiveFile(dir), err)
	}
	for lines := json.NewDecoder(z); ; {
		var one result
		if err := lines.Decode(&one); err == io.EOF {
			return r, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: after %d runs: %w", archiveFile(dir), len(r.packed), err)
		}
		r.packed[runName(one.Case, one.Seed)] = &one
	}
}

// read returns a run, or an error that is fs.ErrNotExist. The result is the caller's.
func (r *runs) read(name string, seed uint64) (*result, error) {
	one, err := read(r.file(name, seed))
	if errors.Is(err, fs.ErrNotExist) {
		if packed := r.packed[runName(name, seed)]; packed != nil {
			mine := *packed
			return &mine, nil
		}
	}
	return one, err
}

// read reads what -out wrote.
func read(file string) (*result, error) {
	buf, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var one result
	if err := json.Unmarshal(buf, &one); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &one, nil
}

// pack moves the files of jobs into the archive, which is the same, byte for byte, for the same runs.
func (r *runs) pack(all []job) error {
	var files []string
	for _, j := range all {
		file := r.file(j.name, j.seed)
		if _, err := os.Lstat(file); err != nil {
			continue
		}
		one, err := r.read(j.name, j.seed)
		if err != nil {
			return err
		}
		if one.Case != j.name || one.Seed != j.seed {
			return fmt.Errorf("%s: is about %s, seed %d", file, one.Case, one.Seed)
		}
		r.packed[runName(j.name, j.seed)] = one
		files = append(files, file)
	}
	if len(files) == 0 {
		return nil
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	lines := json.NewEncoder(z)
	for _, name := range slices.Sorted(maps.Keys(r.packed)) {
		if err := lines.Encode(r.packed[name]); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	if err := writeWhole(archiveFile(r.dir), b.Bytes()); err != nil {
		return err
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	os.Remove(filepath.Join(r.dir, "lab", "runs")) // if nothing else is there
	return nil
}
