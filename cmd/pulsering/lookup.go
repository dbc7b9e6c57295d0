package main

import (
	"context"
	"sync/atomic"

	"github.com/pulsering/pulsering/cluster/discovery"
)

// lookup asks the sources of --join that are no addresses. A reload puts others in their place while the node runs.
type lookup struct {
	source atomic.Pointer[discovery.Source]
}

// set replaces the sources.
func (l *lookup) set(specs seeds) error {
	var sources []discovery.Source
	for _, spec := range specs.lookups() {
		source, err := discovery.Parse(spec)
		if err != nil {
			return err
		}
		sources = append(sources, source)
	}
	all := discovery.All(sources...)
	l.source.Store(&all)
	return nil
}

// Discover is for cluster.Config.
func (l *lookup) Discover(ctx context.Context) ([]string, error) {
	return (*l.source.Load()).Discover(ctx)
}
