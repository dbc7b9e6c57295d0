//go:build e2e && unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The end-to-end tests run the real binary: processes, sockets and signals. They wait for what the processes print,
// never for time to pass.

// patient is how long they wait: far longer than anything takes, since the machine may have other things to do.
const patient = 40 * time.Second

var (
	binary string // the command, built from this directory

	usedMu sync.Mutex
	used   []string // addresses that were given to processes
)

func TestMain(m *testing.M) {
	if os.Getenv("PULSERING_E2E_STUCK") != "" {
		beStuck()
	}
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pulsering-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "pulsering")
	args := []string{"build", "-o", binary}
	if raceDetector() {
		args = append(args, "-race") // then the processes look for races, too
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
		return 1
	}
	code := m.Run()
	if left := processes(); len(left) > 0 {
		fmt.Fprintf(os.Stderr, "processes left behind: %v\n", left)
		code = 1
	}
	for _, addr := range used {
		if err := free(addr); err != nil {
			fmt.Fprintf(os.Stderr, "somebody still listens: %v\n", err)
			code = 1
		}
	}
	return code
}

func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// processes lists those that run the built binary, where the system shows them (Linux).
func processes() (pids []string) {
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		if exe, err := os.Readlink(link); err == nil && exe == binary {
			pids = append(pids, filepath.Base(filepath.Dir(link)))
		}
	}
	return pids
}

func free(addr string) error {
	tcp, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	return udp.Close()
}

// freshAddr returns a loopback address that is free, and that no other test got: its process may not listen there yet.
func freshAddr(t *testing.T) string {
	t.Helper()
	usedMu.Lock()
	defer usedMu.Unlock()
	for {
		addrs, err := freeAddrs(1)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(used, addrs[0]) {
			used = append(used, addrs[0])
			return addrs[0]
		}
	}
}

// member is a node that runs as a process, and the test's view of what it prints.
type member struct {
	*proc
	t          *testing.T
	name       string
	addr, http string
	from       int // what the test looks at begins here
}

// launch starts a node; more flags may replace the usual ones.
func launch(t *testing.T, name, addr string, flags ...string) *member {
	t.Helper()
	return launchBy(t, binary, name, addr, freshAddr(t), flags...)
}

// launchBy starts a node by an executable that stands for the binary.
func launchBy(t *testing.T, exe, name, addr, http string, flags ...string) *member {
	t.Helper()
	m := &member{t: t, name: name, addr: addr, http: http}
	var err error
	m.proc, err = startNode(exe, append([]string{"--name", name, "--bind", addr, "--http", http, "--log-level", "debug"}, flags...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.cleanup)
	return m
}

func (m *member) cleanup() {
	m.kill()
	log := m.lastLog(1000)
	for _, bad := range []string{"DATA RACE", "panic:", "fatal error:"} {
		if strings.Contains(log, bad) {
			m.t.Errorf("%s has a %s", m.name, bad)
		}
	}
	if m.t.Failed() {
		m.t.Logf("%s printed:\n%s%s logged last:\n%s", m.name, indent(m.printedText()), m.name, indent(m.lastLog(25)))
	}
}

func indent(s string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n    ") + "\n"
}

func (m *member) printedText() string {
	var text strings.Builder
	events, _ := m.seen()
	for _, e := range events {
		fmt.Fprintln(&text, eventText(e, false), "boot", e.Boot)
	}
	return text.String()
}

// town starts members that join each other, and returns them once each has joined and seen all others up.
func town(t *testing.T, names []string, flags ...string) []*member {
	t.Helper()
	var all []*member
	for _, name := range names {
		all = append(all, launch(t, name, freshAddr(t), append(joining(all), flags...)...))
	}
	formed(all)
	return all
}

// anywhere tells whether the member listens on all addresses, and has to find the one that it advertises.
func (m *member) anywhere() bool { return strings.HasPrefix(m.addr, "0.0.0.0:") }

// heeds skips a test where a signal is ignored, as under nohup or in the background of a script: what is started inherits that.
func heeds(t *testing.T, s os.Signal) {
	t.Helper()
	if signal.Ignored(s) {
		t.Skipf("%v is ignored where this test runs", s)
	}
}

// formed waits until each of the members has joined and seen all others up. A new chapter begins there.
func formed(all []*member) {
	for _, m := range all {
		m.t.Helper()
		m.expect("joined", m.name)
		if events, _ := m.seen(); events[0].Kind != "joined" || !m.anywhere() && events[0].Addr != m.addr || events[0].boot() == 0 {
			m.t.Errorf("the first line of %s is %+v", m.name, events[0])
		}
		for _, other := range all {
			if m != other {
				m.expect("up", other.name)
			}
		}
	}
	fromHere(all)
}

// joining is the flags to join through the first two of the members.
func joining(members []*member) (flags []string) {
	for _, m := range members[:min(2, len(members))] {
		flags = append(flags, "--join", m.addr)
	}
	return flags
}

// without returns the members but for one.
func without(all []*member, one *member) []*member {
	return slices.DeleteFunc(slices.Clone(all), func(m *member) bool { return m == one })
}

// fromHere begins a new chapter: what was printed before does not count for expect and silent.
func fromHere(all []*member) {
	for _, m := range all {
		events, _ := m.seen()
		m.from = len(events)
	}
}

// expect waits until the member has printed an event of a kind about a subject, for which all conditions hold.
func (m *member) expect(kind, subject string, conditions ...func(eventLine) bool) eventLine {
	m.t.Helper()
	e, ok := m.next(kind, subject, conditions...)
	if !ok {
		m.t.Fatalf("%s did not print %q about %s", m.name, kind, subject)
	}
	return e
}

func (m *member) next(kind, subject string, conditions ...func(eventLine) bool) (eventLine, bool) {
	deadline := time.After(patient)
	for i := m.from; ; {
		ended := !m.running() // looked at before the events: nothing comes after
		events, more := m.seen()
		for ; i < len(events); i++ {
			e := events[i]
			if e.Kind == kind && e.Member == subject && !slices.ContainsFunc(conditions, func(c func(eventLine) bool) bool { return !c(e) }) {
				return e, true
			}
		}
		if ended {
			return eventLine{}, false
		}
		select {
		case <-more:
		case <-m.ended:
		case <-deadline:
			return eventLine{}, false
		}
	}
}

// Conditions of expect.
func reason(want string) func(eventLine) bool {
	return func(e eventLine) bool { return e.Reason == want }
}
func newer(boot uint64) func(eventLine) bool {
	return func(e eventLine) bool { return e.boot() > boot }
}
func ofBoot(boot uint64) func(eventLine) bool {
	return func(e eventLine) bool { return e.boot() == boot }
}
func at(addr string) func(eventLine) bool { return func(e eventLine) bool { return e.Addr == addr } }

// onlyDown checks that the members have called nobody down but those named, since the chapter began.
func onlyDown(t *testing.T, all []*member, allowed ...string) {
	t.Helper()
	for _, m := range all {
		for _, e := range m.sinceHere() {
			if e.Kind == "down" && !slices.Contains(allowed, e.Member) {
				t.Errorf("%s called %s down (%s), which was alive", m.name, e.Member, e.Reason)
			}
		}
	}
}

func (m *member) sinceHere() []eventLine {
	events, _ := m.seen()
	return events[m.from:]
}

// boot returns the latest boot of a subject that the member has printed.
func (m *member) boot(subject string) (boot uint64) {
	events, _ := m.seen()
	for _, e := range events {
		if e.Member == subject {
			boot = max(boot, e.boot())
		}
	}
	return boot
}

// logs waits until the process has logged something.
func (m *member) logs(text string) {
	m.t.Helper()
	deadline := time.Now().Add(patient)
	for !strings.Contains(m.lastLog(1000), text) {
		if time.Now().After(deadline) || !m.running() && !strings.Contains(m.lastLog(1000), text) {
			m.t.Fatalf("%s did not log %q", m.name, text)
		}
		time.Sleep(20 * time.Millisecond) // a look now and then: the log has no channel to wait on
	}
}

// exits waits for the end of the process and checks its exit code, and that it says why.
func (m *member) exits(code int, why ...string) {
	m.t.Helper()
	err := m.wait(patient)
	if got := exitCode(err); got != code {
		m.t.Fatalf("%s ended with exit code %d (%v); want %d", m.name, got, err, code)
	}
	for _, w := range why {
		if !strings.Contains(m.lastLog(1000), w) {
			m.t.Errorf("%s does not say %q at its end", m.name, w)
		}
	}
}

// ends waits for the end of a process and returns its exit code.
func ends(cmd *exec.Cmd) int {
	defer time.AfterFunc(patient, func() { cmd.Process.Kill() }).Stop()
	return exitCode(cmd.Wait())
}

// exitCode is -1 for a process that still runs or that a signal ended.
func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// must is for calls that work unless the machine is broken.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// asks returns the answer to a GET at the member's HTTP interface.
func (m *member) asks(path string, answer any) {
	m.t.Helper()
	client := http.Client{Timeout: patient}
	got, err := client.Get("http://" + m.http + path)
	if err != nil {
		m.t.Fatal(err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil || got.StatusCode != http.StatusOK || json.Unmarshal(body, answer) != nil {
		m.t.Fatalf("GET %s of %s: %s %q %v", path, m.name, got.Status, body, err)
	}
}

// states returns the state of every member that m knows, by name.
func (m *member) states() map[string]string {
	m.t.Helper()
	var members []memberLine
	m.asks("/v1/members", &members)
	states := make(map[string]string)
	for _, other := range members {
		states[other.Name] = other.State.String()
	}
	return states
}

// command runs the binary to its end.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	must(t, cmd.Start())
	code = ends(cmd)
	return code, out.String(), errs.String()
}
