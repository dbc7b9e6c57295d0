//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The program starts itself again as the servers and the client. What such a process is to be
// stands in its environment. It is asked by lines on its standard input, answers with a line of
// JSON each, and ends with its standard input, so that none outlives the first process.
const (
	roleVar    = "PULSERING_BENCH_ROLE"
	argVar     = "PULSERING_BENCH_ARG"
	profileVar = "PULSERING_BENCH_PROFILE"
)

// sample is what a process says of itself.
type sample struct {
	Addr       string        `json:",omitempty"` // of a server
	CPU        time.Duration // user and system
	Beats      uint64        // pings that were answered
	Resident   uint64        // bytes
	Stacks     uint64        // bytes of them, of goroutines
	Heap       uint64        // bytes that live and dead objects take
	Goroutines int
	Open       int // connections
}

// take fills in what the system knows of this process.
func (s *sample) take() error {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return err
	}
	s.CPU = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	s.Goroutines = runtime.NumGoroutine()
	m := []metrics.Sample{
		{Name: "/memory/classes/heap/stacks:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
	}
	metrics.Read(m)
	s.Stacks, s.Heap = m[0].Value.Uint64(), m[1].Value.Uint64()
	var err error
	s.Resident, err = resident()
	return err
}

// resident is this process's resident memory, counted by the pages: VmRSS may lag by some hundred
// kilobytes.
func resident() (uint64, error) {
	b, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "Rss:"); ok {
			kb, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("smaps_rollup says nothing of Rss: %q", b)
}

// act is the main function of a server or client.
func act(role string) error {
	signal.Ignore(os.Interrupt) // a terminal tells all processes; the first one ends the others
	if role == "client" {
		return client(os.Getenv(argVar), os.Stdin, os.Stdout)
	}
	return serve(role, os.Getenv(argVar), os.Stdin, os.Stdout)
}

// answer answers each line with what fill makes of it, until there are no more.
func answer(in io.Reader, out io.Writer, fill func(question string) (sample, error)) error {
	enc := json.NewEncoder(out)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if lines.Text() == "free" {
			debug.FreeOSMemory()
		}
		s, err := fill(lines.Text())
		if err == nil {
			err = s.take()
		}
		if err == nil {
			err = enc.Encode(s)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// together is a writer that several processes share.
type together struct {
	mu sync.Mutex
	w  io.Writer
}

func (t *together) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.w.Write(p)
}

// child is a server or client, as the first process sees it.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

func start(ctx context.Context, role, arg, profile string, log io.Writer) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), roleVar+"="+role, argVar+"="+arg, profileVar+"="+profile)
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &child{cmd, in, json.NewDecoder(out)}, cmd.Start()
}

// ask returns the answer to a question; "": to none.
func (c *child) ask(question string) (s sample, err error) {
	if question != "" {
		if _, err := io.WriteString(c.in, question+"\n"); err != nil {
			return s, err
		}
	}
	err = c.out.Decode(&s)
	return s, err
}

// end has the process end, and returns when it has.
func (c *child) end() error {
	c.in.Close()
	return c.cmd.Wait()
}
