package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/internal/supervise"
)

// servicePatience is how long a service may take to end where the node has ended by itself.
const servicePatience = 10 * time.Second

// serviceEnded is how the service ended that stands after --. The command ends as the service did, and says no more.
type serviceEnded struct{ supervise.Exit }

func (e serviceEnded) Error() string { return "the service ended: " + e.String() }

// unwell tells whether the end of a context is that of a service that died.
func unwell(ctx context.Context) (e serviceEnded, died bool) {
	died = errors.As(context.Cause(ctx), &e) && !e.Well()
	return e, died
}

// startService starts the service that stands after --; nil without one.
func (s serviceArgs) startService(log hclog.Logger) (*supervise.Child, error) {
	args := s.command()
	if len(args) == 0 {
		return nil, nil
	}
	child, err := supervise.Start(args, supervise.Options{Log: log.Named("service")})
	if err != nil {
		return nil, err
	}
	log.Info("started the service; signals are passed on to it, and the node ends with it", "pid", child.Pid())
	return child, nil
}

// lifetime is how long a node takes part: until ctx ends, or with a service until that has ended, which gets the signals that
// would end ctx. The cause is then a serviceEnded.
func lifetime(ctx context.Context, child *supervise.Child) (context.Context, context.CancelFunc) {
	if child == nil {
		return context.WithCancel(ctx)
	}
	life, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	go func() {
		select {
		case <-child.Done():
			cancel(serviceEnded{child.Exit()})
		case <-life.Done():
		}
	}()
	return life, func() { cancel(nil) }
}

// endService ends a service that runs on though its node has ended.
func endService(child *supervise.Child, log hclog.Logger) {
	if child == nil {
		return
	}
	select {
	case <-child.Done():
	default:
		log.Error("the node has ended: ending the service", "pid", child.Pid(), "within", servicePatience)
		log.Info("the service ended", "exit", child.Stop(servicePatience).String())
	}
}

// startCode is the exit code of an error of startService, as a shell has it.
func startCode(err error) (code int, ok bool) {
	var failed *supervise.StartError
	if errors.As(err, &failed) {
		return failed.Code, true
	}
	return 0, false
}

// ownOutput is what is wrong with flags that would write between the lines of a service.
func (c *nodeCmd) ownOutput() []error {
	if c.JSON && len(c.command()) > 0 {
		return []error{fmt.Errorf("--json: standard output belongs to the service after --: leave it out, and follow events by --http or --on-event")}
	}
	return nil
}
