//go:build unix

package input

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A pipe is read once, and has a bound too. Whoever would read it again does not even open it.
func TestPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	for said, want := range map[string]string{"hello": "", strings.Repeat("x", 1000): "has more than 8 bytes: want at most 8"} {
		told := make(chan error, 1)
		go func() {
			w, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err == nil {
				w.WriteString(said)
				err = w.Close()
			}
			told <- err
		}()
		text, info, err := File(path, 8, false)
		if want == "" && (err != nil || string(text) != said || info.Mode().IsRegular()) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.10q: %q, %v, %v", said, text, info, err)
		}
		if err := <-told; err != nil {
			t.Error(err)
		}
	}
	for _, path := range []string{path, "/dev/zero"} {
		if _, _, err := File(path, 8, true); err == nil || !strings.Contains(err.Error(), path+" is no regular file") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, _, err := File("/dev/zero", 8, false); err == nil || !strings.Contains(err.Error(), "/dev/zero has more than 8 bytes") {
		t.Error(err)
	}
}
