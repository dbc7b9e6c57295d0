package discovery

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"unicode/utf8"
)

// The state file is a line with its version and the checksum of the rest (CRC-32C, which finds each
// change of up to 32 bits in a row), and JSON, which people can read:
//
//	pulsering-state 1 5b0e33c2
//	{"boot": "1760000000000000", "members": [{"name": "b", "addr": "10.0.0.2:7946"}]}
const (
	stateFile    = "state"
	badFile      = "state.bad" // the last one that could not be understood
	tempFile     = "state.tmp" // one name, which the lock allows: what crashes leave does not pile up
	stateVersion = 1

	maxMemberName = 128 // that of cluster
	maxStateFile  = 256 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// stored is the JSON of the file.
type stored struct {
	Boot    uint64         `json:"boot,string"`
	Members []storedMember `json:"members"`
}

type storedMember struct {
	Name string `json:"name"`
	Addr string `json:"addr"`
}

func (m Member) valid() bool {
	a, err := ParseAddress(m.Addr)
	return err == nil && string(a) == m.Addr && m.Name != "" && len(m.Name) <= maxMemberName && utf8.ValidString(m.Name)
}

func encodeState(m memory) []byte {
	file := stored{Boot: m.boot, Members: []storedMember{}}
	for _, e := range m.members {
		file.Members = append(file.Members, storedMember(e))
	}
	body, err := json.MarshalIndent(file, "", " ")
	if err != nil {
		panic(err) // strings and numbers can be encoded
	}
	body = append(body, '\n')
	return append(stateHeader(stateVersion, body), body...)
}

func stateHeader(version int, body []byte) []byte {
	return fmt.Appendf(nil, "pulsering-state %d %08x\n", version, crc32.Checksum(body, castagnoli))
}

func decodeState(b []byte) (memory, error) {
	first, body, whole := bytes.Cut(b, []byte("\n"))
	var version int
	var sum string
	if n, _ := fmt.Sscanf(string(first[:min(len(first), 64)]), "pulsering-state %d %8s", &version, &sum); n != 2 || !whole {
		return memory{}, errors.New("it does not begin as a state file does")
	}
	if version != stateVersion {
		return memory{}, fmt.Errorf("it has version %d, want %d: another version of the program wrote it", version, stateVersion)
	}
	if want := stateHeader(version, body); !bytes.Equal(b[:len(first)+1], want) {
		return memory{}, fmt.Errorf("its first line is %.64q, want %q by its content: it is cut off or altered", first, want[:len(want)-1])
	}
	var file stored
	if err := json.Unmarshal(body, &file); err != nil {
		return memory{}, err
	}
	if n := len(file.Members); n > maxMembers {
		return memory{}, fmt.Errorf("it has %d members, want at most %d", n, maxMembers)
	}
	m := memory{boot: file.Boot}
	for _, e := range file.Members {
		if !Member(e).valid() {
			return memory{}, fmt.Errorf("the member %.128q at %.128q is none: want a name of 1 to %d bytes and host:port",
				e.Name, e.Addr, maxMemberName)
		}
		m.members = append(m.members, Member(e))
	}
	return m, nil
}

// readState returns what the directory's file holds, also as it is written there, and a warning.
func readState(dir string) (m memory, written []byte, warning error) {
	path := filepath.Join(dir, stateFile)
	os.Remove(filepath.Join(dir, tempFile)) // which a crash left
	b, err := readFile(path, maxStateFile)
	if err == nil {
		if m, err = decodeState(b); err == nil {
			written = b
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return m, nil, looseDir(dir)
	case err == nil:
		return m, b, looseDir(dir)
	}
	kept := "it is kept as " + badFile
	if e := os.Rename(path, filepath.Join(dir, badFile)); e != nil {
		kept = fmt.Sprintf("and it cannot be kept as %s: %v", badFile, e)
	}
	return memory{}, nil, fmt.Errorf("discovery: the state file %s is passed over, so that nothing is known of the time before "+
		"this start, and %s: %w", path, kept, err)
}

// looseDir warns of a directory that others than its owner may write to: what they put there leads
// this node to them.
func looseDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil || runtime.GOOS == "windows" || info.Mode().Perm()&0o022 == 0 { // Windows has access lists instead
		return nil
	}
	return fmt.Errorf("discovery: others may write to the state directory %s (mode %04o): chmod 700 it", dir, info.Mode().Perm())
}

// makeDir makes the directory where there is none.
func makeDir(dir string) error {
	if dir == "" {
		return errors.New("discovery: the path of the state directory is empty: want that of a directory")
	}
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(dir, 0o700); err == nil {
			info, err = os.Stat(dir)
		}
	}
	if err != nil {
		return dirError(dir, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("discovery: the state directory %s is a file: want a directory, or a path where one can be made", dir)
	}
	return nil
}

// dirError says what to do about a directory that cannot be used.
func dirError(dir string, err error) error {
	return fmt.Errorf("discovery: the state directory %s cannot be used: %w: want a directory that this user may write to", dir, err)
}

// replaceState puts a new file in the place of the one before. The libraries for this either leave
// out to sync the directory, without which a crash may bring back the old file, or Windows.
func replaceState(dir string, b []byte) error {
	temp := filepath.Join(dir, tempFile)
	err := writeSynced(temp, b)
	if err == nil {
		err = os.Rename(temp, filepath.Join(dir, stateFile))
	}
	if err != nil {
		os.Remove(temp) // which takes room of a full disk
		return fmt.Errorf("discovery: the state file in %s was not written, and stays as it was: %w", dir, err)
	}
	if err := syncDir(dir); err != nil {
		return fmt.Errorf("discovery: the state directory %s: %w: a crash of the machine may bring back the state file of before", dir, err)
	}
	return nil
}

// writeSynced writes a new file and waits until it is on the disk.
func writeSynced(path string, b []byte) error {
	os.Remove(path)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
