//go:build e2e && unix

package main

import (
	"bufio"
	"flag"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var rounds = flag.Int("rounds", 5, "how often a worker is stopped in the middle of a job")

// Real processes and signals: SIGSTOP in the middle of a job until another worker has it, then SIGCONT. Run it with
// -args -rounds=100 for longer.
func TestStoppedProcessesDoNothingTwice(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "worker-pool")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	seed := freeAddr(t)
	workers := map[string]*process{"w1": run(t, binary, "-name", "w1", "-bind", seed)}
	workers["w1"].says(t, "w1 .* works")
	for _, name := range []string{"w2", "w3"} {
		workers[name] = run(t, binary, "-name", name, "-bind", "127.0.0.1:0", "-join", seed)
		workers[name].says(t, name+" .* works")
	}
	boss := run(t, binary, "-name", "boss", "-bind", "127.0.0.1:0", "-join", seed, "-jobs", "1000000")
	boss.says(t, "w1 .* made")

	taken := 0
	for round := range *rounds {
		name := fmt.Sprintf("w%d", 1+round%3)
		w := workers[name]
		job := w.saysAfter(t, w.length(), `doing (job-\d+)$`)
		w.signal(t, syscall.SIGSTOP)
		// Taken back, unless it was done before the signal came.
		if said := boss.saysAfter(t, 0, `(took "`+job+`" back|made \S+ of `+job+`$)`); strings.HasPrefix(said, "took") {
			taken++
		}
		boss.saysAfter(t, 0, `made \S+ of `+job+`$`) // by another, or before
		before := boss.length()
		w.signal(t, syscall.SIGCONT)
		boss.saysAfter(t, before, name+` .* made`) // it goes on with others
	}
	boss.signal(t, syscall.SIGINT)
	if err := boss.cmd.Wait(); err != nil {
		t.Errorf("the boss ended with %v", err)
	}

	made := regexp.MustCompile(`(\w+) \(boot \d+, epoch (\d+)\) made \S+ of (job-\d+)$`)
	by := make(map[string][]string)
	epochs := make(map[string]string)
	refused := 0
	for _, line := range boss.all() {
		if strings.Contains(line, "refused ") {
			refused++
		}
		if m := made.FindStringSubmatch(line); m != nil {
			by[m[3]] = append(by[m[3]], m[1])
			epochs[m[1]] = m[2]
		}
	}
	for job, names := range by {
		if len(names) != 1 {
			t.Errorf("%s was done by %v", job, names)
		}
	}
	accused := 0
	for _, w := range workers {
		accused += len(slices.DeleteFunc(w.all(), func(line string) bool { return !strings.Contains(line, "others called me down") }))
	}
	t.Logf("%d rounds: %d jobs done, %d taken back, %d results refused, workers accused %d times, epochs %v", *rounds, len(by), taken, refused, accused, epochs)
	if taken < *rounds/2 || accused < taken*9/10 {
		t.Errorf("%d jobs taken back and workers accused %d times in %d rounds: what was to be tested did not happen", taken, accused, *rounds)
	}
}

// process is a copy of the example, and what it logs.
type process struct {
	cmd *exec.Cmd

	mu    sync.Mutex
	lines []string
	ended bool
}

func run(t *testing.T, binary string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(binary, args...)}
	out, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for in := bufio.NewScanner(out); in.Scan(); {
			p.mu.Lock()
			p.lines = append(p.lines, in.Text())
			p.mu.Unlock()
		}
		p.mu.Lock()
		p.ended = true
		p.mu.Unlock()
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-read
		p.cmd.Wait()
		if t.Failed() {
			all := p.all()
			t.Logf("%v logged last:\n%s", args, strings.Join(all[max(0, len(all)-20):], "\n"))
		}
	})
	return p
}

func (p *process) all() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines)
}

func (p *process) length() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines)
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

func (p *process) says(t *testing.T, what string) string { t.Helper(); return p.saysAfter(t, 0, what) }

// saysAfter waits for a line that matches, beyond the first ones, and returns the first group of the match, or all of it.
func (p *process) saysAfter(t *testing.T, skip int, what string) string {
	t.Helper()
	expression := regexp.MustCompile(what)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
		p.mu.Lock()
		lines, ended := p.lines[min(skip, len(p.lines)):], p.ended
		p.mu.Unlock()
		for _, line := range lines {
			skip++
			if m := expression.FindStringSubmatch(line); m != nil {
				return m[len(m)-1]
			}
		}
		if ended || time.Now().After(deadline) {
			t.Fatalf("no line like %q (it has ended: %v)", what, ended)
		}
	}
}

// freeAddr is a loopback address whose port was free just now, TCP and UDP.
func freeAddr(t *testing.T) string {
	t.Helper()
	for {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		tcp.Close()
		if err == nil {
			udp.Close()
			return tcp.Addr().String()
		}
	}
}
