//go:build unix

package hook

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func renderJSON(c change, leftOut int) (map[string]string, []byte) {
	b, _ := json.Marshal(map[string]string{"member": c.member})
	return map[string]string{"EVENT_MEMBER": c.member, "EVENT_FOLDED": fmt.Sprint(leftOut)}, b
}

// one runs a command for one event and returns what was logged.
func one(t *testing.T, member, line string, limit, patience time.Duration) string {
	t.Helper()
	var log logged
	h := New(Config{Command: line, Limit: limit, Log: log.logger()}, renderJSON)
	h.Put(member, change{member, 0})
	h.Close(patience)
	return log.String()
}

// Names from other machines reach a hook as they are, and nobody obeys them.
func TestNamesAreData(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"büro", "-rf", "$(touch pwned)", "`touch pwned`", "a'; touch pwned; '", "a\"\ntouch pwned\n", "\x1b[2J\x07", "* ? ~", "a\\nb %s",
	} {
		dir := t.TempDir()
		log := one(t, name, `cd '`+dir+`' && printf %s "$PULSERING_EVENT_MEMBER" > env && cat > json && printf '%s\n' "$PULSERING_EVENT_MEMBER"`,
			0, time.Minute)
		if b, err := os.ReadFile(filepath.Join(dir, "env")); err != nil || string(b) != name {
			t.Errorf("%q: the variable is %q, %v", name, b, err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "json"))
		var got struct{ Member string }
		if err != nil || json.Unmarshal(b, &got) != nil || got.Member != name || strings.Count(string(b), "\n") != 1 || b[len(b)-1] != '\n' {
			t.Errorf("%q: standard input is %q, %v", name, b, err)
		}
		if files, _ := os.ReadDir(dir); len(files) != 2 {
			t.Errorf("%q was obeyed: %v", name, files)
		}
		if !strings.Contains(log, "hook printed") || strings.ContainsAny(strings.ReplaceAll(log, "\n[", ""), "\x1b\x07") {
			t.Errorf("%q: the log is %q", name, log)
		}
	}
}

// Whatever a hook does, its cost is bounded, and the log says what was wrong.
func TestBadHooks(t *testing.T) {
	t.Parallel()
	notExecutable := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(notExecutable, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ line, want string }{
		"does not exist":     {"/no/such/hook --now", `hook failed: about="b" error="exit status 127"`},
		"is not executable":  {notExecutable, `hook failed: about="b" error="exit status 126"`},
		"fails":              {"echo why >&2; exit 3", `hook failed: about="b" error="exit status 3"`},
		"says why":           {"echo why >&2; exit 3", `hook printed: about="b" line="why"`},
		"crashes":            {"kill -KILL $$", `error="killed by SIGKILL"`},
		"hangs":              {"sleep 1000", "still ran after 1s: stopped"},
		"ignores SIGTERM":    {`trap "" TERM; while :; do sleep 1000; done`, "still ran after 1s: stopped"},
		"floods":             {"yes", `left_out=`},
		"writes no line end": {"head -c 10000000 /dev/zero", "hook printed"},
		"leaves a child":     {"sleep 1000 & echo done", `line="done"`},
		"is no shell line":   {"if then (", "hook failed"},
		"plays with the log": {`printf '\033[2J\r[ERROR] b is down\n'`, `line="\x1b[2J\r[ERROR] b is down"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			log := one(t, "b", c.line, time.Second, time.Minute)
			if !strings.Contains(log, c.want) {
				t.Errorf("no %q in %.2000q", c.want, log)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
			if len(log) > 64<<10 {
				t.Errorf("the log has %d bytes", len(log))
			}
		})
	}
}

// The end of the node is the end of its hooks.
func TestCloseEndsRealHooks(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "held")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	var log logged
	h := New(Config{Command: `exec 3>'` + path + `'; echo here >&3; sleep 1000 & sleep 1000`, Log: log.logger()}, renderJSON)
	h.Put("b", change{"b", 0})
	f, err := os.Open(path) // waits for the hook
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h.Close(100 * time.Millisecond)
	f.SetReadDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 64)
	n, _ := f.Read(buf)
	if _, err := f.Read(buf[n:]); err == nil || os.IsTimeout(err) {
		t.Errorf("the hook is left behind: %v", err)
	}
}

// Runs of one member never overlap, and the last state is told, with real commands too.
func TestRealOrder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "told")
	h := New(Config{Command: `echo "begin $PULSERING_EVENT_MEMBER" >> '` + file + `'; sleep 0.05; echo "end $PULSERING_EVENT_MEMBER" >> '` + file + `'`},
		func(c change, leftOut int) (map[string]string, []byte) {
			return map[string]string{"EVENT_MEMBER": fmt.Sprint(c.state)}, nil
		})
	for state := range 20 {
		h.Put("a", change{"a", state})
		time.Sleep(10 * time.Millisecond)
	}
	h.Close(time.Minute)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	for pair := range slices.Chunk(lines, 2) {
		if len(pair) != 2 || strings.TrimPrefix(pair[0], "begin ") != strings.TrimPrefix(pair[1], "end ") {
			t.Fatalf("%q", lines)
		}
	}
	if last := lines[len(lines)-1]; last != "end 19" {
		t.Errorf("%q", last)
	}
}
