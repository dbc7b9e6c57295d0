package main

import (
	"context"

	"github.com/hashicorp/go-hclog"
)

// reloadable is what a reload changes of a *cluster.Node.
type reloadable interface {
	SetTags(context.Context, map[string]string) error
	SetSeeds([]string) error
	SetKeys(context.Context, [][]byte) error // its own alone
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
