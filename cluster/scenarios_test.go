package cluster

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "TestScenarios: write what members tell into the files, to be looked at")

// Scenarios are scripts with all that members tell of each other in them, and a sum of all packets
// that they send. Each is a file in testdata/scenarios, of lines
//
//	members a b c          start them, a second apart
//	beat 125ms, observers 8, loss 0.05, way 1ms, probes, seed 7
//	12s crash b            at that time; likewise
//	12s leave b, start b, move b (start it at another address), stall b 300ms,
//	12s cut a,b c,d, oneway a b, block a b, heal
//	30s end
//
// and then what was told. After a change of behaviour `go test ./cluster -run TestScenarios -args
// -rewrite` writes it anew, and the difference is to be read before it is committed.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios: ", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			script, want, _ := strings.Cut(string(text), line)
			got, err := play(script)
			if untouched != (near{}) {
				t.Fatalf("somebody wrote to what all others share: %+v", untouched)
			}
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if *rewrite {
				if err := os.WriteFile(file, []byte(script+line+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("%s is told otherwise:\n%s", file, difference(want, got))
			}
		})
	}
}

const line = "\n-- told --\n"

// difference is the lines that one text has and the other has not.
func difference(want, got string) string {
	count := map[string]int{}
	for line := range strings.Lines(got) {
		count[line]++
	}
	var b strings.Builder
	for line := range strings.Lines(want) {
		if count[line]--; count[line] < 0 {
			b.WriteString("- " + line)
		}
	}
	for line := range strings.Lines(got) {
		if count[line] > 0 {
			count[line]--
			b.WriteString("+ " + line)
		}
	}
	return b.String()
}

// play runs a script.
func play(script string) (string, error) {
	p := &player{sim: newSimulation(1)}
	sum, packets, size := sha256.New(), 0, 0
	p.sim.told = p.story.hear
	p.sim.sent = func(from *peer, to string, buf []byte) {
		packets++
		size += len(buf)
		fmt.Fprintln(sum, p.sim.now.UnixNano(), from.addr, to)
		sum.Write(buf)
	}
	for i, line := range strings.Split(script, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if words := strings.Fields(line); len(words) > 0 {
			if err := p.do(words); err != nil {
				return "", fmt.Errorf("line %d: %q: %w", i+1, line, err)
			}
		}
	}
	fmt.Fprintf(&p.story, "%d packets of %d bytes, %.8x\n", packets, size, sum.Sum(nil))
	return p.story.String(), nil
}

type player struct {
	sim    *simulation
	config Config
	addrs  int
	last   map[string]string // addresses by name
	story  story
}

func (p *player) do(words []string) (err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("not understood")
		}
	}()
	s := p.sim
	if at, err := time.ParseDuration(words[0]); err == nil {
		s.run(at - s.now.Sub(s.begun))
		words = words[1:]
	}
	addrs := func(i int) (all []string) {
		for name := range strings.SplitSeq(words[i], ",") {
			all = append(all, p.last[name])
		}
		return all
	}
	between := func(m map[[2]string]bool, from, to []string) {
		for _, a := range from {
			for _, b := range to {
				m[[2]string{a, b}] = true
			}
		}
	}
	length := func(i int) time.Duration {
		d, err := time.ParseDuration(words[i])
		if err != nil {
			panic(err)
		}
		return d
	}
	number := func(i int) float64 {
		f, err := strconv.ParseFloat(words[i], 64)
		if err != nil {
			panic(err)
		}
		return f
	}
	switch words[0] {
	case "beat":
		p.config.Beat = length(1)
	case "observers":
		p.config.Observers = int(number(1))
	case "probes":
		p.config.Heartbeats = Probes
	case "loss":
		s.loss = number(1)
	case "way":
		s.way = length(1)
	case "members":
		for _, name := range words[1:] {
			p.start(name, "")
			s.run(time.Second)
		}
	case "start":
		p.start(words[1], p.last[words[1]])
	case "move":
		p.start(words[1], "")
	case "crash":
		for _, addr := range addrs(1) {
			s.crash(s.at[addr])
		}
	case "leave":
		s.leave(s.live[words[1]])
	case "stall":
		for _, addr := range addrs(1) {
			s.stall(s.at[addr], length(2))
		}
	case "cut":
		between(s.cut, addrs(1), addrs(2))
		between(s.cut, addrs(2), addrs(1))
	case "oneway":
		between(s.cut, addrs(1), addrs(2))
	case "block":
		between(s.block, addrs(1), addrs(2))
	case "heal":
		clear(s.cut)
		clear(s.block)
	case "end":
	default:
		return fmt.Errorf("unknown %q", words[0])
	}
	return nil
}

func (p *player) start(name, addr string) {
	if addr == "" {
		p.addrs++
		addr = fmt.Sprintf("10.0.%d.%d:7946", p.addrs/250, 1+p.addrs%250)
	}
	if p.last == nil {
		p.last = map[string]string{}
	}
	p.last[name] = addr
	p.sim.start(name, addr, p.config)
}
