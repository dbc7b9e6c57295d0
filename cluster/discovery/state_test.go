package discovery

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func open(t *testing.T, dir string) *State {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func save(t *testing.T, s *State, boot uint64, members ...Member) {
	t.Helper()
	if err := s.Save(members, boot); err != nil {
		t.Fatal(err)
	}
}

// last is Last without names.
func last(s *State) (addrs []string, boot uint64) {
	members, boot := s.Last()
	for _, m := range members {
		addrs = append(addrs, m.Addr)
	}
	return addrs, boot
}

// wantLast compares sets: those who come at one time have no order.
func wantLast(t *testing.T, s *State, boot uint64, want ...string) {
	t.Helper()
	addrs, b := last(s)
	slices.Sort(addrs)
	if !slices.Equal(addrs, want) || b != boot {
		t.Fatalf("Last is %q, %d, want %q, %d", addrs, b, want, boot)
	}
}

var b1, c1 = Member{"b", "10.0.0.2:7946"}, Member{"c", "10.0.0.3:7946"}

func TestStateIsThereAfterARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "deep")
	s := open(t, dir)
	wantLast(t, s, 0)
	if s.Warning() != nil {
		t.Error(s.Warning())
	}
	write(t, filepath.Join(dir, tempFile), "left over")
	save(t, s, 17, b1, c1)
	wantLast(t, s, 17, b1.Addr, c1.Addr)
	s.Close()
	s.Close() // does nothing
	wantError(t, s.Save(nil, 18), "closed")

	s = open(t, dir)
	wantLast(t, s, 17, b1.Addr, c1.Addr)
	if addrs, err := s.Discover(t.Context()); len(addrs) != 2 || err != nil {
		t.Errorf("Discover gives %q, %v", addrs, err)
	}
	if s.Warning() != nil {
		t.Error(s.Warning())
	}
	if runtime.GOOS == "windows" {
		return
	}
	for name, mode := range map[string]fs.FileMode{".": 0o700, "state": 0o600, "lock": 0o600, "owner": 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: mode %v, %v, want %v", name, info.Mode(), err, mode)
		}
	}
}

func TestStateKeepsWhoIsGoneBehindWhoIsUp(t *testing.T) {
	s := open(t, t.TempDir())
	save(t, s, 5, b1, c1)
	save(t, s, 4, c1)
	if addrs, boot := last(s); !slices.Equal(addrs, []string{c1.Addr, b1.Addr}) || boot != 5 {
		t.Errorf("got %q, %d", addrs, boot)
	}
	t.Log("a node that is cut off remembers all")
	save(t, s, 5)
	wantLast(t, s, 5, b1.Addr, c1.Addr)
	t.Log("one comes back elsewhere, and another one has its place")
	save(t, s, 5, Member{"b", "10.0.0.9:7946"}, Member{"d", b1.Addr})
	wantLast(t, s, 5, b1.Addr, c1.Addr, "10.0.0.9:7946")
	t.Log("one has the address of one that is gone")
	save(t, s, 5, Member{"e", c1.Addr})
	wantLast(t, s, 5, b1.Addr, c1.Addr, "10.0.0.9:7946")
	t.Log("what is no member is left out")
	save(t, s, 5, Member{"", "10.0.0.4:1"}, Member{"e", ""}, Member{"f", "10.0.0.4"}, Member{"g", "x\n:1"},
		Member{strings.Repeat("n", 129), "10.0.0.4:1"}, Member{"\xff", "10.0.0.4:1"})
	wantLast(t, s, 5, b1.Addr, c1.Addr, "10.0.0.9:7946")
}

func TestStateIsBounded(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	var all []Member
	for i := range 500 { // names that JSON makes as long as may be
		all = append(all, Member{fmt.Sprintf("%03d%s", i, strings.Repeat("<", 125)), fmt.Sprintf("[fe80::1%%%s%03d]:7946", strings.Repeat("z", 200), i)})
	}
	save(t, s, 1, all...)
	first, _ := last(s)
	if len(first) != maxMembers {
		t.Fatalf("%d members", len(first))
	}
	if slices.IsSorted(first) {
		t.Error("all nodes would remember the same few")
	}
	info, err := os.Stat(filepath.Join(dir, stateFile))
	if err != nil || info.Size() > maxStateFile {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
	t.Log("nobody comes or goes: nothing changes")
	save(t, s, 1, all...)
	if again, _ := last(s); !slices.Equal(again, first) {
		t.Error("the order has changed")
	}
	t.Log("newer ones push out those who are gone")
	save(t, s, 1, b1)
	addrs, _ := last(s)
	if addrs[0] != b1.Addr || len(addrs) != maxMembers || !slices.Equal(addrs[1:], first[:maxMembers-1]) {
		t.Error("the newest is not the first, or not the oldest has gone")
	}
	s.Close()
	if s = open(t, dir); s.Warning() != nil {
		t.Error(s.Warning())
	}
}

// TestStateSurvivesDamage cuts the file off at each byte, and alters each byte.
func TestStateSurvivesDamage(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, stateFile)
	s := open(t, dir)
	save(t, s, 1<<50, b1, c1)
	s.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, damaged []byte) {
		t.Helper()
		os.Remove(filepath.Join(dir, badFile))
		write(t, path, string(damaged))
		s, err := Open(dir)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		defer s.Close()
		wantLast(t, s, 0)
		if s.Warning() == nil {
			t.Fatalf("%s: no warning", what)
		}
		if kept, err := os.ReadFile(filepath.Join(dir, badFile)); err != nil || string(kept) != string(damaged) {
			t.Fatalf("%s: kept %q, %v", what, kept, err)
		}
		if len(damaged)%16 == 0 { // some of them: it waits for the disk
			save(t, s, 3, b1)
		}
	}
	for n := range whole {
		try(fmt.Sprintf("cut off at %d", n), whole[:n])
	}
	for n := range whole {
		for _, flip := range []byte{0x01, 0x20, 0xff} {
			damaged := slices.Clone(whole)
			damaged[n] ^= flip
			try(fmt.Sprintf("byte %d altered", n), damaged)
		}
	}
	try("longer", append(slices.Clone(whole), '\n'))
	try("too long", make([]byte, maxStateFile+1))
	body := []byte(`{"boot": "1", "members": []}`)
	try("of the future", append(stateHeader(2, body), body...))
	for _, wrong := range []string{"", "null garbage", `{"boot": 1}`, `{"boot": "-1"}`, `{"boot":"1","members":[{"name":"b","addr":"x"}]}`,
		`{"boot":"1","members":[{"name":"","addr":"x:1"}]}`, `{"boot":"1","members":[` + strings.Repeat(`{"name":"b","addr":"b:1"},`, 64) + `{"name":"b","addr":"b:1"}]}`} {
		try(wrong, append(stateHeader(stateVersion, []byte(wrong)), wrong...))
	}

	t.Log("a warning says what, where and what became of it")
	write(t, path, string(whole[:20]))
	s = open(t, dir)
	wantError(t, s.Warning(), path, "state.bad", "does not begin")
}

// TestStateOfACrash: what a crash leaves of the next file does not matter, and does not stay.
func TestStateOfACrash(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	save(t, s, 1, b1)
	next := encodeState(memory{2, []Member{c1}})
	for n := range len(next) + 1 {
		s.Close()
		write(t, filepath.Join(dir, tempFile), string(next[:n]))
		s = open(t, dir)
		wantLast(t, s, 1, b1.Addr)
		if s.Warning() != nil {
			t.Fatal(s.Warning())
		}
		if _, err := os.Stat(filepath.Join(dir, tempFile)); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("it is still there: %v", err)
		}
	}
}

// TestStateOfAProcessThatIsKilled kills one that saves all the time.
func TestStateOfAProcessThatIsKilled(t *testing.T) {
	dir := t.TempDir()
	var before uint64
	for i := range 8 {
		p := again(t, "save", dir)
		out, err := p.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		var said uint64
		for range 3 + 5*i {
			if !lines.Scan() {
				t.Fatal("it has ended")
			}
			if said, err = strconv.ParseUint(lines.Text(), 10, 64); err != nil {
				t.Fatal(lines.Text())
			}
		}
		p.Process.Kill()
		p.Wait()
		s := open(t, dir)
		addrs, boot := last(s)
		if s.Warning() != nil || boot < said || boot <= before || len(addrs) != 2 {
			t.Fatalf("got %q, %d after it had said %d; %v", addrs, boot, said, s.Warning())
		}
		before = boot
		s.Close()
	}
}

func TestStateOfTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	p := again(t, "hold", dir)
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("it says %q", line)
	}
	if process, err := os.FindProcess(child); err == nil {
		defer process.Kill()
	}
	_, err = Open(dir)
	wantError(t, err, dir, "in use by process "+strconv.Itoa(p.Process.Pid)+" on ", "directory of its own")

	t.Log("it is killed, but its child is not")
	p.Process.Kill()
	p.Wait()
	s := open(t, dir)
	_, err = Open(dir)
	wantError(t, err, "process "+strconv.Itoa(os.Getpid()))
	t.Log("who has it is not known")
	os.Remove(filepath.Join(dir, ownerFile))
	_, err = Open(dir)
	wantError(t, err, "in use by another process")
	write(t, filepath.Join(dir, ownerFile), "process \x1b[2J")
	_, err = Open(dir)
	wantError(t, err, `in use by "process \x1b[2J"`)
	s.Close()
	open(t, dir)
}

func TestStateDirectoriesThatAreNone(t *testing.T) {
	_, err := Open("")
	wantError(t, err, "empty")
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "")
	_, err = Open(path)
	wantError(t, err, path, "is a file")
	_, err = Open(filepath.Join(path, "below"))
	wantError(t, err, path, "want a directory")
	_, err = Open("zero\x00byte")
	wantError(t, err, "want a directory")

	t.Log("with directories in it where files should be")
	dir := t.TempDir()
	for _, name := range []string{stateFile, tempFile, filepath.Join(tempFile, "x")} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir)
	wantError(t, s.Warning(), "is a directory", "state.bad")
	err = s.Save([]Member{b1}, 1)
	wantError(t, err, "was not written", tempFile)
	wantLast(t, s, 1, b1.Addr)
	os.RemoveAll(filepath.Join(dir, tempFile))
	save(t, s, 1, b1)
	s.Close()
	if err := os.Remove(filepath.Join(dir, lockFile)); err != nil {
		t.Fatal(err)
	}
	os.Mkdir(filepath.Join(dir, lockFile), 0o700)
	_, err = Open(dir)
	wantError(t, err, lockFile, "no regular file")

	t.Log("a directory that is removed under way")
	dir = filepath.Join(t.TempDir(), "x")
	s = open(t, dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Skip(err) // Windows
	}
	err = s.Save([]Member{b1}, 1)
	wantError(t, err, dir, "was not written")
}

func TestStateWarnsOfALooseDirectory(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it has access lists")
	}
	dir := t.TempDir()
	os.Chmod(dir, 0o777)
	s := open(t, dir)
	wantError(t, s.Warning(), dir, "0777", "chmod 700")
}

func TestSaveWritesOnlyNews(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	save(t, s, 1, b1, c1)
	s.Close()
	s = open(t, dir)
	path := filepath.Join(dir, stateFile)
	os.Remove(path)
	save(t, s, 1, c1, b1)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("what had not changed was written")
	}
	save(t, s, 2, c1, b1)
	if _, err := os.Stat(path); err != nil {
		t.Errorf("what had changed was not written: %v", err)
	}
}

func TestKeep(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, stateFile)
	synctest.Test(t, func(t *testing.T) {
		s := open(t, dir)
		defer s.Close()
		var mu sync.Mutex // over the next three; the race detector does not know that time orders
		var asked int
		up := []Member{b1}
		var told []string
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.Keep(ctx, func() ([]Member, uint64) {
				mu.Lock()
				defer mu.Unlock()
				asked++
				return up, 7
			}, func(err error) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, fmt.Sprint(err))
			})
		}()
		stored := func() (addrs []string) {
			b, err := os.ReadFile(path)
			if err != nil {
				return nil
			}
			m, err := decodeState(b)
			if err != nil || m.boot != 7 {
				t.Fatalf("%+v, %v", m, err)
			}
			for _, e := range m.members {
				addrs = append(addrs, e.Addr)
			}
			return addrs
		}
		pass := func(d time.Duration) {
			mu.Unlock()
			time.Sleep(d)
			synctest.Wait()
			mu.Lock()
		}
		mu.Lock()
		pass(0)
		if got := stored(); !slices.Equal(got, []string{b1.Addr}) {
			t.Errorf("stored %q at once", got)
		}
		up = []Member{b1, c1}
		pass(keepEvery - 1)
		if got := stored(); len(got) != 1 {
			t.Errorf("stored %q before the time", got)
		}
		pass(time.Nanosecond)
		if got := stored(); len(got) != 2 {
			t.Errorf("stored %q after %v", got, keepEvery)
		}
		os.Remove(path)
		pass(10 * keepEvery)
		if got := stored(); got != nil {
			t.Error("what had not changed was written")
		}
		if asked != 12 {
			t.Errorf("asked %d times", asked)
		}

		t.Log("it does not work, for a while")
		blocked := filepath.Join(dir, tempFile, "x")
		if err := os.MkdirAll(blocked, 0o700); err != nil {
			t.Fatal(err)
		}
		up = []Member{c1}
		pass(5 * keepEvery)
		if len(told) != 1 || !strings.Contains(told[0], "was not written") {
			t.Errorf("told %q, want one error", told)
		}
		os.RemoveAll(filepath.Join(dir, tempFile))
		pass(keepEvery)
		if len(told) != 2 || told[1] != "<nil>" || !slices.Equal(stored(), []string{c1.Addr, b1.Addr}) {
			t.Errorf("told %q, stored %q", told, stored())
		}

		t.Log("the end")
		up = []Member{b1}
		mu.Unlock()
		cancel()
		<-ended
		if got := stored(); !slices.Equal(got, []string{b1.Addr, c1.Addr}) {
			t.Errorf("stored %q at the end", got)
		}
	})
}

func FuzzDecodeState(f *testing.F) {
	whole := encodeState(memory{1 << 50, []Member{b1, c1}})
	_, body, _ := strings.Cut(string(whole), "\n")
	f.Add(whole, false)
	f.Add([]byte(body), true)
	f.Add([]byte(`{"boot":"1","members":[{"name":"b","addr":"[::1]:1"}]}`), true)
	f.Fuzz(func(t *testing.T, b []byte, isBody bool) {
		if isBody {
			b = append(stateHeader(stateVersion, b), b...)
		}
		m, err := decodeState(b)
		if err != nil {
			return
		}
		again, err := decodeState(encodeState(m))
		if err != nil || again.boot != m.boot || !slices.Equal(again.members, m.members) {
			t.Fatalf("%+v becomes %+v, %v", m, again, err)
		}
	})
}
