package nat

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func openMemory(t *testing.T) (*Memory, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "new", "networks.json")
	m, err := OpenMemory(path)
	if err != nil {
		t.Fatal(err)
	}
	return m, path
}

func someRecord(id string, at time.Time) Record {
	return Record{
		Network: Network{ID: id, Name: "10.0.0.0/24"}, Server: "gate:1", Held: 45 * time.Second, Forgotten: time.Minute, How: Silence,
		At: at, Losses: 2, LostAt: at.Add(-time.Hour),
	}
}

func TestMemoryKeeps(t *testing.T) {
	m, path := openMemory(t)
	want := someRecord("a", noon)
	if err := m.Save(want, noon); err != nil {
		t.Fatal(err)
	}
	other := someRecord("b", noon)
	other.Held, other.Forgotten = time.Minute, 0
	if err := m.Save(other, noon); err != nil {
		t.Fatal(err)
	}
	again, err := OpenMemory(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []Record{want, other} {
		if got, ok := again.Load(r.Network, r.Server, noon.Add(time.Hour)); !ok || got != r {
			t.Errorf("%+v, %v; want %+v", got, ok, r)
		}
	}
	if _, ok := again.Load(want.Network, "gate:2", noon); ok {
		t.Error("another server is known")
	}
	want.Held = 50 * time.Second
	if err := again.Save(want, noon); err != nil {
		t.Fatal(err)
	}
	if got, _ := m.Load(want.Network, want.Server, noon); got != want {
		t.Errorf("%+v; want the later one", got)
	}
	if runtime.GOOS != "windows" {
		for file, mode := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != mode {
				t.Errorf("%s: %v, %v; want %v", file, info.Mode(), err, mode)
			}
		}
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("files are left: %v", left)
	}
}

// Too old, and too many, are forgotten. A record of the future, as a clock was set back, makes no
// room for itself for ever.
func TestMemoryIsBounded(t *testing.T) {
	m, path := openMemory(t)
	for i := range 2 * maxRecords {
		at := noon.Add(time.Duration(i) * time.Second)
		if err := m.Save(someRecord(fmt.Sprint(i), at), at); err != nil {
			t.Fatal(err)
		}
	}
	now := noon.Add(time.Hour)
	list, err := m.read()
	if err != nil || len(list) != maxRecords || list[0].ID != "127" || list[maxRecords-1].ID != "64" {
		t.Errorf("%d records, the first %v, %v", len(list), list[0].ID, err)
	}
	if info, _ := os.Stat(path); info.Size() > maxFile/4 {
		t.Errorf("%d bytes", info.Size())
	}
	if err := m.Save(someRecord("future", now.Add(24*time.Hour)), now); err != nil {
		t.Fatal(err)
	}
	if _, ok := m.Load(Network{ID: "127"}, "gate:1", now); !ok {
		t.Error("the latest is forgotten")
	}
	if _, ok := m.Load(Network{ID: "future"}, "gate:1", now); ok {
		t.Error("one of the future takes the place of others")
	}
	late := noon.Add(maxAge + time.Hour)
	if _, ok := m.Load(Network{ID: "127"}, "gate:1", late); ok {
		t.Error("one that is too old is known")
	}
	if err := m.Save(someRecord("new", late), late); err != nil {
		t.Fatal(err)
	}
	if list, _ := m.read(); len(list) != 1 {
		t.Errorf("%d records, want the new one", len(list))
	}
}

// A damaged file is said, ignored, and replaced.
func TestMemoryIsDamaged(t *testing.T) {
	for what, text := range map[string]string{
		"half a file":    `{"version":1,"networks":[{"id":"a","na`,
		"empty":          ``,
		"no JSON":        "\x00\x01\x02",
		"of the future":  `{"version":2,"networks":[]}`,
		"negative":       `{"version":1,"networks":[{"id":"a","held_ms":-5,"at":"2026-05-01T12:00:00Z"}]}`,
		"a year":         `{"version":1,"networks":[{"id":"a","held_ms":31536000000,"at":"2026-05-01T12:00:00Z"}]}`,
		"upside down":    `{"version":1,"networks":[{"id":"a","held_ms":60000,"forgotten_ms":30000,"at":"2026-05-01T12:00:00Z"}]}`,
		"without a name": `{"version":1,"networks":[{"held_ms":60000,"at":"2026-05-01T12:00:00Z"}]}`,
		"too long":       `{"version":1,"networks":[]}` + strings.Repeat(" ", maxFile),
	} {
		path := filepath.Join(t.TempDir(), "m.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := OpenMemory(path)
		if m == nil || !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", what, err)
			continue
		}
		r := someRecord("a", noon)
		if _, ok := m.Load(r.Network, r.Server, noon); ok {
			t.Errorf("%s: something is known", what)
		}
		if err := m.Save(r, noon); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got, ok := m.Load(r.Network, r.Server, noon); !ok || got != r {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

func TestMemoryRefuses(t *testing.T) {
	m, path := openMemory(t)
	r := someRecord("a", noon)
	r.Held = r.Forgotten
	if err := m.Save(r, noon); err == nil || !strings.Contains(err.Error(), "held 1m0s, forgotten 1m0s") {
		t.Errorf("%v", err)
	}
	if _, err := OpenMemory(""); err == nil {
		t.Error("no path is a path")
	}
	if err := os.MkdirAll(path, 0o700); err != nil { // a folder in its place
		t.Fatal(err)
	}
	if _, err := OpenMemory(path); err == nil {
		t.Error("a folder is no file")
	}
	if err := m.Save(someRecord("a", noon), noon); err == nil {
		t.Error("a folder was replaced")
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("files are left: %v", left)
	}
}

// Readers find a whole file at any time.
func TestMemoryIsWholeAtAnyTime(t *testing.T) {
	m, path := openMemory(t)
	if err := m.Save(someRecord("a", noon), noon); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for n := range 2 {
		wg.Go(func() {
			own, _ := OpenMemory(path)
			for i := range 50 {
				if err := own.Save(someRecord(fmt.Sprint(n, i), noon), noon); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 500 {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if list, err := parseMemory(b); err != nil || len(list) == 0 {
			t.Fatalf("%d records, %v", len(list), err)
		}
	}
}

func FuzzMemoryFile(f *testing.F) {
	f.Add([]byte(`{"version":1,"networks":[{"id":"a","held_ms":5,"at":"2026-05-01T12:00:00Z","how":"reset"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parseMemory(b)
		if err != nil {
			return
		}
		for _, r := range kept(list, noon) {
			if got := r.record(); got.Held < 0 || got.Held > MaxSleep || got.Forgotten > MaxSleep || got.Network.ID == "" {
				t.Errorf("%+v", got)
			}
		}
	})
}
