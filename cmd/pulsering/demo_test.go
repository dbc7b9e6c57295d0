package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/cluster"
)

// scripted is a demo whose members have printed what the test says.
func scripted(names ...string) *demo {
	d := &demo{screen: &screen{w: &strings.Builder{}, began: time.Now()}, faults: make(map[string]fault)}
	for i, name := range names {
		d.actors = append(d.actors, &actor{
			name: name, addr: fmt.Sprintf("127.0.0.1:%d", 10001+i), state: actorRunning,
			proc: &proc{cmd: &exec.Cmd{Process: &os.Process{Pid: 4711 + i}}, ended: make(chan struct{}), grown: make(chan struct{})},
		})
	}
	return d
}

func (a *actor) prints(t *testing.T, member, kind string, boot int, at time.Time) {
	t.Helper()
	line := fmt.Sprintf(`{"time":%q,"member":%q,"kind":%q,"boot":"%d","reason":"silent"}`+"\n", at.Format(time.RFC3339Nano), member, kind, boot)
	half := len(line) / 2 // however the pipe cuts it
	for _, part := range []string{line[:half], line[half:]} {
		if _, err := a.proc.printed([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDemoTable(t *testing.T) {
	d := scripted("ant", "bee", "cat", "dog")
	d.actors[0].state, d.actors[1].state, d.actors[2].state, d.actors[3].state = actorLeft, actorKilled, actorPaused, actorWaiting
	now := time.Now()
	d.views = map[string]map[string]memberLine{
		"cat": {
			"ant": {Member: cluster.Member{State: cluster.StateUp, Observed: true, Phi: 0.2, LastHeard: now.Add(-time.Hour), RTT: 2000 * time.Microsecond}},
			"bee": {Member: cluster.Member{State: cluster.StateDown, Observed: true, Phi: 12, LastHeard: now.Add(-2 * time.Hour), RTT: 500 * time.Microsecond}},
			"cat": {Member: cluster.Member{State: cluster.StateUp}, Self: true},
		},
		"dog": {
			"ant": {Member: cluster.Member{State: cluster.StateUp, Observed: true, Phi: 0.4, LastHeard: now.Add(-3 * time.Hour), RTT: 1000 * time.Microsecond}},
			"bee": {Member: cluster.Member{State: cluster.StateSuspect, Observed: true, Phi: 3, LastHeard: now.Add(-4 * time.Hour)}},
			"cat": {Member: cluster.Member{State: cluster.StateUp}},
		},
	}
	want := []string{
		"  MEMBER  PROCESS      THE OTHERS SAY      φ     HEARD    RTT     ADDRESS",
		"  ant     left         up ×2               0.4   1 h ago  1.0 ms  127.0.0.1:10001",
		"  bee     killed       suspect ×1, down ×1  12.0  2 h ago  0.5 ms  127.0.0.1:10002",
		"  cat     paused       up ×1                                      127.0.0.1:10003",
		"  dog     not started  nothing yet                                127.0.0.1:10004",
	}
	got := d.table()
	for i := range want {
		if strings.Join(strings.Fields(got[i]), " ") != strings.Join(strings.Fields(want[i]), " ") {
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
	if n := d.pairsUp(); n != 3 {
		t.Errorf("%d pairs up; want 3", n)
	}
}

func TestDemoTold(t *testing.T) {
	d := scripted("ant", "bee", "cat")
	since := d.fault(d.actors[2])
	d.actors[2].state = actorKilled
	d.actors[0].prints(t, "cat", "down", 7, since.Add(-time.Second)) // an older story
	d.actors[0].prints(t, "cat", "suspect", 7, since.Add(300*time.Millisecond))
	d.actors[0].prints(t, "cat", "down", 7, since.Add(500*time.Millisecond))
	d.actors[1].prints(t, "cat", "down", 7, since.Add(700*time.Millisecond))
	d.faults["cat"] = fault{since: since.Add(-time.Minute)}
	told, err := d.told(t.Context(), d.running(nil), d.actors[2], "down", since, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := told.String() + " / " + told.span(); got != "ant 0.50 s, bee 0.70 s / 0.50 s to 0.70 s" {
		t.Error(got)
	}
	if got := d.sayings(d.running(nil), d.actors[2], since); !strings.Contains(got, "ant: suspect (silent) after 0.30 s; down (silent) after 0.50 s") {
		t.Error(got)
	}
	d.actors[0].prints(t, "cat", "up", 7, since.Add(time.Second))
	d.actors[1].prints(t, "cat", "up", 9, since.Add(time.Second))
	if boot := d.bootOf(d.actors[2]); boot != 9 {
		t.Errorf("boot %d; want 9", boot)
	}
}

// The demo fails when somebody is called down who was alive, and when a process ends by itself.
func TestDemoNoticesWhatShouldNotBe(t *testing.T) {
	for name, test := range map[string]struct {
		setup func(d *demo, now time.Time)
		want  string // empty: all is well
	}{
		"quiet":              {func(d *demo, now time.Time) { d.actors[0].prints(t, "bee", "suspect", 1, now) }, ""},
		"alarm":              {func(d *demo, now time.Time) { d.actors[0].prints(t, "bee", "down", 1, now) }, "ant called bee down"},
		"alarm of the woken": {func(d *demo, now time.Time) { d.actors[1].prints(t, "ant", "down", 1, now) }, "bee called ant down"},
		"right": {func(d *demo, now time.Time) {
			d.faults["bee"] = fault{since: now}
			d.actors[0].prints(t, "bee", "down", 1, now)
		}, ""},
		"too early": {func(d *demo, now time.Time) {
			d.faults["bee"] = fault{since: now}
			d.actors[0].prints(t, "bee", "down", 1, now.Add(-time.Second))
		}, "ant called bee down"},
		"old boot": {func(d *demo, now time.Time) {
			d.actors[1].restarted = true
			d.actors[0].prints(t, "bee", "down", 1, now)
			d.actors[0].prints(t, "bee", "up", 2, now)
		}, ""},
		"new boot": {func(d *demo, now time.Time) {
			d.actors[1].restarted = true
			d.actors[0].prints(t, "bee", "up", 2, now)
			d.actors[0].prints(t, "bee", "down", 2, now)
		}, "ant called bee down"},
		"ended": {func(d *demo, now time.Time) {
			d.actors[0].proc.logged([]byte("address in use\n"))
			d.actors[0].proc.err = errors.New("exit status 1")
			close(d.actors[0].proc.ended)
		}, "ant ended by itself (exit status 1). Its last log lines:\naddress in use"},
	} {
		d := scripted("ant", "bee")
		test.setup(d, time.Now())
		err := d.unexpected()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v; want %q", name, err, test.want)
		}
	}
}

// A member that was paused and is back may not be called down any more.
func TestDemoExcusesThePausedOnlyWhilePaused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no process can be paused here")
	}
	synctest.Test(t, func(t *testing.T) {
		d := scripted("ant", "bee")
		ant, bee := d.actors[0], d.actors[1]
		bee.proc.cmd = exec.Command("sleep", "60") // somebody to pause
		if err := bee.proc.cmd.Start(); err != nil {
			t.Skip(err)
		}
		defer bee.proc.cmd.Wait()
		defer bee.proc.cmd.Process.Kill()
		time.AfterFunc(500*time.Millisecond, func() { ant.prints(t, "bee", "down", 1, time.Now()) })
		time.AfterFunc(pauseFor+500*time.Millisecond, func() {
			ant.prints(t, "bee", "up", 1, time.Now())
			bee.prints(t, "bee", "accused", 1, time.Now())
		})
		if err := d.pause(t.Context(), bee); err != nil {
			t.Fatal(err)
		}
		if err := d.unexpected(); err != nil {
			t.Error(err)
		}
		ant.prints(t, "bee", "down", 1, time.Now())
		if err := d.unexpected(); err == nil {
			t.Error("ant called bee down, which runs: the demo goes on to say that nobody was called down for nothing")
		}
	})
}

func TestScreen(t *testing.T) {
	var out strings.Builder
	s := &screen{w: &out, live: true, began: time.Now()}
	s.draw([]string{"one", "two"})
	s.draw([]string{"three"})
	s.say("✓", green, "done")
	s.draw([]string{"four"})
	got := out.String()
	want := "\x1b[?7lone\ntwo\n\x1b[?7h" + "\x1b[2A\r\x1b[J" + "\x1b[?7lthree\n\x1b[?7h" + "\x1b[1A\r\x1b[J" + "   0.0 s  ✓ done\n" + "\x1b[?7lfour\n\x1b[?7h"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}

	out.Reset()
	s = &screen{w: &out, began: time.Now()}
	s.draw([]string{"one"})
	s.snapshot([]string{"two"})
	if got := out.String(); got != "two\n" {
		t.Errorf("without a terminal: %q", got)
	}
}

func TestProcOutput(t *testing.T) {
	p := &proc{ended: make(chan struct{}), grown: make(chan struct{})}
	_, more := p.seen()
	if _, err := p.printed([]byte("{\"kind\":\"up\"}\n{\"kind\":\"down\"}\n{")); err != nil {
		t.Fatal(err)
	}
	<-more
	if events, _ := p.seen(); len(events) != 2 || events[1].Kind != "down" {
		t.Errorf("%v", events)
	}
	if _, err := p.printed([]byte("oops\n")); err == nil {
		t.Error("a line that is no JSON went through")
	}
	for range 3000 {
		p.logged([]byte("a line of a log\n"))
	}
	if got := p.lastLog(2); got != "a line of a log\na line of a log" || len(p.log) > 8<<10 {
		t.Errorf("%q, %d bytes", got, len(p.log))
	}
}

func TestFreeAddrs(t *testing.T) {
	addrs, err := freeAddrs(20)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, a := range addrs {
		if seen[a] {
			t.Errorf("%s twice", a)
		}
		seen[a] = true
	}
}
