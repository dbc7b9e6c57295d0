package input

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, test := range []struct {
		text string
		want string // of the error
	}{
		{"", ""},
		{"12345678", ""},
		{"123456789", path + " has 9 bytes: want at most 8"},
	} {
		if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, again := range []bool{false, true} {
			text, info, err := File(path, 8, again)
			switch {
			case test.want != "":
				if err == nil || err.Error() != test.want {
					t.Errorf("%q: %v; want %s", test.text, err, test.want)
				}
			case err != nil || string(text) != test.text || info.Size() != int64(len(test.text)):
				t.Errorf("%q: %q, %v, %v", test.text, text, info, err)
			}
		}
	}
	for _, again := range []bool{false, true} {
		if _, _, err := File(dir, 8, again); err == nil || err.Error() != dir+" is a directory: give a file" {
			t.Errorf("a directory: %v", err)
		}
		if _, _, err := File(path+"x", 8, again); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path+"x") {
			t.Errorf("no file: %v", err)
		}
	}
}

func TestAll(t *testing.T) {
	if text, err := All(strings.NewReader("12345678"), "it", 8); err != nil || string(text) != "12345678" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := All(strings.NewReader("123456789"), "it", 8); err == nil || err.Error() != "it has more than 8 bytes: want at most 8" {
		t.Error(err)
	}
}
