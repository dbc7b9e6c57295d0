package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// proc is a "pulsering node --json" that runs as a child process. It does not outlive its parent where the system can
// see to that (Linux).
type proc struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process is gone and all it printed has been read
	err   error         // how it ended; to be read after ended

	mu     sync.Mutex
	events []eventLine   // what it printed so far
	grown  chan struct{} // closed with the next line
	half   []byte        // a line whose end is still to come
	log    []byte        // the end of what it logged
}

// startNode runs exe as a node.
func startNode(exe string, args ...string) (*proc, error) {
	p := &proc{ended: make(chan struct{}), grown: make(chan struct{})}
	p.cmd = exec.Command(exe, append([]string{"node", "--json"}, args...)...)
	p.cmd.Stdout = writerFunc(p.printed)
	p.cmd.Stderr = writerFunc(p.logged)
	p.cmd.SysProcAttr = ownGroup()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// printed takes what the process writes to standard output.
func (p *proc) printed(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.half = append(p.half, b...)
	for {
		line, rest, whole := bytes.Cut(p.half, []byte("\n"))
		if !whole {
			return len(b), nil
		}
		var e eventLine
		if err := json.Unmarshal(line, &e); err != nil {
			return 0, fmt.Errorf("printed %.80q, which is no event: %w", line, err) // ends up in p.err
		}
		p.events = append(p.events, e)
		p.half = rest
		close(p.grown)
		p.grown = make(chan struct{})
	}
}

// logged takes what the process writes to standard error, and keeps the last 8 KiB.
func (p *proc) logged(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, b...)
	if extra := len(p.log) - 8<<10; extra > 0 {
		p.log = append(p.log[:0], p.log[extra:]...)
	}
	return len(b), nil
}

// seen returns the events printed so far, and a channel that is closed with the next one.
func (p *proc) seen() (events []eventLine, more <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.events[:len(p.events):len(p.events)], p.grown
}

// lastLog returns the last lines of the log.
func (p *proc) lastLog(lines int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := strings.Split(strings.TrimSpace(string(p.log)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// running tells whether the process is still there.
func (p *proc) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// wait returns how the process ended, or an error when it has not within limit.
func (p *proc) wait(limit time.Duration) error {
	select {
	case <-p.ended:
		return p.err
	case <-time.After(limit):
		return fmt.Errorf("process %d still runs after %v", p.cmd.Process.Pid, limit)
	}
}

// kill ends the process without a word to anyone, and waits for its end. A paused one can be killed, too.
func (p *proc) kill() {
	p.cmd.Process.Kill() // an error means that it is gone already
	<-p.ended
}

// freeAddrs returns n loopback addresses that nothing listens on, TCP or UDP. They lie below the ports that systems
// hand out by themselves, so that nobody takes them by chance before they are used.
func freeAddrs(n int) ([]string, error) {
	var addrs []string
	for tries := 0; len(addrs) < n; tries++ {
		if tries == 100*n {
			return nil, errors.New("no free loopback ports found between 10000 and 30000: is the loopback interface up?")
		}
		addr := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(20000))
		tcp, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		defer tcp.Close() // held until all are found, so that none is found twice
		udp, err := net.ListenPacket("udp", addr)
		if err != nil {
			continue
		}
		defer udp.Close()
		addrs = append(addrs, addr)
	}
	return addrs, nil
}
