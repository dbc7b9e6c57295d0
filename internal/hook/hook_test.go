package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/pulsering/pulsering/internal/command"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logged is a log to look into.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logged) logger() hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Output: l, DisableTime: true})
}

// fake stands for the commands: each run takes a while and is noted.
type fake struct {
	takes time.Duration
	err   error

	mu      sync.Mutex
	told    []string // what the commands read
	running map[string]int
	most    int // at a time
}

func (f *fake) run(ctx context.Context, c command.Command) error {
	line := strings.TrimSuffix(string(c.Stdin), "\n")
	key, _, _ := strings.Cut(line, " ")
	f.mu.Lock()
	f.told = append(f.told, line)
	if f.running == nil {
		f.running = make(map[string]int)
	}
	if f.running[key]++; f.running[key] > 1 {
		panic("two at a time for " + key)
	}
	f.most = max(f.most, len(f.running))
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.running, key)
	}()
	select {
	case <-time.After(f.takes):
		return f.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// change is an event of these tests: what a member's state is now.
type change struct {
	member string
	state  int
}

func renderChange(c change, leftOut int) (map[string]string, []byte) {
	return map[string]string{"FOLDED": strconv.Itoa(leftOut)}, fmt.Appendf(nil, "%s %d +%d", c.member, c.state, leftOut)
}

// seen is what the commands have read so far.
func (f *fake) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.told)
}

func faked(f *fake, cfg Config) *Hooks[change] {
	h := New(cfg, renderChange)
	h.run = f.run
	return h
}

// While a command runs for a member its newest event alone waits, with the number of the others.
func TestFolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{takes: time.Second}
		h := faked(f, Config{})
		for state := range 5 {
			h.Put("a", change{"a", state})
		}
		h.Close(time.Minute)
		if want := []string{"a 0 +0", "a 4 +3"}; !slices.Equal(f.told, want) {
			t.Errorf("%q; want %q", f.told, want)
		}
	})
}

// A member whose command hangs holds up no other, and they go in the order in which they began to
// wait.
func TestMembersDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{takes: time.Second}
		h := faked(f, Config{AtOnce: 2})
		h.Put("a", change{"a", 0})
		for state := range 3 {
			h.Put("a", change{"a", state})
			h.Put("b", change{"b", state})
			h.Put("c", change{"c", state})
		}
		time.Sleep(500 * time.Millisecond)
		if want := []string{"a 0 +0", "b 0 +0"}; !slices.Equal(slices.Sorted(slices.Values(f.seen())), want) {
			t.Errorf("%q; want %q", f.told, want)
		}
		time.Sleep(time.Second)
		if want := []string{"a 2 +2", "c 2 +2"}; !slices.Equal(slices.Sorted(slices.Values(f.seen()[2:])), want) {
			t.Errorf("%q; want %q", f.told[2:], want)
		}
		h.Close(time.Minute)
		if want := []string{"b 2 +1"}; !slices.Equal(f.told[4:], want) {
			t.Errorf("%q; want %q", f.told[4:], want)
		}
	})
}

// Whatever comes and however slow commands are: no more run than may, nothing of a member is told
// twice or out of order, each one's last state is told, and all that was left out is counted.
func TestQueue(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.IntRange(0, 9), 1, 60).Draw(rt, "steps")
		atOnce := rapid.IntRange(1, 3).Draw(rt, "at once")
		synctest.Test(t, func(*testing.T) {
			f := &fake{takes: time.Second}
			h := faked(f, Config{AtOnce: atOnce})
			put := make(map[string]int)
			for _, s := range steps {
				if s >= 5 {
					time.Sleep(time.Duration(s-4) * 300 * time.Millisecond)
					continue
				}
				key := string(rune('a' + s))
				h.Put(key, change{key, put[key]})
				put[key]++
			}
			h.Close(time.Hour)
			next := make(map[string]int)
			for _, line := range f.told {
				var key string
				var state, leftOut int
				if _, err := fmt.Sscanf(line, "%s %d +%d", &key, &state, &leftOut); err != nil {
					rt.Fatal(err)
				}
				if state != next[key]+leftOut {
					rt.Fatalf("%s after state %d in %q", line, next[key]-1, f.told)
				}
				next[key] = state + 1
			}
			for key, n := range put {
				if next[key] != n {
					rt.Fatalf("%s: the last state told is %d of %d", key, next[key]-1, n-1)
				}
			}
			if f.most > atOnce {
				rt.Fatalf("%d at once; want %d", f.most, atOnce)
			}
		})
	})
}

// A storm takes bounded memory, and the log says what it cost.
func TestStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		f := &fake{takes: time.Millisecond}
		h := faked(f, Config{AtOnce: 1, Log: log.logger()})
		const members = maxWaiting + 1000
		for i := range members {
			h.Put(strconv.Itoa(i), change{strconv.Itoa(i), 0})
		}
		if n := len(h.waiting); n != maxWaiting || len(h.order) != n {
			t.Errorf("%d wait", n)
		}
		h.Close(time.Hour)
		if len(f.told) != maxWaiting+1 || f.told[len(f.told)-1] != fmt.Sprintf("%d 0 +0", members-1) {
			t.Errorf("%d were told, at last %q", len(f.told), f.told[len(f.told)-1])
		}
		if want := "the oldest were left out: events=999"; !strings.Contains(log.String(), want) {
			t.Errorf("no %q in %.2000q", want, log.String())
		}
	})
}

// What still runs when patience ends is ended, what waits is dropped, and nothing runs afterwards.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		f := &fake{takes: time.Hour}
		h := faked(f, Config{AtOnce: 1, Log: log.logger()})
		h.Put("a", change{"a", 0})
		for range 3 {
			h.Put("b", change{"b", 0})
		}
		began := time.Now()
		go h.Close(2 * time.Second)
		h.Close(2 * time.Second)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("it took %v", took)
		}
		h.Put("c", change{"c", 0})
		h.Close(0)
		synctest.Wait()
		if want := []string{"a 0 +0"}; !slices.Equal(f.told, want) {
			t.Errorf("%q; want %q", f.told, want)
		}
		for _, want := range []string{"not told to hooks: events=3", "still run: hooks=1"} {
			if strings.Count(log.String(), want) != 1 {
				t.Errorf("no %q in %.2000q", want, log.String())
			}
		}
		if strings.Contains(log.String(), "hook failed") {
			t.Errorf("ending a hook is logged as its failure: %q", log.String())
		}
	})
}

// A process that the kernel cannot end does not keep the node from ending.
func TestCloseLeavesWhatCannotBeKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		h := New(Config{Log: log.logger()}, renderChange)
		stuck := make(chan struct{})
		h.run = func(context.Context, command.Command) error { <-stuck; return nil }
		h.Put("a", change{"a", 0})
		began := time.Now()
		h.Close(time.Second)
		if took := time.Since(began); took != time.Second+command.DefaultGrace+2*time.Second {
			t.Errorf("it took %v", took)
		}
		if !strings.Contains(log.String(), "cannot be killed") {
			t.Errorf("%q", log.String())
		}
		close(stuck)
	})
}

func TestCloseUnused(t *testing.T) { New(Config{}, renderChange).Close(time.Hour) }

// A hook that always fails does not fill the log.
func TestFailuresAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		h := faked(&fake{err: errors.New("no such thing")}, Config{AtOnce: 1, Log: log.logger()})
		for i := range 1000 {
			h.Put(strconv.Itoa(i), change{strconv.Itoa(i), 0})
		}
		synctest.Wait()
		if n := strings.Count(log.String(), "hook failed: about="); n != logBurst {
			t.Errorf("%d lines", n)
		}
		time.Sleep(logCount)
		synctest.Wait()
		if want := `left_out=950`; !strings.Contains(log.String(), want) {
			t.Errorf("no %s in %.2000q", want, log.String())
		}
		h.Put("x", change{"x", 0})
		h.Close(time.Minute)
		if n := strings.Count(log.String(), "left_out"); n != 1 {
			t.Errorf("it was told %d times", n)
		}
	})
}

// Those left out shortly before the end are counted, too.
func TestLeftOutIsToldAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logged
		l := newBoundedLog(log.logger())
		for range logBurst + 7 {
			l.say(hclog.Info, "hello")
		}
		l.close()
		if want := `left_out=7`; !strings.Contains(log.String(), want) {
			t.Errorf("no %s in %.2000q", want, log.String())
		}
	})
}

func TestValue(t *testing.T) {
	for _, c := range []struct{ in, unix, windows string }{
		{"zürich-1", "zürich-1", "zürich-1"},
		{"a\x00b", "a\uFFFDb", "a\uFFFDb"},
		{"$(reboot)\n`x`", "$(reboot)\n`x`", "$_reboot___x_"},
		{"a & calc %PATH% !x! ^ \"", "a & calc %PATH% !x! ^ \"", "a _ calc _PATH_ _x_ _ _"},
		{strings.Repeat("a", maxValue-1) + "üü", strings.Repeat("a", maxValue-1), strings.Repeat("a", maxValue-1)},
		{strings.Repeat("\x80", maxValue+9), strings.Repeat("\x80", maxValue-4), strings.Repeat("\uFFFD", maxValue-4)},
	} {
		if got := value(c.in, "linux"); got != c.unix {
			t.Errorf("%.40q: %.40q; want %.40q", c.in, got, c.unix)
		}
		if got := value(c.in, "windows"); got != c.windows {
			t.Errorf("%.40q on Windows: %.40q; want %.40q", c.in, got, c.windows)
		}
	}
	got := environment(map[string]string{"MEMBER": "b", "KIND": "down"})
	if want := []string{"PULSERING_KIND=down", "PULSERING_MEMBER=b"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
