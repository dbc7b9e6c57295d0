package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/internal/check"
)

// checker is that of --check-http or --check-exec; nil without either.
func (f checkFlags) checker() (check.Checker, error) {
	switch {
	case f.CheckHTTP != "":
		c, err := check.HTTP(string(f.CheckHTTP))
		if err != nil {
			return nil, fmt.Errorf("--check-http: %w", err)
		}
		return c, nil
	case f.CheckExec != "":
		return check.Exec(string(f.CheckExec)), nil
	}
	return nil, nil
}

// startCheck tells the others how the service is until stop is called.
func (f checkFlags) startCheck(node *cluster.Node, look check.Checker, log hclog.Logger) (stop func()) {
	if look == nil {
		return func() {}
	}
	cfg := check.Config{
		Interval: time.Duration(f.CheckInterval), Limit: time.Duration(f.CheckTimeout), Tries: int(f.CheckTries), Log: log.Named("check"),
	}
	ctx, cancel := context.WithCancel(context.Background())
	var checking sync.WaitGroup
	checking.Go(func() {
		check.Run(ctx, cfg, look, func(h check.Health) {
			health := cluster.HealthUnknown
			switch h.State {
			case check.Passing:
				health = cluster.HealthPassing
				log.Info("the service passes its check")
			case check.Wedged:
				health = cluster.HealthWedged
				log.Warn("the service fails its check: it is shown as wedged", "reason", h.Reason, "tries", int(f.CheckTries))
			}
			if err := node.SetHealth(ctx, health); err != nil && ctx.Err() == nil {
				log.Debug("health not told", "health", health.String(), "error", err)
			}
		})
	})
	return func() {
		cancel()
		checking.Wait()
	}
}
