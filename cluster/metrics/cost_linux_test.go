package metrics

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster"
)

var (
	pairs  = flag.Int("pairs", 0, "pairs of rings that TestScrapeCost measures; 0: none")
	window = flag.Duration("window", time.Minute, "how long TestScrapeCost looks at each pair")
)

// asNode is the variable of the environment that makes this test's binary a node of TestScrapeCost: with the seed, "with" or "without".
const asNode = "PULSERING_TEST_METRICS_NODE"

// TestScrapeCost measures what /metrics, scraped once a second, costs each node of a ring of five processes on loopback, beside another
// ring at the same time that has no metrics. docs/operations has the figures:
//
//	go test ./cluster/metrics -run TestScrapeCost -v -timeout 0 -args -pairs=5
func TestScrapeCost(t *testing.T) {
	if *pairs == 0 {
		t.Skip("it takes minutes: see its comment")
	}
	var cpu, memory, rest []float64
	for i := range *pairs {
		var with, without usage
		var rings sync.WaitGroup
		measure := func(how string, into *usage) func() {
			return func() { *into = measureRing(t, how) }
		}
		order := []func(){measure("with", &with), measure("without", &without)}
		if i%2 == 1 {
			slices.Reverse(order)
		}
		for _, run := range order {
			rings.Go(run)
			time.Sleep(100 * time.Millisecond)
		}
		rings.Wait()
		t.Logf("pair %d: with %v, without %v; a scrape took %v", i+1, with, without, with.scrape)
		cpu = append(cpu, with.CPU-without.CPU)
		memory = append(memory, with.RSS-without.RSS)
		rest = append(rest, without.CPU)
	}
	t.Logf("median of %d pairs: %+.3f %% of a processor (%.3f %% without), %+.1f MB", *pairs, median(cpu), median(rest), median(memory))
}

func median(of []float64) float64 { return slices.Sorted(slices.Values(of))[len(of)/2] }

// usage is what a process used.
type usage struct {
	CPU    float64 // percent of one processor
	RSS    float64 // MB that are resident
	scrape time.Duration
}

func (u usage) String() string { return fmt.Sprintf("%.3f %% CPU, %.1f MB", u.CPU, u.RSS) }

// member is a process of a ring.
type member struct {
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	stdout  *bufio.Scanner
	addr    string
	metrics string
}

// measureRing returns what a node of a ring of five uses, on average over the five.
func measureRing(t *testing.T, how string) usage {
	var ring []*member
	defer func() {
		for _, m := range ring {
			m.stdin.Close()
			m.cmd.Wait()
		}
	}()
	seed := "none"
	for range 5 {
		m, err := startMember(seed, how)
		if err != nil {
			t.Error(err)
			return usage{}
		}
		ring, seed = append(ring, m), m.addr
	}
	var took []time.Duration
	scrapeAll := func() {
		for _, m := range ring {
			if m.metrics != "" {
				begin := time.Now()
				if err := scrape(m.metrics); err != nil {
					t.Error(err)
				}
				took = append(took, time.Since(begin))
			}
		}
	}
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for range 10 { // until the ring is quiet
		<-second.C
		scrapeAll()
	}
	begin := time.Now()
	before := readAll(t, ring)
	for time.Since(begin) < *window {
		<-second.C
		scrapeAll()
	}
	after, passed := readAll(t, ring), time.Since(begin)
	var u usage
	for i := range ring {
		u.CPU += (after[i].CPU - before[i].CPU) / passed.Seconds() * 100 / float64(len(ring))
		u.RSS += after[i].RSS / float64(len(ring))
	}
	if len(took) > 0 {
		slices.Sort(took)
		u.scrape = took[len(took)/2]
	}
	return u
}

func scrape(url string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %w", url, resp.Status, err)
	}
	return nil
}

func startMember(seed, how string) (*member, error) {
	m := &member{cmd: exec.Command(os.Args[0])}
	m.cmd.Env = append(os.Environ(), asNode+"="+seed+" "+how)
	m.cmd.Stderr = os.Stderr
	var err error
	if m.stdin, err = m.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := m.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	m.stdout = bufio.NewScanner(stdout)
	if !m.stdout.Scan() {
		return nil, cmp.Or(m.stdout.Err(), io.EOF)
	}
	m.addr, m.metrics, _ = strings.Cut(m.stdout.Text(), " ")
	return m, nil
}

// readAll asks each process what it has used so far: seconds of processor, and MB.
func readAll(t *testing.T, ring []*member) []usage {
	all := make([]usage, len(ring))
	for i, m := range ring {
		fmt.Fprintln(m.stdin)
		if !m.stdout.Scan() {
			t.Error("a node ended")
		} else if err := json.Unmarshal(m.stdout.Bytes(), &all[i]); err != nil {
			t.Error(err)
		}
	}
	return all
}

func init() { act = actAsNode }

// actAsNode is the other side: a node that answers each line with what it has used, until there are no more.
func actAsNode() {
	seed, how, ok := strings.Cut(os.Getenv(asNode), " ")
	if !ok {
		return
	}
	defer os.Exit(0)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	cfg := cluster.Config{Name: listener.Addr().String(), Bind: "127.0.0.1:0"}
	if seed != "none" {
		cfg.Seeds = []string{seed}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	node, err := cluster.Join(ctx, cfg)
	check(err)
	defer node.Close()
	address := ""
	if how == "with" {
		address = "http://" + listener.Addr().String() + "/metrics"
		go http.Serve(listener, Handler(node))
	}
	fmt.Println(node.Self().Addr, address)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var used syscall.Rusage
		check(syscall.Getrusage(syscall.RUSAGE_SELF, &used))
		cpu := time.Duration(used.Utime.Nano() + used.Stime.Nano())
		var pages, resident float64
		statm, err := os.ReadFile("/proc/self/statm")
		check(err)
		fmt.Sscan(string(statm), &pages, &resident)
		check(json.NewEncoder(os.Stdout).Encode(usage{CPU: cpu.Seconds(), RSS: resident * float64(os.Getpagesize()) / 1e6}))
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
