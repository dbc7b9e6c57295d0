package main

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/internal/hook"
)

// hookPatience is how long the commands of --on-event may take to tell the last events, once the node has ended.
const hookPatience = 5 * time.Second

// startHooks runs the command of --on-event for the node's events until the node has ended and stop is called.
func (f eventFlags) startHooks(node *cluster.Node, log hclog.Logger) (stop func()) {
	if f.OnEvent == "" {
		return func() {}
	}
	hooks := hook.New(hook.Config{
		Command: string(f.OnEvent), Limit: time.Duration(f.OnEventTimeout), Log: log.Named("hook"),
	}, hookData(node.Self().Name))
	events := node.Events(context.Background()) // which end with the node
	var telling sync.WaitGroup
	telling.Go(func() {
		for e := range events {
			hooks.Put(e.Member.Name, e)
		}
	})
	return func() {
		telling.Wait()
		hooks.Close(hookPatience)
	}
}

// hookData makes of an event what a command of --on-event is given. The variables begin with EVENT, so that none of them is a
// flag's: a hook may run pulsering itself.
func hookData(self string) hook.Render[cluster.Event] {
	return func(e cluster.Event, leftOut int) (map[string]string, []byte) {
		e.Folded += leftOut
		line := newEventLine(e)
		text, err := marshal(line)
		if err != nil {
			text = []byte("{}") // never: it is made of texts and numbers
		}
		return map[string]string{
			"EVENT_SELF":   self,
			"EVENT_TIME":   line.Time.Format(time.RFC3339Nano),
			"EVENT_KIND":   line.Kind,
			"EVENT_MEMBER": line.Member,
			"EVENT_ADDR":   line.Addr,
			"EVENT_BOOT":   line.Boot,
			"EVENT_EPOCH":  strconv.FormatUint(line.Epoch, 10),
			"EVENT_PHI":    line.Phi.String(),
			"EVENT_REASON": line.Reason,
			"EVENT_DETAIL": e.Detail,
			"EVENT_HEALTH": e.Member.Health.String(),
			"EVENT_FOLDED": strconv.Itoa(e.Folded),
		}, text
	}
}
