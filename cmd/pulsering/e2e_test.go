//go:build e2e && unix

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pulsering/pulsering/internal/record"
)

var five = []string{"ant", "bee", "cat", "dog", "elk"}

// A member is killed: every survivor says that it is down, and says so of nobody else.
func TestCrash(t *testing.T) {
	all := town(t, five)
	cat := all[2]
	survivors := without(all, cat)
	t.Log("SIGKILL")
	killed := time.Now()
	cat.kill()
	for _, m := range survivors {
		e := m.expect("down", "cat", ofBoot(all[0].boot("cat")))
		t.Logf("%s knew after %s (%s)", m.name, seconds(e.Time.Sub(killed)), e.Reason)
	}
	if states := all[0].states(); states["cat"] != "down" || states["ant"] != "up" || len(states) != 5 {
		t.Errorf("/v1/members: %v", states)
	}
	if code, out, _ := command(t, "members", "--http", all[0].http); code != 0 || strings.Count(out, " up ") != 4 || strings.Count(out, " down ") != 1 {
		t.Errorf("pulsering members: %d\n%s", code, out)
	}
	onlyDown(t, survivors, "cat")
}

// A member is asked to end: it says goodbye, ends with 0, and nobody takes it for dead.
func TestLeave(t *testing.T) {
	all := town(t, five)
	elk := all[4]
	others := without(all, elk)
	t.Log("SIGTERM")
	must(t, elk.terminate())
	for _, m := range others {
		m.expect("left", "elk")
	}
	elk.exits(0, "left")
	t.Log("kill another one: once that is noticed, the silence of the first would have been, too")
	dog := all[3]
	dog.kill()
	for _, m := range without(others, dog) {
		m.expect("down", "dog")
	}
	onlyDown(t, others, "dog")
	if states := all[0].states(); states["elk"] != "left" {
		t.Errorf("/v1/members: %v", states)
	}
}

// A process stops for five seconds: it is down, then up again, and blames nobody when it wakes.
func TestPause(t *testing.T) {
	all := town(t, five)
	dog := all[3]
	others := without(all, dog)
	t.Log("SIGSTOP")
	stopped := time.Now()
	must(t, dog.pause())
	for _, m := range others {
		e := m.expect("down", "dog")
		t.Logf("%s knew after %s (%s)", m.name, seconds(e.Time.Sub(stopped)), e.Reason)
	}
	time.Sleep(5*time.Second - time.Since(stopped)) // the stop itself: nothing to wait for
	fromHere(others)
	t.Log("SIGCONT")
	woken := time.Now()
	must(t, dog.resume())
	for _, m := range others {
		e := m.expect("up", "dog", reason("heard"))
		t.Logf("%s knew after %s", m.name, seconds(e.Time.Sub(woken)))
	}
	accused := dog.expect("accused", "dog")
	if accused.Epoch == 0 || accused.Since.IsZero() || accused.Since.After(accused.Time) {
		t.Errorf("the woken one is told %+v", accused)
	}
	t.Logf("%s knew after %s, since %s after the stop", dog.name, seconds(accused.Time.Sub(woken)), seconds(accused.Since.Sub(stopped)))
	t.Log("kill another one: once the woken one has noticed that, it has had the time to blame anyone")
	cat := all[2]
	cat.kill()
	for _, m := range without(all, cat) {
		m.expect("down", "cat")
	}
	onlyDown(t, all, "cat")
}

// A process is killed and back within half a second, as a supervisor does it: its old boot is over, and it is up.
func TestQuickRestart(t *testing.T) {
	all := town(t, five)
	cat := all[2]
	others := without(all, cat)
	old := all[0].boot("cat")
	killed := time.Now()
	cat.kill()
	again := launch(t, "cat", cat.addr, joining(others)...)
	if took := time.Since(killed); took > 500*time.Millisecond {
		t.Logf("the restart itself took %v on this machine", took)
	}
	for _, m := range others {
		down := m.expect("down", "cat", ofBoot(old), reason("restarted"))
		up := m.expect("up", "cat", newer(old))
		if up.Time.Before(down.Time) {
			t.Errorf("%s: up before down", m.name)
		}
		t.Logf("%s knew after %s", m.name, seconds(up.Time.Sub(killed)))
		again.expect("up", m.name)
	}
	onlyDown(t, append(others, again), "cat")
}

// A process comes back at another address under its old name: that works at once.
func TestRestartElsewhere(t *testing.T) {
	all := town(t, five)
	cat := all[2]
	others := without(all, cat)
	old := all[0].boot("cat")
	cat.kill()
	again := launch(t, "cat", freshAddr(t), joining(others)...)
	for _, m := range others {
		m.expect("down", "cat", ofBoot(old))
		m.expect("up", "cat", newer(old), at(again.addr))
		again.expect("up", m.name)
	}
	onlyDown(t, append(others, again), "cat")
}

// Two processes want one name: the second is told so and ends, and nobody else notices.
func TestNameTaken(t *testing.T) {
	all := town(t, five)
	second := launch(t, "cat", freshAddr(t), joining(all)...)
	second.exits(1, "name is taken", "--name")
	t.Log("a crash, to see that the others were listening")
	all[4].kill()
	for _, m := range all[:4] {
		m.expect("down", "elk")
		for _, e := range m.sinceHere() {
			if e.Member == "cat" {
				t.Errorf("%s says of cat: %s (%s)", m.name, e.Kind, e.Reason)
			}
		}
	}
	onlyDown(t, all[:4], "elk")
}

// A process stops for so long that another one takes its name: when it wakes, it says so and ends.
func TestTakenOver(t *testing.T) {
	all := town(t, five)
	cat := all[2]
	others := without(all, cat)
	old := all[0].boot("cat")
	must(t, cat.pause())
	for _, m := range others {
		m.expect("down", "cat", ofBoot(old))
	}
	heir := launch(t, "cat", freshAddr(t), joining(others)...)
	for _, m := range others {
		m.expect("up", "cat", newer(old), at(heir.addr))
		heir.expect("up", m.name)
	}
	fromHere(all)
	must(t, cat.resume())
	cat.exits(1, "name is taken", "node ended")
	t.Log("a crash, to see that the heir is still one of them")
	all[4].kill()
	for _, m := range append(without(others, all[4]), heir) {
		m.expect("down", "elk")
	}
	onlyDown(t, append(others, heir), "elk")
}

// Who has another key, none, or another label, is nobody's member.
func TestStrangers(t *testing.T) {
	key := func(name string) string {
		_, line, _ := command(t, "keygen")
		path := filepath.Join(t.TempDir(), name)
		must(t, os.WriteFile(path, []byte(line), 0o600))
		return path
	}
	ours, theirs := key("ours"), key("theirs")
	all := town(t, []string{"ant", "bee", "cat"}, "--key-file", ours, "--label", "blue")
	strangers := []*member{
		launch(t, "key", freshAddr(t), append(joining(all), "--key-file", theirs, "--label", "blue")...),
		launch(t, "open", freshAddr(t), append(joining(all), "--label", "blue")...),
		launch(t, "label", freshAddr(t), append(joining(all), "--key-file", ours, "--label", "red")...),
	}
	for _, s := range strangers {
		s.logs("seed") // it has tried
	}
	friend := launch(t, "friend", freshAddr(t), append(joining(all), "--key-file", ours, "--label", "blue")...)
	for _, m := range all {
		m.expect("up", "friend")
		friend.expect("up", m.name)
	}
	for _, s := range strangers {
		must(t, s.cmd.Process.Signal(os.Interrupt))
		s.exits(130, "--join", all[0].addr)
		if events, _ := s.seen(); len(events) > 0 {
			t.Errorf("%s sees members: %v", s.name, events)
		}
	}
	for _, m := range all {
		for _, e := range m.sinceHere() {
			if e.Member != "friend" {
				t.Errorf("%s says of %s: %s (%s)", m.name, e.Member, e.Kind, e.Reason)
			}
		}
		if states := m.states(); len(states) != 4 {
			t.Errorf("%s has %v", m.name, states)
		}
	}
}

// Rubbish from the network changes nothing, and is counted.
func TestNoise(t *testing.T) {
	all := town(t, five)
	target := all[0]
	conn, err := net.Dial("udp", target.addr)
	must(t, err)
	defer conn.Close()
	var before, after record.Stats
	target.asks("/v1/stats", &before)
	pace := time.NewTicker(5 * time.Millisecond) // so that the kernel does not drop them, and with them heartbeats
	defer pace.Stop()
	for i := range 10_000 {
		if i%25 == 0 {
			<-pace.C
		}
		junk := make([]byte, 1+mathrand.IntN(1400))
		rand.Read(junk)
		if i%2 == 0 {
			junk[0] = byte(i / 2 % 16) // memberlist's own message types, and what is beyond
		}
		_, err := conn.Write(junk)
		must(t, err)
	}
	for kind := range byte(32) { // each of memberlist's messages, with nothing in it
		_, err := conn.Write([]byte{kind, 0x80})
		must(t, err)
	}
	_, err = conn.Write([]byte("\x04\x81\xabIncarnation\x01")) // and the announcement of a member with no name and no address
	must(t, err)
	t.Log("a crash and a start: what the ring is for still works")
	all[4].kill()
	fox := launch(t, "fox", freshAddr(t), joining(all)...)
	for _, m := range all[:4] {
		m.expect("down", "elk")
		m.expect("up", "fox")
		fox.expect("up", m.name)
		for _, e := range m.sinceHere() {
			// Reading all that may cost the target its breath on a machine with much to do: it may be late, not dead.
			late := e.Member == target.name && (e.Kind == "suspect" || e.Kind == "up")
			if e.Member != "elk" && e.Member != "fox" && !late {
				t.Errorf("%s says of %s: %s (%s)", m.name, e.Member, e.Kind, e.Reason)
			}
		}
	}
	target.asks("/v1/stats", &after)
	var dropped uint64
	for cause, n := range after.Dropped {
		if d := n - before.Dropped[cause]; d > 0 {
			t.Logf("dropped %d: %s", d, cause)
			dropped += d
		}
	}
	if dropped < 9000 { // some may be lost on the way, and some are harmless messages of memberlist's
		t.Errorf("of 10,000 only %d are counted as dropped", dropped)
	}
}

func TestAddressInUse(t *testing.T) {
	ant := town(t, []string{"ant"})[0]
	t.Log("the same address for the cluster, then for HTTP")
	launch(t, "bee", ant.addr).exits(1, ant.addr, "in use")
	launch(t, "cat", freshAddr(t), "--http", ant.http).exits(1, "--http", ant.http, "in use")
	launch(t, "dog", "203.0.113.1:7946").exits(1, "203.0.113.1")
}

// One living seed is enough.
func TestDeadSeeds(t *testing.T) {
	all := town(t, []string{"ant", "bee"})
	cat := launch(t, "cat", freshAddr(t), "--join", freshAddr(t), "--join", freshAddr(t)+","+all[0].addr)
	for _, m := range all {
		m.expect("up", "cat")
		cat.expect("up", m.name)
	}
}

// A seed that takes the call and says nothing: Ctrl-C ends the wait at once, and the error names the seed.
func TestHangingSeed(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer mute.Close()
	called := make(chan struct{})
	go func() {
		c, err := mute.Accept()
		if err == nil {
			defer c.Close()
			close(called)
			<-t.Context().Done()
		}
	}()
	cat := launch(t, "cat", freshAddr(t), "--join", mute.Addr().String())
	select {
	case <-called:
	case <-cat.ended:
	case <-time.After(patient):
	}
	interrupted := time.Now()
	must(t, cat.cmd.Process.Signal(os.Interrupt))
	cat.exits(130, mute.Addr().String())
	t.Logf("ended %s after Ctrl-C", seconds(time.Since(interrupted)))
	if took := time.Since(interrupted); took > patient/4 {
		t.Errorf("Ctrl-C took %v", took)
	}
}

// The reader of standard output goes away after the first line: the node says so, and leaves in good order.
func TestClosedOutput(t *testing.T) {
	ant := town(t, []string{"ant"})[0]
	for _, when := range []string{"closed", "any", "never"} {
		t.Log(when)
		reader, writer, err := os.Pipe()
		must(t, err)
		cmd, log := nodeWithOutput(t, when, writer, ant, "--leave-on-output-error", when)
		if _, err := reader.Read(make([]byte, 1)); err != nil {
			t.Fatalf("%v, log:\n%s", err, log)
		}
		ant.expect("up", when)
		reader.Close()
		bee := launch(t, "bee-"+when, freshAddr(t), "--join", ant.addr) // news to print
		bee.expect("up", "ant")
		want := exitFailed
		if when == "never" {
			want = 0
			time.Sleep(time.Second) // the news reach it too, and it tries to print them
			must(t, cmd.Process.Signal(syscall.SIGTERM))
		}
		ant.expect("left", when)
		if code := ends(cmd); code != want || !strings.Contains(log.String(), "broken pipe") {
			t.Errorf("exit code %d; want %d, and the cause; log:\n%s", code, want, log)
		}
		onlyDown(t, []*member{ant, bee})
	}
}

// Standard output on a full disk: the node stays, says so once, and leaves when it is told to.
func TestFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	ant := town(t, []string{"ant"})[0]
	for when, want := range map[string]int{"closed": 0, "never": 0, "any": exitFailed} {
		t.Log(when)
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		must(t, err)
		cmd, log := nodeWithOutput(t, when, full, ant, "--leave-on-output-error", when)
		ant.expect("up", when)
		if want == 0 {
			bee := launch(t, "bee-"+when, freshAddr(t), "--join", ant.addr)
			bee.expect("up", when)
			bee.kill()
			ant.expect("down", bee.name)
			must(t, cmd.Process.Signal(syscall.SIGTERM))
		}
		ant.expect("left", when)
		if code := ends(cmd); code != want || strings.Count(log.String(), "cannot print events") != 1 || !strings.Contains(log.String(), "no space left") {
			t.Errorf("exit code %d; want %d, log:\n%s", code, want, log)
		}
		for _, e := range ant.sinceHere() {
			if e.Kind == "down" && e.Member == when {
				t.Error("called down")
			}
		}
	}
}

// SIGHUP, as a terminal sends it that closes, and that twice: the node leaves. Under nohup it does not notice.
func TestHangup(t *testing.T) {
	heeds(t, syscall.SIGHUP)
	ant := town(t, []string{"ant"})[0]
	for name, signals := range map[string][]syscall.Signal{
		"once":  {syscall.SIGHUP},
		"twice": {syscall.SIGHUP, syscall.SIGHUP},
		"after": {syscall.SIGTERM, syscall.SIGHUP},
	} {
		m := launch(t, name, freshAddr(t), "--join", ant.addr)
		ant.expect("up", name)
		m.logs("joined:")
		for _, s := range signals {
			must(t, m.cmd.Process.Signal(s))
			if s != signals[len(signals)-1] {
				m.logs("leaving")
			}
		}
		ant.expect("left", name)
		m.exits(0, "left")
	}

	nohup := filepath.Join(t.TempDir(), "nohup")
	must(t, os.WriteFile(nohup, []byte("#!/bin/sh\ntrap '' HUP\nexec "+binary+" \"$@\"\n"), 0o700))
	m := launchBy(t, nohup, "deaf", freshAddr(t), freshAddr(t), "--join", ant.addr)
	ant.expect("up", "deaf")
	m.logs("joined:")
	must(t, m.cmd.Process.Signal(syscall.SIGHUP))
	bee := launch(t, "bee", freshAddr(t), "--join", m.addr)
	bee.expect("up", "deaf")
	ant.expect("up", "bee")
	must(t, m.terminate())
	ant.expect("left", "deaf")
	m.exits(0, "left")
	onlyDown(t, []*member{ant, bee})
}

// Both outputs in one place, as on a terminal: whatever happens is told once.
func TestToldOnce(t *testing.T) {
	ant := town(t, []string{"ant"})[0]
	var both bytes.Buffer
	cmd := exec.Command(binary, "node", "--name", "bee", "--bind", freshAddr(t), "--join", ant.addr)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = &both, &both, ownGroup() // one pipe, as both are the same
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	ant.expect("up", "bee")
	cat := launch(t, "cat", freshAddr(t), "--join", ant.addr)
	ant.expect("up", "cat")
	cat.expect("up", "bee")
	cat.kill()
	ant.expect("down", "cat")
	dog := launch(t, "dog", freshAddr(t), "--join", ant.addr)
	dog.expect("up", "bee")
	dog.terminate()
	ant.expect("left", "dog")
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	ant.expect("left", "bee")
	if code := ends(cmd); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, about := range []string{"joined", "cat .* down|down .*cat", "dog .* left|left .*dog", "Ctrl-C leaves"} {
		if n := len(regexp.MustCompile(about).FindAllString(both.String(), -1)); n != 1 && about != "joined" || n == 0 {
			t.Errorf("%q %d times, want once:\n%s", about, n, both.String())
		}
	}
	if strings.Contains(both.String(), "member is") {
		t.Errorf("log lines that say what the events say:\n%s", both.String())
	}
}

// Clients that take all connections of a node with few files to open: the ring does not notice, nor do questions once they are gone.
func TestCrowdedHTTP(t *testing.T) {
	poor := filepath.Join(t.TempDir(), "poor")
	must(t, os.WriteFile(poor, []byte("#!/bin/sh\nulimit -n 64\nexec "+binary+" \"$@\"\n"), 0o700))
	all := town(t, []string{"ant", "bee"})
	target := launchBy(t, poor, "poor", freshAddr(t), freshAddr(t), joining(all)...)
	for _, m := range all {
		m.expect("up", "poor")
	}
	target.logs("joined:")
	var crowd []net.Conn
	for i := range 200 {
		conn, err := net.Dial("tcp", target.http)
		must(t, err)
		defer conn.Close()
		if i%2 == 0 {
			fmt.Fprint(conn, "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
		}
		crowd = append(crowd, conn)
	}
	t.Log("a member joins through it, and one is killed")
	cat := launch(t, "cat", freshAddr(t), "--join", target.addr)
	cat.expect("up", "poor")
	target.expect("up", "cat")
	all[1].kill()
	target.expect("down", "bee")
	all[0].expect("down", "bee")
	onlyDown(t, []*member{all[0], cat, target}, "bee")
	for _, conn := range crowd {
		conn.Close()
	}
	if states := target.states(); states["cat"] != "up" || states["bee"] != "down" {
		t.Errorf("/v1/members after the crowd: %v", states)
	}
}

// Standard output that blocks, and standard error with it, as in "pulsering node 2>&1 | less": a signal still ends the node in good order.
func TestBlockedOutput(t *testing.T) {
	ant := town(t, []string{"ant"})[0]
	cmd, log := nodeWithOutput(t, "stuck", fullPipe(t), ant)
	ant.expect("up", "stuck")
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	ant.expect("left", "stuck")
	if code := ends(cmd); code != 0 {
		t.Errorf("exit code %d, log:\n%s", code, log)
	}

	full := fullPipe(t)
	cmd = exec.Command(binary, "node", "--name", "mute", "--bind", freshAddr(t), "--join", ant.addr, "--log-level", "debug")
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = full, full, ownGroup()
	must(t, cmd.Start())
	full.Close()
	t.Cleanup(func() { cmd.Process.Kill() })
	ant.expect("up", "mute")
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	ant.expect("left", "mute")
	if code := ends(cmd); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// fullPipe is a pipe that takes not a byte more, as nobody reads it.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	reader, writer, err := os.Pipe()
	must(t, err)
	t.Cleanup(func() { reader.Close() })
	for _, size := range []int{4096, 1} { // until it is full to the last byte
		for err = nil; err == nil; {
			must(t, writer.SetWriteDeadline(time.Now().Add(100*time.Millisecond)))
			_, err = writer.Write(make([]byte, size))
		}
	}
	return writer
}

// nodeWithOutput starts a node that prints to a file, which it alone has open then.
func nodeWithOutput(t *testing.T, name string, out *os.File, seed *member, flags ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(binary, append([]string{"node", "--json", "--name", name, "--bind", freshAddr(t), "--join", seed.addr}, flags...)...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = out, &log, ownGroup()
	must(t, cmd.Start())
	out.Close()
	t.Cleanup(func() { cmd.Process.Kill() })
	return cmd, &log
}

// The first signal asks, the second one ends the process whatever it does.
func TestSecondSignal(t *testing.T) {
	heeds(t, os.Interrupt)
	reader, writer, err := os.Pipe()
	must(t, err)
	defer reader.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PULSERING_E2E_STUCK=1")
	cmd.Stdout = writer
	must(t, cmd.Start())
	writer.Close()
	said := func() string {
		b := make([]byte, 1)
		reader.SetReadDeadline(time.Now().Add(patient))
		reader.Read(b)
		return string(b)
	}
	if said() != "r" { // running
		t.Fatal("did not start")
	}
	must(t, cmd.Process.Signal(os.Interrupt))
	if said() != "s" { // stopping
		t.Fatal("did not take the first signal")
	}
	must(t, cmd.Process.Signal(os.Interrupt))
	ends(cmd)
	if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !s.Signaled() || s.Signal() != syscall.SIGINT {
		t.Errorf("ended with %v; want the signal", cmd.ProcessState)
	}
}

// beStuck is the process of TestSecondSignal: it never gets done with stopping.
func beStuck() {
	ctx, _, _ := untilSignal(context.Background())
	fmt.Print("r")
	<-ctx.Done()
	fmt.Print("s")
	time.Sleep(time.Hour)
}

// The demo, as a newcomer runs it, but without a terminal.
func TestDemo(t *testing.T) {
	began := time.Now()
	code, out, stderr := command(t, "demo")
	if code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, out, stderr)
	}
	t.Logf("took %s\n%s", seconds(time.Since(began)), out)
	for _, want := range []string{"formed in", "killed cat", "down after: ant ", "up again after: ", "dog knows that it was called down", "called nobody down", "up with a new boot after: ", "left after: ", "All processes have ended"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q", want)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("escape sequences without a terminal")
	}
	if left := processes(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// However the demo ends, its processes end with it, a paused one too.
func TestDemoCutShort(t *testing.T) {
	for _, test := range []struct {
		args   []string
		signal syscall.Signal
		after  string
		code   int
	}{
		{[]string{"demo"}, syscall.SIGINT, "starting", 130},
		{[]string{"demo"}, syscall.SIGTERM, "formed in", 143},
		{[]string{"demo"}, syscall.SIGINT, "paused dog", 130},
		{[]string{"demo"}, syscall.SIGKILL, "formed in", -1},
		{[]string{"demo"}, syscall.SIGKILL, "paused dog", -1},
		{[]string{"demo", "--keep"}, syscall.SIGINT, "stays up until Ctrl-C", 0},
	} {
		if test.signal == syscall.SIGKILL && runtime.GOOS != "linux" {
			continue // nothing there ends children with their parent
		}
		var out tap
		cmd := exec.Command(binary, test.args...)
		cmd.Stdout = &out
		must(t, cmd.Start())
		out.await(t, test.after)
		must(t, cmd.Process.Signal(test.signal))
		if code := ends(cmd); code != test.code {
			t.Errorf("%v after %q: exit code %d; want %d", test.signal, test.after, code, test.code)
		}
		if test.signal != syscall.SIGKILL {
			if left := processes(); len(left) > 0 {
				t.Errorf("%v after %q: left behind %v", test.signal, test.after, left)
			}
			continue
		}
		deadline := time.Now().Add(patient)
		for len(processes()) > 0 && time.Now().Before(deadline) {
			time.Sleep(20 * time.Millisecond) // they are nobody's children now, so there is nothing to wait on
		}
		if left := processes(); len(left) > 0 {
			t.Errorf("%v after %q: left behind %v", test.signal, test.after, left)
		}
	}
}

// tap is an output that the test can wait for.
type tap struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{}
}

func (o *tap) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more != nil {
		close(o.more)
		o.more = nil
	}
	return o.text.Write(b)
}

func (o *tap) await(t *testing.T, want string) {
	t.Helper()
	for deadline := time.After(patient); ; {
		o.mu.Lock()
		text, more := o.text.String(), o.more
		if more == nil {
			more = make(chan struct{})
			o.more = more
		}
		o.mu.Unlock()
		if strings.Contains(text, want) {
			return
		}
		select {
		case <-more:
		case <-deadline:
			t.Fatalf("no %q in:\n%s", want, text)
		}
	}
}
