package discovery_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/discovery"
)

func join(t *testing.T, cfg cluster.Config) *cluster.Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cfg.Bind = "127.0.0.1:0"
	node, err := cluster.Join(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { node.Close() })
	return node
}

// TestNodeComesBack has a node join through a file, and come back by what it remembers alone.
func TestNodeComesBack(t *testing.T) {
	a := join(t, cluster.Config{Name: "a"})
	dir := t.TempDir()
	seeds := filepath.Join(dir, "seeds")
	if err := os.WriteFile(seeds, []byte(a.Self().Addr+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	source, err := discovery.Parse("file:" + seeds)
	if err != nil {
		t.Fatal(err)
	}
	var before uint64
	run := func(cfg cluster.Config) {
		t.Helper()
		state, err := discovery.Open(filepath.Join(dir, "state"))
		if err != nil {
			t.Fatal(err)
		}
		defer state.Close()
		members, boot := state.Last()
		if boot != before {
			t.Errorf("the boot before was %d, not %d", boot, before)
		}
		cfg.LastBoot = boot
		for _, m := range members {
			cfg.Remembered = append(cfg.Remembered, cluster.Member{Name: m.Name, Addr: m.Addr})
		}
		b := join(t, cfg)
		members, before = up(b)
		if before <= boot || len(members) != 1 || members[0] != (discovery.Member{Name: "a", Addr: a.Self().Addr}) {
			t.Fatalf("joined with boot %d after %d, and knows %q", before, boot, members)
		}
		ctx, cancel := context.WithCancel(t.Context())
		kept := make(chan struct{})
		go func() {
			defer close(kept)
			state.Keep(ctx, func() ([]discovery.Member, uint64) { return up(b) }, func(err error) { t.Error(err) })
		}()
		b.Close() // as a crash
		cancel()
		<-kept
	}
	run(cluster.Config{Name: "b", Discover: source.Discover})
	os.Remove(seeds)
	run(cluster.Config{Name: "b"})
	run(cluster.Config{Name: "b"})
}
