package discovery_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/discovery"
)

// Two sources and the memory of a directory give addresses to join through. One source fails, and
// the others count.
func Example() {
	dir, err := os.MkdirTemp("", "discovery")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	seeds := filepath.Join(dir, "seeds")
	if err := os.WriteFile(seeds, []byte("10.0.0.1 # the first\n10.0.0.2:7000\n"), 0o600); err != nil {
		log.Fatal(err)
	}

	var sources []discovery.Source
	for _, spec := range []string{"file:" + seeds, "exec:no-such-program"} {
		s, err := discovery.Parse(spec)
		if err != nil {
			log.Fatal(err)
		}
		sources = append(sources, s)
	}
	state, err := discovery.Open(filepath.Join(dir, "state"))
	if err != nil {
		log.Fatal(err)
	}
	defer state.Close()
	if err := state.Save([]discovery.Member{{Name: "c", Addr: "10.0.0.3:7946"}}, 1); err != nil {
		log.Fatal(err)
	}

	addrs, err := discovery.All(append(sources, state)...).Discover(context.Background())
	fmt.Println(addrs)
	fmt.Println(err)
	// Output:
	// [10.0.0.1:7946 10.0.0.2:7000 10.0.0.3:7946]
	// discovery: "exec:no-such-program": cannot run no-such-program: exec: "no-such-program": executable file not found in $PATH: want a program in PATH, or one with its whole path
}

// A node knows after a restart whom it knew before.
func ExampleState_Keep() {
	state, err := discovery.Open("/var/lib/pulsering")
	if err != nil {
		log.Fatal(err)
	}
	defer state.Close()
	if err := state.Warning(); err != nil {
		log.Print(err)
	}
	members, boot := state.Last()
	cfg := cluster.Config{Name: "orders-7", LastBoot: boot}
	for _, m := range members {
		cfg.Remembered = append(cfg.Remembered, cluster.Member{Name: m.Name, Addr: m.Addr})
	}
	node, err := cluster.Join(context.Background(), cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()

	ctx, stop := context.WithCancel(context.Background())
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		state.Keep(ctx, func() ([]discovery.Member, uint64) { return up(node) }, func(err error) {
			if err != nil {
				log.Print(err)
			}
		})
	}()
	defer func() { stop(); <-kept }()
	// … the service
}

// up returns the other members that are up, and the boot of a node.
func up(node *cluster.Node) (members []discovery.Member, boot uint64) {
	self := node.Self()
	for _, m := range node.Members() {
		if m.Name != self.Name && (m.State == cluster.StateUp || m.State == cluster.StateSuspect) {
			members = append(members, discovery.Member{Name: m.Name, Addr: m.Addr})
		}
	}
	return members, self.Boot
}
