package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

// lockedBuffer is a log of several nodes.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(line)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Of what nodes log through a story of crashes, stalls, restarts and isolation nothing is left once what their events tell is out.
func TestNewsAreLoggedAsSuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, err := clustertest.New(clustertest.Options{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		var rest, all lockedBuffer
		addr := func(i int) string { return fmt.Sprintf("10.0.0.%d:7946", i+1) }
		start := func(i int) *cluster.Node {
			transport, err := network.Transport(addr(i))
			if err != nil {
				t.Fatal(err)
			}
			log := hclog.NewInterceptLogger(&hclog.LoggerOptions{Output: &rest, Level: hclog.Info, Exclude: isNews})
			log.RegisterSink(hclog.NewSinkAdapter(&hclog.LoggerOptions{Output: &all, Level: hclog.Info}))
			node, err := cluster.Join(t.Context(), cluster.Config{Name: fmt.Sprintf("n%d", i), Transport: transport, Logger: log,
				Seeds: []string{addr(0)}})
			if err != nil {
				t.Fatal(err)
			}
			return node
		}
		var nodes []*cluster.Node
		for i := range 5 {
			nodes = append(nodes, start(i))
		}
		for _, step := range []func() error{
			func() error { return network.Stall(addr(2)) },
			func() error { return network.Resume(addr(2)) },
			func() error { return network.Isolate(addr(3)) },
			func() error { return network.Heal([]string{addr(3)}, []string{addr(0), addr(1), addr(2), addr(4)}) },
			func() error { return network.Kill(addr(3)) },
			func() error {
				err := network.Kill(addr(4))
				nodes[4].Close()
				nodes[4] = start(4)
				return err
			},
		} {
			time.Sleep(10 * time.Second)
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)
		for line := range strings.Lines(rest.String()) {
			if !strings.Contains(line, "memberlist: ") { // what it says of the network is another matter
				t.Errorf("beside the news: %s", line)
			}
		}
		for _, start := range newsLines[1:] {
			if !strings.Contains(all.String(), start) {
				t.Errorf("no line begins with %q in:\n%s", start, all.String())
			}
		}
		for _, node := range nodes {
			node.Close()
		}
		network.Close()
		time.Sleep(10 * time.Second) // memberlist's last probes
	})
}
