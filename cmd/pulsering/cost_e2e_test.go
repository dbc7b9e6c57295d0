//go:build e2e && linux

package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	costFor = flag.Duration("cost", 0, "measure for so long what a quiet node costs that is asked, five at a time")
	beside  = flag.String("beside", "", "with -cost: the serf binary, five agents of which run at the same time")
)

// What a node costs that serves HTTP, with one reader of events and one of metrics, beside one that does not, and beside serf's
// agent: five of each at the same time, each five in a network namespace of its own, where nothing else is sent.
//
//	go test -tags e2e ./cmd/pulsering -run TestCostOfServing -v -timeout 0 -args -cost 60s -beside $(which serf)
func TestCostOfServing(t *testing.T) {
	if *costFor == 0 {
		t.Skip("a measurement: say how long with -args -cost 60s")
	}
	l := emptyLAN(t)
	type ring struct {
		name string
		pids []int
	}
	var rings []ring
	start := func(space string, args func(i int) []string) {
		must(t, l.namespace(space))
		l.set(space, "lo", "up")
		r := ring{name: space}
		for i := range 5 {
			cmd := exec.Command("ip", append([]string{"netns", "exec", l.prefix + space}, args(i)...)...)
			cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
			must(t, cmd.Start())
			t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
			r.pids = append(r.pids, cmd.Process.Pid)
			time.Sleep(300 * time.Millisecond)
		}
		rings = append(rings, r)
	}
	node := func(dir string, serves bool) func(i int) []string {
		return func(i int) []string {
			args := []string{binary, "node", "--name", fmt.Sprint("n", i), "--bind", fmt.Sprintf("127.0.0.1:%d", 7000+i)}
			if i > 0 {
				args = append(args, "--join", "127.0.0.1:7000")
			}
			if serves {
				args = append(args, "--http", fmt.Sprintf("127.0.0.1:%d", 8000+i), "--control", filepath.Join(dir, fmt.Sprint(i)))
			}
			return args
		}
	}
	dir := t.TempDir()
	start("bare", node(dir, false))
	start("asked", node(dir, true))
	if *beside != "" {
		start("serf", func(i int) []string {
			args := []string{*beside, "agent", "-node", fmt.Sprint("n", i), "-bind", fmt.Sprintf("127.0.0.1:%d", 7000+i), "-rpc-addr", fmt.Sprintf("127.0.0.1:%d", 9000+i)}
			if i > 0 {
				args = append(args, "-join", "127.0.0.1:7000")
			}
			return args
		})
	}
	// The readers ask through the sockets, so that only the rings are on the wire.
	for i := range 5 {
		client := &http.Client{Transport: &http.Transport{DialContext: dialUnix(filepath.Join(dir, fmt.Sprint(i)))}}
		events, err := client.Get("http://node/v1/events")
		must(t, err)
		t.Cleanup(func() { events.Body.Close() })
		go io.Copy(io.Discard, events.Body)
		for _, path := range []string{"/metrics", "/v1/members"} { // a scrape and a look at the dashboard a second
			stop := make(chan struct{})
			t.Cleanup(func() { close(stop) })
			go func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(time.Second):
						if answer, err := client.Get("http://node" + path); err == nil {
							io.Copy(io.Discard, answer.Body)
							answer.Body.Close()
						}
					}
				}
			}()
		}
	}
	time.Sleep(10 * time.Second)
	type figures struct{ cpu, memory, packets, bytes float64 }
	const rounds = 5
	all := map[string][]figures{}
	for range rounds {
		before := map[string]figures{}
		for _, r := range rings {
			before[r.name] = figures{cpu: cpuOf(t, r.pids), packets: lo(t, l.prefix+r.name, "packets"), bytes: lo(t, l.prefix+r.name, "bytes")}
		}
		began := time.Now()
		time.Sleep(*costFor / rounds)
		seconds := time.Since(began).Seconds()
		for _, r := range rings {
			b := before[r.name]
			all[r.name] = append(all[r.name], figures{
				100 * (cpuOf(t, r.pids) - b.cpu) / seconds / 5, residentOf(t, r.pids) / 5,
				(lo(t, l.prefix+r.name, "packets") - b.packets) / seconds / 5, (lo(t, l.prefix+r.name, "bytes") - b.bytes) / seconds / 5,
			})
		}
	}
	for _, r := range rings {
		median := func(of func(figures) float64) float64 {
			var values []float64
			for _, f := range all[r.name] {
				values = append(values, of(f))
			}
			slices.Sort(values)
			return values[len(values)/2]
		}
		t.Logf("%-6s %5.2f %% of a core, %5.1f MB, %5.1f packets and %6.0f bytes a second on the wire, a node", r.name,
			median(func(f figures) float64 { return f.cpu }), median(func(f figures) float64 { return f.memory }),
			median(func(f figures) float64 { return f.packets }), median(func(f figures) float64 { return f.bytes }))
	}
}

// cpuOf is the processor time that processes have taken, in seconds.
func cpuOf(t *testing.T, pids []int) (seconds float64) {
	t.Helper()
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		must(t, err)
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		for _, f := range fields[11:13] { // utime and stime, in hundredths
			ticks, err := strconv.ParseFloat(f, 64)
			must(t, err)
			seconds += ticks / 100
		}
	}
	return seconds
}

// residentOf is the memory that processes have, in megabytes.
func residentOf(t *testing.T, pids []int) (mb float64) {
	t.Helper()
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		must(t, err)
		pages, err := strconv.ParseFloat(strings.Fields(string(text))[1], 64)
		must(t, err)
		mb += pages * float64(os.Getpagesize()) / 1e6
	}
	return mb
}

// lo is what the loopback device of a namespace has carried.
func lo(t *testing.T, space, what string) float64 {
	t.Helper()
	text, err := exec.Command("ip", "netns", "exec", space, "cat", "/sys/class/net/lo/statistics/tx_"+what).Output()
	must(t, err)
	n, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
	must(t, err)
	return n
}

func dialUnix(path string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
}
