package discovery

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func parse(t *testing.T, spec string) Source {
	t.Helper()
	s, err := Parse(spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func wantAddrs(t *testing.T, s Source, want ...string) {
	t.Helper()
	addrs, err := s.Discover(t.Context())
	if err != nil || !slices.Equal(addrs, want) {
		t.Fatalf("got %q, %v, want %q", addrs, err, want)
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "seeds")
	s := parse(t, "file:"+path)

	t.Log("not there yet")
	_, err := s.Discover(t.Context())
	wantError(t, err, "file:", path, "yet")

	t.Log("there")
	write(t, path, "10.0.0.1\n")
	wantAddrs(t, s, "10.0.0.1:7946")
	t.Log("written in place")
	write(t, path, "10.0.0.2\n")
	wantAddrs(t, s, "10.0.0.2:7946")
	t.Log("renamed over by an editor")
	write(t, path+"~", "10.0.0.3\n")
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
	wantAddrs(t, s, "10.0.0.3:7946")
	t.Log("empty")
	write(t, path, "")
	wantAddrs(t, s)
	t.Log("half of it wrong")
	write(t, path, "10.0.0.1\n10.0.0.2:none\n")
	addrs, err := s.Discover(t.Context())
	if !slices.Equal(addrs, []string{"10.0.0.1:7946"}) {
		t.Errorf("got %q", addrs)
	}
	wantError(t, err, "line 2", "10.0.0.2:none")
	t.Log("as long as may be, and longer")
	text := "10.0.0.1\n#" + strings.Repeat("x", maxText)
	write(t, path, text[:maxText])
	wantAddrs(t, s, "10.0.0.1:7946")
	write(t, path, text[:maxText+1])
	_, err = s.Discover(t.Context())
	wantError(t, err, "too long", "262144")
	t.Log("gone again")
	os.Remove(path)
	_, err = s.Discover(t.Context())
	wantError(t, err, "yet")
	t.Log("a directory")
	_, err = parse(t, "file:"+dir).Discover(t.Context())
	wantError(t, err, "is a directory")
}

// TestFileOfConfigMap: the kubelet turns the link ..data to a new directory, as here.
func TestFileOfConfigMap(t *testing.T) {
	dir := t.TempDir()
	publish := func(version, text string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, version, "seeds"), text)
		next := filepath.Join(dir, "..data_tmp")
		if err := os.Symlink(version, next); err != nil {
			t.Skipf("no links here: %v", err)
		}
		if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	publish("..1", "a\n")
	if err := os.Symlink(filepath.Join("..data", "seeds"), filepath.Join(dir, "seeds")); err != nil {
		t.Fatal(err)
	}
	s := parse(t, "file:"+filepath.Join(dir, "seeds"))
	wantAddrs(t, s, "a:7946")
	publish("..2", "b\n")
	wantAddrs(t, s, "b:7946")
}

func TestFileIsAPathOrURL(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("its paths have letters")
	}
	path := filepath.Join(t.TempDir(), "seeds")
	write(t, path, "a")
	wantAddrs(t, parse(t, "file://"+path), "a:7946")
	wantAddrs(t, parse(t, "FILE://localhost"+path), "a:7946")
	t.Chdir(filepath.Dir(path))
	s := parse(t, "file:seeds")
	t.Chdir("/") // it stays that file
	wantAddrs(t, s, "a:7946")
}

// TestFileIsAFile: whoever opens a pipe, or reads a device, may wait for ever.
func TestFileIsAFile(t *testing.T) {
	dir, err := os.MkdirTemp("", "s") // short: a socket's path has a hundred bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "socket")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	_, err = parse(t, "file:"+path).Discover(t.Context())
	wantError(t, err, "want a file")
	if runtime.GOOS != "windows" {
		_, err = parse(t, "file:/dev/zero").Discover(t.Context())
		wantError(t, err, "want a file")
	}
}
