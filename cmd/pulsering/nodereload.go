package main

import (
	"context"
	"slices"

	"github.com/hashicorp/go-hclog"
)

// reloadable is what a reload changes of a *cluster.Node.
type reloadable interface {
	SetTags(context.Context, map[string]string) error
	SetSeeds([]string) error
	SetKeys(context.Context, [][]byte) error // its own alone
	KeyIDs() []string
}

// newReloader is that of a node, see nodeAppliers.
func newReloader(
	ctx context.Context, now *settings, node reloadable, found *lookup, guard *guard, log hclog.Logger,
) *reloader {
	return &reloader{
		now: now, log: log, apply: nodeAppliers(ctx, node, found, guard, log),
		behind: func(now *cli) { warnOfKeys(node, now.Node.KeyFile, log) },
	}
}

// warnOfKeys says so where a node has other keys than its file, as after keys add: a restart would
// go back to those of the file.
func warnOfKeys(node reloadable, file keyFile, log hclog.Logger) {
	own := node.KeyIDs()
	if file.path == "" || len(own) == 0 || sameRing(own, file.ids()) {
		return
	}
	log.Warn("key-file: out of date, since this node's keys were changed while it runs: "+
		"write them there too", "file", file.path+": "+ringText(file.ids()), "node", ringText(own))
}

// sameRing tells whether two rings encrypt and decrypt with the same keys, the order of all but the
// first being of no meaning.
func sameRing(a, b []string) bool {
	return a[0] == b[0] &&
		slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// nodeAppliers change what a node can change while it runs. The context bounds what they do; guard is nil without --http.
func nodeAppliers(ctx context.Context, node reloadable, found *lookup, guard *guard, log hclog.Logger) appliers {
	apply := appliers{
		"join": func(next *cli) error {
			if err := found.set(next.Node.Join); err != nil {
				return err
			}
			return node.SetSeeds(next.Node.Join.addresses())
		},
		"key-file":  func(next *cli) error { return node.SetKeys(ctx, next.Node.KeyFile.keys) },
		"tag":       func(next *cli) error { return node.SetTags(ctx, next.Node.Tag) },
		"log-level": func(next *cli) error { log.SetLevel(next.Node.level()); return nil },
	}
	if guard != nil {
		certificate := func(next *cli) error { return guard.setCertificate(next.Node.httpFlags) }
		apply["http-cert"], apply["http-key"] = certificate, certificate
		apply["http-token-file"] = func(next *cli) error { return guard.setToken(next.Node.HTTPTokenFile) }
	}
	return apply
}
