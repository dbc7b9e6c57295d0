package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/discovery"
)

// openState opens the directory of --state-dir; nil without one.
func (f stateFlags) openState(log hclog.Logger) (*discovery.State, error) {
	if f.StateDir == "" {
		return nil, nil
	}
	state, err := discovery.Open(string(f.StateDir))
	if err != nil {
		return nil, fmt.Errorf("--state-dir: %w", err)
	}
	if err := state.Warning(); err != nil {
		log.Warn("the state of the last run is not whole", "error", err)
	}
	return state, nil
}

// remember gives a configuration what the last run knew.
func remember(state *discovery.State, cfg *cluster.Config) {
	if state == nil {
		return
	}
	members, boot := state.Last()
	for _, m := range members {
		cfg.Remembered = append(cfg.Remembered, cluster.Member{Name: m.Name, Addr: m.Addr})
	}
	cfg.LastBoot = boot
}

// keepState writes down whom the node knows until stop is called.
func keepState(state *discovery.State, node *cluster.Node, log hclog.Logger) (stop func()) {
	if state == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var keeping sync.WaitGroup
	keeping.Go(func() {
		state.Keep(ctx, func() ([]discovery.Member, uint64) {
			self := node.Self()
			var others []discovery.Member
			for _, m := range node.Members() {
				alive := m.State == cluster.StateUp || m.State == cluster.StateSuspect
				if alive && m.Name != self.Name {
					others = append(others, discovery.Member{Name: m.Name, Addr: m.Addr})
				}
			}
			return others, self.Boot
		}, func(err error) {
			if err != nil {
				log.Error("the state cannot be written: a restart may not find the others; trying on", "error", err)
				return
			}
			log.Info("the state is written again")
		})
	})
	return func() {
		cancel()
		keeping.Wait()
	}
}
