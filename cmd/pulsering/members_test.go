package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/cluster"
)

func TestMembersOfAState(t *testing.T) {
	lonely(t)
	r := newActingRing()
	r.members = []cluster.Member{
		{Name: "a", State: cluster.StateUp}, {Name: "b\x1b[2J", State: cluster.StateDown, Tags: map[string]string{"zone": "x y"}},
		{Name: "c", State: cluster.StateUp, Health: cluster.HealthWedged},
	}
	addr, _ := serve(t, r)
	for _, test := range []struct {
		args []string
		want string // names, or what is wrong
		code int
	}{
		{nil, "a b c", 0},
		{[]string{"--state", "down,left"}, "b", 0},
		{[]string{"--state", "up"}, "a c", 0},
		{[]string{"--tag", "zone=x y"}, "b", 0},
		{[]string{"--tag", "zone=y"}, "no member is so", 0},
		{[]string{"--state", "dead"}, `--state: "dead" is none of up, suspect, down, left`, exitUsage},
		{[]string{"--state", ""}, "--state: is empty", exitUsage},
		{[]string{"--state", "up,"}, `--state: "" is none of`, exitUsage},
	} {
		code, out, stderr := pulsering(t, append([]string{"members", "--http", addr}, test.args...)...)
		if code != test.code || strings.Contains(out, "\x1b") {
			t.Errorf("%v: %d %q %q", test.args, code, out, stderr)
		}
		if code != 0 || !strings.Contains(out, "MEMBER") {
			if !strings.Contains(out+stderr, test.want) {
				t.Errorf("%v: %q %q", test.args, out, stderr)
			}
			continue
		}
		var names []string
		for _, line := range strings.Split(out[strings.Index(out, "MEMBER"):], "\n")[1:] {
			if line != "" {
				names = append(names, strings.Trim(line, `"`)[:1])
			}
		}
		if got := strings.Join(names, " "); got != test.want {
			t.Errorf("%v: %q; want %q", test.args, got, test.want)
		}
	}
	if _, out, _ := pulsering(t, "members", "--http", addr); !strings.Contains(out, "up, wedged") {
		t.Errorf("a wedged service is not shown:\n%s", out)
	}
}

// watched is a node that the test changes, and a command that watches it in virtual time.
type watched struct {
	mu       sync.Mutex
	members  []memberLine
	broken   bool
	out, err output
}

// during runs the command while the story goes on, and returns its error.
func (w *watched) during(t *testing.T, c membersCmd, con console, story func()) error {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	con.out, con.err = &w.out, &w.err
	ended := make(chan error, 1)
	go func() {
		ended <- c.watch(ctx, con, func() ([]byte, time.Time, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.broken {
				return nil, time.Time{}, errors.New("it is gone")
			}
			all, err := json.Marshal(w.members)
			return all, time.Now(), err
		})
	}()
	synctest.Wait()
	story()
	cancel(signalled{os.Interrupt})
	return <-ended
}

// afterwards changes the node and lets it be looked at.
func (w *watched) afterwards(change func()) {
	w.mu.Lock()
	change()
	w.mu.Unlock()
	time.Sleep(3 * time.Second)
	synctest.Wait()
}

// output is written by a command and read by a test.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func aMember(name string, state cluster.State, phi float64) memberLine {
	return memberLine{Member: cluster.Member{Name: name, State: state, Phi: phi, Observed: true}}
}

// Watched members are printed when something changes, and only then; a lost node is waited for.
func TestWatchMembers(t *testing.T) {
	for _, asJSON_ := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := &watched{members: []memberLine{aMember("a", cluster.StateUp, 0.1)}}
			err := w.during(t, membersCmd{asJSON: asJSON{asJSON_}}, console{}, func() {
				w.afterwards(func() { w.members = []memberLine{aMember("a", cluster.StateUp, 0.9)} })
				w.afterwards(func() { w.members = []memberLine{aMember("a", cluster.StateDown, 9)} })
				w.afterwards(func() { w.broken = true })
				w.afterwards(func() { w.broken = false })
			})
			if err != nil {
				t.Error(err)
			}
			out, errs := w.out.String(), w.err.String()
			if asJSON_ {
				if lines := strings.Split(strings.TrimSpace(out), "\n"); len(lines) != 2 || !json.Valid([]byte(lines[0])) || !json.Valid([]byte(lines[1])) {
					t.Errorf("want two lines of JSON:\n%s", out)
				}
			} else if strings.Count(out, "MEMBER") != 2 || strings.Count(out, "  down  ") != 1 || strings.Contains(out, "\x1b") {
				t.Errorf("want two tables, of up and of down:\n%s", out)
			}
			if errs != "pulsering: lost connection: it is gone: trying again until it is back\npulsering: connected again after 3.00 s\n" {
				t.Errorf("lost and found once, it says: %q", errs)
			}
		})
	}
}

func TestWatchInTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{members: []memberLine{aMember("a", cluster.StateUp, 0.1)}}
		err := w.during(t, membersCmd{}, console{outTTY: true}, func() {
			w.afterwards(func() { w.broken = true })
		})
		if text := w.out.String(); err != nil || w.err.String() != "" || strings.Count(text, "MEMBER") != 7 || !strings.Contains(text, "\x1b[2A\r\x1b[J") ||
			!strings.Contains(text, "lost connection 2.5 s ago") {
			t.Errorf("%v %q %q", err, text, w.err.String())
		}
	})
}

func TestWatchNobody(t *testing.T) {
	lonely(t)
	addrs, err := freeAddrs(1)
	if err != nil {
		t.Fatal(err)
	}
	if code, out, stderr := pulsering(t, "members", "--watch", "--http", addrs[0]); code != exitFailed || out != "" || !strings.Contains(stderr, "nothing listens") {
		t.Errorf("%d %q %q", code, out, stderr)
	}
}

func TestFitted(t *testing.T) {
	var lines []string
	for range 500 {
		lines = append(lines, "x")
	}
	got := fitted(lines, console{out: &bytes.Buffer{}})
	if len(got) != 22 || got[21] != "… and 479 more: --state suspect,down shows fewer, pulsering top scrolls" {
		t.Errorf("%d lines, %q", len(got), got[len(got)-1])
	}
	if got := fitted(lines[:22], console{out: &bytes.Buffer{}}); len(got) != 22 || got[21] != "x" {
		t.Errorf("%d lines, %q", len(got), got[len(got)-1])
	}
}
