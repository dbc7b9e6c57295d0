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

// lifetime is how long a node takes part: until ctx ends, or end is called with the reason. A service gets the signals that would
// end ctx, and a node that has one ends with it and not by them.
func (s serviceArgs) lifetime(ctx context.Context) (life context.Context, end context.CancelCauseFunc) {
	if len(s.command()) > 0 {
		ctx = context.WithoutCancel(ctx)
	}
	return context.WithCancelCause(ctx)
}

// endWith ends a lifetime when the service has ended. The cause is then a serviceEnded.
func endWith(child *supervise.Child, end context.CancelCauseFunc) {
	if child == nil {
		return
	}
	go func() {
		<-child.Done()
		end(serviceEnded{child.Exit()})
	}()
}

// endService ends a service that runs on though its node has ended.
func endService(child *supervise.Child, log hclog.Logger) {
	if child == nil {
		return
	}
	select {
	case <-child.Done():
	default:
		log.Warn("the node has ended: ending the service", "pid", child.Pid(), "within", servicePatience)
		if exit, ended := child.Stop(servicePatience); ended {
			log.Info("the service ended", "exit", exit.String())
		} else {
			log.Error("the service is left behind: it cannot be killed", "pid", child.Pid())
		}
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
