package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/internal/input"
)

// A key file holds one base64 key a line. The first one encrypts, all of them decrypt, so that keys can be exchanged
// without a stop: add the new one at the end everywhere, then move it to the front everywhere, then drop the old one.
// Empty lines and lines that begin with # are passed over. Errors name lines and lengths, never the keys.

type keyFile struct {
	path    string
	keys    [][]byte
	exposed bool // others than its owner may read it
}

// ids are the identifiers of the keys, in the file's order.
func (f keyFile) ids() (ids []string) {
	for _, key := range f.keys {
		ids = append(ids, cluster.KeyID(key))
	}
	return ids
}

// ringText is a key ring for people, by identifiers, of which the first is that of the key to
// encrypt with.
func ringText(ids []string) string {
	if len(ids) < 2 {
		return "encrypts with " + strings.Join(ids, "")
	}
	return "encrypts with " + ids[0] + ", has " + strings.Join(ids[1:], ", ")
}

// longestKeys bounds the file, in bytes: a thousand keys.
const longestKeys = 64 << 10

func readKeyFile(path string, again bool) (keyFile, error) {
	text, info, err := input.File(path, longestKeys, again)
	if err != nil {
		return keyFile{}, err
	}
	keys, err := parseKeys(text)
	if err != nil {
		return keyFile{}, fmt.Errorf("%s: %w", path, err)
	}
	return keyFile{path, keys, exposedError(path, info) != nil}, nil
}

func parseKeys(text []byte) ([][]byte, error) {
	var keys [][]byte
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(line)
		if err != nil {
			return nil, fmt.Errorf("line %d is no base64: want one key a line, as \"pulsering keygen\" prints it", n)
		}
		if l := len(key); l != 16 && l != 24 && l != 32 {
			return nil, fmt.Errorf("the key in line %d is %d bytes long: want 16, 24 or 32", n, l)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("holds no key: want one base64 key a line, as \"pulsering keygen\" prints it")
	}
	return keys, nil
}

type keygenCmd struct {
	Out text `placeholder:"FILE" help:"Write it into a new file that nobody else may read. Default: standard output."`
}

func (keygenCmd) Help() string {
	return `The key has 32 bytes (AES-256). Every member of a cluster needs it; whoever has it can join.

    pulsering keygen --out ring.key
    pulsering node --key-file ring.key
`
}

// Run prints one line of a key file.
func (c keygenCmd) Run(con console) error {
	key := make([]byte, 32)
	rand.Read(key) // never fails: it ends the program instead
	line := base64.StdEncoding.EncodeToString(key) + "\n"
	if c.Out == "" {
		_, err := io.WriteString(con.out, line)
		return err
	}
	// A new one: the key that is in a file may be the only one of a cluster.
	f, err := os.OpenFile(string(c.Out), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	_, err = f.WriteString(line)
	return errors.Join(err, f.Close())
}
