//go:build e2e && unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// teller is a gateway or a client that runs as a process, and what it prints.
type teller struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{}
	log  bytes.Buffer // to be read after done

	mu    sync.Mutex
	lines []sessionLine
	from  int
}

func tell(t *testing.T, home string, args ...string) *teller {
	t.Helper()
	return tellBy(t, binary, home, args...)
}

// tellBy is tell by an executable that runs the binary.
func tellBy(t *testing.T, door, home string, args ...string) *teller {
	t.Helper()
	p := &teller{t: t, cmd: exec.Command(door, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME="+home)
	p.cmd.SysProcAttr = ownGroup()
	p.cmd.Stderr = &p.log
	out, err := p.cmd.StdoutPipe()
	must(t, err)
	must(t, p.cmd.Start())
	go func() {
		defer close(p.done)
		for s := bufio.NewScanner(out); s.Scan(); {
			var l sessionLine
			if err := json.Unmarshal(s.Bytes(), &l); err != nil {
				t.Errorf("%s printed %q: %v", args[0], s.Bytes(), err)
			}
			p.mu.Lock()
			p.lines = append(p.lines, l)
			p.mu.Unlock()
		}
		p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.done
		if log := p.log.String(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic:") || t.Failed() {
			t.Errorf("%s printed %s and logged\n%s", strings.Join(args, " "), p.kinds(0), log)
		}
	})
	return p
}

func (p *teller) kinds(from int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, l := range p.lines[from:] {
		if l.Kind != "rtt" {
			all = append(all, strings.TrimSpace(l.Kind+" "+l.Cause))
		}
	}
	return strings.Join(all, ", ")
}

// expect waits for the next line of a kind about a session, and returns it.
func (p *teller) expect(kind, session string) sessionLine {
	p.t.Helper()
	for begin := time.Now(); time.Since(begin) < patient; time.Sleep(10 * time.Millisecond) {
		p.mu.Lock()
		for ; p.from < len(p.lines); p.from++ {
			if l := p.lines[p.from]; l.Kind == kind && l.Session == session {
				p.from++
				p.mu.Unlock()
				return l
			}
		}
		p.mu.Unlock()
	}
	p.t.Fatalf("no %q about %s; printed %s", kind, session, p.kinds(0))
	return sessionLine{}
}

// never checks that nothing of a kind was printed.
func (p *teller) never(kinds ...string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lines {
		for _, k := range kinds {
			if l.Kind == k {
				p.t.Errorf("printed %s of %s", k, l.Session)
			}
		}
	}
}

func (p *teller) signal(s syscall.Signal) {
	p.t.Helper()
	must(p.t, p.cmd.Process.Signal(s))
}

// ends waits for the end of the process, and returns its exit code.
func (p *teller) ends() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patient):
		p.t.Fatal("it does not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

func port(t *testing.T, home string, flags ...string) (g *teller, ws, tcp string) {
	ws, tcp = freshAddr(t), freshAddr(t)
	return openGate(t, home, ws, tcp, flags...), ws, tcp
}

func openGate(t *testing.T, home, ws, tcp string, flags ...string) *teller {
	return tell(t, home, append([]string{"gateway", "--json", "--listen", ws, "--tcp", tcp, "--interval", "200ms", "--log-level", "debug"}, flags...)...)
}

func join(t *testing.T, home, url, name string, flags ...string) *teller {
	return tell(t, home, append([]string{"connect", url, "--session", name, "--json", "--every", "100ms"}, flags...)...)
}

func TestGatewaySeesClients(t *testing.T) {
	home := t.TempDir()
	g, ws, tcp := port(t, home, "--grace", "4s")
	urls := map[string]string{"ann": "ws://" + ws + "/ws", "bob": "tcp://" + tcp}
	clients := map[string]*teller{}
	for name, url := range urls {
		clients[name] = join(t, home, url, name)
		clients[name].expect("up", name)
		if l := g.expect("up", name); l.Transport != map[string]string{"ann": "websocket", "bob": "tcp"}[name] {
			t.Errorf("%+v", l)
		}
		if l := clients[name].expect("rtt", name); l.RTT <= 0 {
			t.Errorf("%+v", l)
		}
	}
	for name, url := range urls {
		t.Log("SIGKILL", name)
		g.from = 0
		clients[name].signal(syscall.SIGKILL)
		if l := g.expect("away", name); l.Cause != "clean" && l.Cause != "path" {
			t.Errorf("%+v", l)
		}
		clients[name].ends()
		clients[name] = join(t, home, url, name)
		g.expect("resumed", name)
		clients[name].expect("up", name)
	}
	time.Sleep(2 * time.Second) // for φ to know them: before the first beat there is no suspicion, only a limit
	t.Log("SIGSTOP of both")
	g.mu.Lock()
	g.from = len(g.lines)
	g.mu.Unlock()
	stopped := time.Now()
	for name := range urls {
		clients[name].signal(syscall.SIGSTOP)
	}
	for name := range urls {
		from := g.from
		g.expect("suspect", name)
		l := g.expect("away", name)
		t.Logf("%s is away after %v: %s", name, time.Since(stopped).Round(time.Millisecond), l.Cause)
		g.from = from
	}
	for name := range urls {
		from := g.from
		l := g.expect("gone", name)
		t.Logf("%s is gone after %v", name, l.Time.Sub(stopped).Round(time.Millisecond))
		g.from = from
	}
	for name := range urls {
		clients[name].signal(syscall.SIGCONT)
		g.expect("up", name)
	}
	t.Log("Ctrl-C of a client is a goodbye")
	clients["ann"].signal(syscall.SIGINT)
	if l := g.expect("gone", "ann"); l.Cause != "clean" {
		t.Errorf("%+v", l)
	}
	if code := clients["ann"].ends(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// What the kernel knows of the sockets is told of every kind of session: a client that is stopped is
// stuck, and one that is killed has closed. In TLS it is the same, and who does not trust the
// certificate is told so.
func TestGatewayTellsWhy(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads TCP_INFO")
	}
	cert, key := certificate(t)
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", secure), func(t *testing.T) {
			t.Parallel() // it waits, for the most part
			home := t.TempDir()
			web, stream := freshAddr(t), freshAddr(t)
			urls := map[string]string{"ann": "ws://" + web + "/ws", "bob": "tcp://" + stream}
			var serve, trust []string
			if secure {
				urls = map[string]string{"ann": "wss://" + web + "/ws", "bob": "tls://" + stream}
				serve, trust = []string{"--cert", cert, "--key", key}, []string{"--ca", cert}
			}
			g := tell(t, home, append([]string{"gateway", "--json", "--listen", web, "--tcp", stream}, serve...)...)
			clients := map[string]*teller{}
			for name, url := range urls {
				clients[name] = join(t, home, url, name, trust...)
				clients[name].expect("up", name)
			}
			var strangers []*teller
			if secure {
				for name, url := range urls {
					strangers = append(strangers, tell(t, t.TempDir(), "connect", url, "--session", name+"2"))
				}
			}
			time.Sleep(5 * time.Second) // for φ to know them
			for name, c := range clients {
				c.signal(syscall.SIGSTOP)
				from := g.from
				for _, kind := range []string{"suspect", "away"} {
					early := kind == "suspect" // the kernel may not know yet
					if l := g.expect(kind, name); l.Cause != "stuck" && !(early && l.Cause == "silent") {
						t.Errorf("%s is stopped, and %s: %q", name, kind, l.Cause)
					}
				}
				g.from = from
				c.signal(syscall.SIGCONT)
				g.expect("resumed", name)
				c.signal(syscall.SIGKILL)
				if l := g.expect("away", name); l.Cause != "clean" {
					t.Errorf("%s is killed, and away: %q", name, l.Cause)
				}
				g.from = 0
			}
			for _, s := range strangers {
				s.signal(syscall.SIGINT)
				s.ends()
				if log := s.log.String(); !strings.Contains(log, "unknown authority") {
					t.Errorf("without --ca it logs\n%s", log)
				}
			}
		})
	}
}

// The gateway stands still for longer than any client waits: no session is dropped.
func TestGatewayStandsStill(t *testing.T) {
	home := t.TempDir()
	g, ws, tcp := port(t, home, "--grace", "4s")
	var clients []*teller
	for i := range 6 {
		url := "ws://" + ws + "/ws"
		if i%2 == 1 {
			url = "tcp://" + tcp
		}
		clients = append(clients, join(t, home, url, fmt.Sprint("c", i)))
	}
	for i, c := range clients {
		c.expect("up", fmt.Sprint("c", i))
	}
	time.Sleep(time.Second)
	g.signal(syscall.SIGSTOP)
	time.Sleep(14 * time.Second) // more than a try to connect takes, and than the grace
	g.signal(syscall.SIGCONT)
	time.Sleep(3 * time.Second)
	g.never("gone")
	for i, c := range clients {
		c.never("gone")
		c.mu.Lock()
		c.from = max(0, len(c.lines)-1)
		c.mu.Unlock()
		c.expect("rtt", fmt.Sprint("c", i))
	}
	t.Logf("the gateway says %s", g.kinds(0))
}

// A gateway that is killed, and one that ends in order: the clients come back by themselves.
func TestGatewayRestarts(t *testing.T) {
	home := t.TempDir()
	g, ws, tcp := port(t, home, "--grace", "2s")
	a, b := join(t, home, "ws://"+ws+"/ws", "ann"), join(t, home, "tcp://"+tcp, "bob")
	for i, stop := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT} {
		a.expect("up", "ann")
		b.expect("up", "bob")
		g.signal(stop)
		code := g.ends()
		if stop == syscall.SIGINT && (code != 0 || !strings.Contains(g.log.String(), "told to come back")) {
			t.Errorf("exit code %d", code)
		}
		a.expect("away", "ann")
		b.expect("away", "bob")
		t.Logf("restart %d", i)
		g = openGate(t, home, ws, tcp, "--grace", "2s")
		g.expect("up", "ann")
		g.from = 0
		g.expect("up", "bob")
	}
	a.expect("up", "ann")
	b.expect("up", "bob")
}

func TestGatewayRefusals(t *testing.T) {
	home := t.TempDir()
	g, ws, tcp := port(t, home)
	c := join(t, home, "tcp://"+tcp, "ann")
	g.expect("up", "ann")
	c.expect("up", "ann")
	for _, test := range []struct {
		code int
		says string
		args []string
	}{
		{1, "address already in use", []string{"gateway", "--listen", ws}},
		{1, "--tcp", []string{"gateway", "--listen", "127.0.0.1:0", "--tcp", tcp}},
		{1, "somebody else's", []string{"connect", "ws://" + ws + "/ws", "--session", "ann"}}, // another URL, and so another file
		{80, "--interval", []string{"gateway", "--interval", "1ns"}},
		{80, "--grace", []string{"gateway", "--grace", "25h"}},
		{80, "want ws, wss, tcp or tls", []string{"connect", "http://x"}},
		{80, "want tcp://HOST:PORT", []string{"connect", "tcp://127.0.0.1:1/path"}},
		{80, "no URL", []string{"connect", "nonsense"}},
	} {
		code, _, errs := command(t, test.args...)
		if code == 0 || !strings.Contains(errs, test.says) || strings.Contains(errs, "goroutine") {
			t.Errorf("%s: exit code %d, %q; want %q", strings.Join(test.args, " "), code, errs, test.says)
		}
	}
	c.never("away", "gone")
}
