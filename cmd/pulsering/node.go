package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/discovery"
	"github.com/pulsering/pulsering/cluster/metrics"
	commands "github.com/pulsering/pulsering/internal/command"
)

type nodeCmd struct {
	Name      text    `placeholder:"NAME" help:"Name of this member, unique in the cluster. Default: the host name."`
	Bind      address `placeholder:"IP:PORT" any:"" help:"Address to listen on, TCP and UDP; port 0 takes a free one. Default: 0.0.0.0:7946."`
	Advertise address `placeholder:"IP:PORT" any:"" help:"Address that the others reach this member at. Default: that of --bind, or this machine's private address."`
	Join      seeds   `placeholder:"HOST[:PORT]" help:"Members to join through; any one is enough. Repeatable, or with commas; the port is 7946 where it is left out, and a name is resolved anew at each try. Or where they are to be found: dns+srv://NAME, file:PATH or exec:COMMAND, asked anew at each try. Without --join: start a cluster."`
	Label     text    `placeholder:"LABEL" help:"Keeps clusters on one network apart. Not a secret."`
	KeyFile   keyFile `placeholder:"FILE" help:"File of base64 keys that encrypt all traffic, one a line; see: pulsering keygen."`
	Tag       tags    `placeholder:"K=V" help:"Label of this member that the others see. Repeatable."`

	httpFlags

	JSON         bool   `name:"json" help:"Print events as JSON, one object a line."`
	OnOutputFail choice `name:"leave-on-output-error" of:"closed,any,never" default:"closed" placeholder:"WHEN" help:"When a failing standard output ends the node: closed, at the first event after its reader has gone; any, also on a full disk; never. What does not end it is tried again. Default: closed."`
	logFlags
	configFlags

	Beat              span        `default:"125ms" min:"5ms" max:"10s" help:"Time between two heartbeats: the dial between traffic and speed."`
	StallAllowance    span        `default:"400ms" min:"1ms" max:"1m" help:"How long a member may stall and never be called down for it."`
	FalseAlarmEvery   span        `default:"720h" min:"1m" max:"876000h" help:"At most one false alarm in the whole cluster in this time, on average."`
	ForgetAfter       span        `default:"24h" min:"1m" max:"87600h" help:"How long members that are down or have left are remembered."`
	IsolatedDownAfter spanOrNever `default:"30s" min:"1s" max:"720h" help:"How long this node may hear nobody before it shows the others as down, to its own readers alone; or never."`
	Observers         even        `default:"8" min:"2" max:"64" help:"How many members listen to each one; the same in the whole cluster. An even number."`
	Expect            count       `placeholder:"N" min:"1" max:"10000" help:"Not joined before so many members have met, this one counted: no silent islands where --join names only this node for the first seconds. Default: this node is enough."`
	Heartbeats        choice      `of:"ring,probes" default:"ring" placeholder:"WHICH" help:"What suspicion listens to: ring, heartbeats of our own; probes, only memberlist's, for small clusters that can wait. Default: ring."`

	stateFlags
	eventFlags
	checkFlags
	serviceArgs
}

func (nodeCmd) Help() string {
	return `Prints an event a line on standard output, beginning with itself ("joined") and every member's present state, and logs on standard error. Ctrl-C says goodbye to the others and ends, as SIGTERM does; a second Ctrl-C ends at once, which looks like a crash to them.

Each flag may stand in the file of --config, and in the environment: PULSERING_STALL_ALLOWANCE=400ms. SIGHUP reads --config, --key-file, --http-token-file and --http-cert anew, changes what can be changed while the node runs (seeds, keys, tags, log level, token, certificate), and logs what needs a restart; a wrong file changes nothing. A node with none of these files leaves at SIGHUP, and so does one whose terminal was closed; under nohup SIGHUP does nothing.

    pulsering node --name a --bind 127.0.0.1:7946 --http 127.0.0.1:8080
    pulsering node --name b --bind 127.0.0.1:7947 --join 127.0.0.1:7946 --json
    pulsering node --config /etc/pulsering.yaml --print-config

On a real network give --advertise an address that the others can reach, and all members a --key-file: without one, anyone who can send a packet to a member can have any member declared down.
`
}

func (c *nodeCmd) config(log hclog.Logger) cluster.Config {
	cfg := cluster.Config{
		Name:              string(c.Name),
		Bind:              string(c.Bind),
		Advertise:         string(c.Advertise),
		Seeds:             c.Join.addresses(),
		Label:             string(c.Label),
		Tags:              c.Tag,
		Beat:              time.Duration(c.Beat),
		StallAllowance:    time.Duration(c.StallAllowance),
		FalseAlarmEvery:   time.Duration(c.FalseAlarmEvery),
		ForgetAfter:       time.Duration(c.ForgetAfter),
		IsolatedDownAfter: time.Duration(c.IsolatedDownAfter),
		Observers:         int(c.Observers),
		Expect:            int(c.Expect),
		Keys:              c.KeyFile.keys,
		Logger:            log,
	}
	if string(c.Heartbeats) == cluster.Probes.String() {
		cfg.Heartbeats = cluster.Probes
	}
	return cfg
}

// wrong is what the library would refuse, and what is wrong with flags that go together.
func (c *nodeCmd) wrong() []error {
	return slices.Concat(c.serviceArgs.wrong(), c.ownOutput(), each(c.config(nil).Validate()), c.httpFlags.wrong(), c.stateFlags.wrong(), c.checkFlags.wrong())
}

// goodbye is how long a node may take to tell the others that it leaves.
const goodbye = 5 * time.Second

// errToldToLeave is why a node leaves that was told to by a client.
var errToldToLeave = errors.New("told to by a client")

// Run takes part in the cluster until ctx ends, or the service that it starts.
func (c *nodeCmd) Run(ctx context.Context, con console, set *settings) error {
	// A closed standard output is an error to act upon here, not a sudden death. It is not ignored, which commands would inherit.
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE)
	defer signal.Stop(pipes)
	if len(c.command()) > 0 {
		con.together = false // nothing is printed but the log
	}
	go commands.Reap(context.WithoutCancel(ctx)) // as the first process of a container, for as long as there is one
	log := c.logger(con)
	set.warn(log)
	var hangup <-chan struct{}
	if set.rereads() {
		hangup = con.hangups.reload()
	}
	if c.KeyFile.exposed {
		log.Warn("others may read the key file: chmod 600 it", "file", c.KeyFile.path)
	}
	look, err := c.checker()
	if err != nil {
		return err
	}
	found := new(lookup)
	if err := found.set(c.Join); err != nil {
		return fmt.Errorf("--join: %w", err)
	}
	state, err := awaited(ctx, func() (*discovery.State, error) { return c.openState(log) })
	if err != nil {
		return err
	}
	if state != nil {
		defer state.Close()
	}
	ctx, end := c.lifetime(ctx)
	defer end(nil)
	var guard *guard
	if c.HTTP != "" {
		if guard, err = newGuard(c.httpFlags); err != nil {
			return err
		}
	}
	numbers := new(later)
	on, err := serving{
		http: string(c.HTTP), guard: guard, control: c.socket(), metrics: numbers, left: func() { end(errToldToLeave) },
	}.start(log)
	if err != nil {
		return err
	}
	defer on.close()
	child, err := c.startService(log)
	if err != nil {
		return err
	}
	defer endService(child, log)
	endWith(child, end)

	if len(c.Join) > 0 {
		log.Info("joining: this goes on until a seed answers", "seeds", c.Join)
	}
	cfg := c.config(log)
	cfg.Discover = found.Discover
	remember(state, &cfg)
	node, err := cluster.Join(ctx, cfg)
	var ended serviceEnded
	switch {
	case errors.Is(err, cluster.ErrNameTaken):
		return fmt.Errorf("%w: choose another --name, or end the process that holds this one", err)
	case err != nil && errors.As(context.Cause(ctx), &ended):
		log.Info("the service ended before the node had joined", "exit", ended.String())
		return ended
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("%w\nIs --join right, and are --label and --key-file those of the members there?", err)
	case err != nil:
		return err
	}
	defer node.Close()
	self := node.Self()
	log.Info("joined: Ctrl-C leaves", "member", self.Name, "addr", self.Addr, "boot", self.Boot, "members", len(node.Members()))
	if con.together { // where that line is left out, see isNews
		log.Info("Ctrl-C leaves")
	}
	numbers.Handler = metrics.Handler(node) // before web is told
	on.web.Joined(node)
	if on.http != nil {
		log.Info("serving the dashboard and the API", "http", on.http)
	}
	if on.control != "" {
		log.Info("serving the API to this user", "control", on.control)
	}
	defer c.startHooks(node, log)()
	defer keepState(state, node, log)()
	stopCheck := c.startCheck(node, look, log)
	defer stopCheck()

	out := &printer{out: con.out, json: c.JSON, color: con.outColor, leaveOn: c.OnOutputFail, log: log}
	printing := &printing{}
	if child == nil { // whose own standard output is
		printing = out.start(ctx, self, node)
	}
	reloading, noReload := context.WithCancel(ctx)
	var reloads sync.WaitGroup
	reloads.Go(func() {
		newReloader(reloading, set, node, found, guard, log).follow(reloading, hangup)
	})
	defer reloads.Wait()
	defer noReload()

	err = nil
	select {
	case <-printing.over: // the output failed, or the node ended by itself
		if err = printing.failed; err == nil {
			return fmt.Errorf("the node ended: %w", node.Err())
		}
		err = fmt.Errorf("standard output: %w: left the cluster", err)
		log.Error("cannot print events: leaving", "error", printing.failed)
	case <-node.Done(): // whose last events an output that fails may keep from being printed
	case <-ctx.Done():
	}
	stopCheck()
	if gone := c.part(ctx, node, log); gone != nil {
		err = errors.Join(err, gone)
	}
	node.Close()
	printing.finish(log)
	return err
}

// part says goodbye to the others, or that the service died, and returns what is to be told of that. A service that ended is told
// whatever it was: the command ends as it did.
func (c *nodeCmd) part(ctx context.Context, node *cluster.Node, log hclog.Logger) error {
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	var left error
	ended, died := unwell(ctx)
	if died {
		log.Error("the service died: telling the others", "exit", ended.String())
		left = node.Fail(leaving, ended.String())
	} else {
		if ctx.Err() != nil {
			log.Info("leaving", "cause", context.Cause(ctx))
		}
		left = node.Leave(leaving)
	}
	var err error
	switch {
	case errors.Is(left, cluster.ErrClosed):
		err = fmt.Errorf("the node ended: %w", node.Err())
	case left != nil:
		err = fmt.Errorf("not everyone was told: %w", left)
	case !died:
		log.Info("left")
	}
	if errors.As(context.Cause(ctx), &ended) {
		if err != nil {
			log.Error("the end was not told", "error", err)
		}
		return ended
	}
	return err
}
