package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/cluster"
)

type nodeCmd struct {
	Name      text    `placeholder:"NAME" help:"Name of this member, unique in the cluster. Default: the host name."`
	Bind      address `placeholder:"IP:PORT" any:"" help:"Address to listen on, TCP and UDP; port 0 takes a free one. Default: 0.0.0.0:7946."`
	Advertise address `placeholder:"IP:PORT" any:"" help:"Address that the others reach this member at. Default: that of --bind, or this machine's private address."`
	Join      seeds   `placeholder:"HOST[:PORT]" help:"Members to join through; any one is enough. Repeatable, or with commas; the port is 7946 where it is left out. Without --join: start a cluster."`
	Label     text    `placeholder:"LABEL" help:"Keeps clusters on one network apart. Not a secret."`
	KeyFile   keyFile `placeholder:"FILE" help:"File of base64 keys that encrypt all traffic, one a line; see: pulsering keygen."`
	Tag       tags    `placeholder:"K=V" help:"Label of this member that the others see. Repeatable."`

	HTTP         address `name:"http" placeholder:"HOST:PORT" any:"" help:"Serve the dashboard and the API here: see http://HOST:PORT/ and /v1/openapi.json. Default: off."`
	JSON         bool    `name:"json" help:"Print events as JSON, one object a line."`
	OnOutputFail choice  `name:"leave-on-output-error" of:"closed,any,never" default:"closed" placeholder:"WHEN" help:"When a failing standard output ends the node: closed, once its reader has gone; any, also on a full disk; never. What does not end it is tried again. Default: closed."`
	LogLevel     choice  `of:"trace,debug,info,warn,error,off" default:"info" placeholder:"LEVEL" help:"Log lines on standard error: trace, debug, info, warn, error or off. Default: info."`

	Beat              span        `default:"125ms" min:"5ms" max:"10s" help:"Time between two heartbeats: the dial between traffic and speed."`
	StallAllowance    span        `default:"400ms" min:"1ms" max:"1m" help:"How long a member may stall and never be called down for it."`
	FalseAlarmEvery   span        `default:"720h" min:"1m" max:"876000h" help:"At most one false alarm in the whole cluster in this time, on average."`
	ForgetAfter       span        `default:"24h" min:"1m" max:"87600h" help:"How long members that are down or have left are remembered."`
	IsolatedDownAfter spanOrNever `default:"30s" min:"1s" max:"720h" help:"How long this node may hear nobody before it shows the others as down, to its own readers alone; or never."`
	Observers         even        `default:"8" min:"2" max:"64" help:"How many members listen to each one; the same in the whole cluster. An even number."`
	Heartbeats        choice      `of:"ring,probes" default:"ring" placeholder:"WHICH" help:"What suspicion listens to: ring, heartbeats of our own; probes, only memberlist's, for small clusters that can wait. Default: ring."`
}

func (nodeCmd) Help() string {
	return `Prints an event a line on standard output, beginning with itself ("joined") and every member's present state, and logs on standard error. Ctrl-C says goodbye to the others and ends, as SIGTERM and SIGHUP do; a second Ctrl-C ends at once, which looks like a crash to them.

    pulsering node --name a --bind 127.0.0.1:7946 --http 127.0.0.1:8080
    pulsering node --name b --bind 127.0.0.1:7947 --join 127.0.0.1:7946 --json

On a real network give --advertise an address that the others can reach, and all members a --key-file: without one, anyone who can send a packet to a member can have any member declared down.
`
}

func (c *nodeCmd) config(log hclog.Logger) cluster.Config {
	cfg := cluster.Config{
		Name:              string(c.Name),
		Bind:              string(c.Bind),
		Advertise:         string(c.Advertise),
		Label:             string(c.Label),
		Tags:              c.Tag,
		Beat:              time.Duration(c.Beat),
		StallAllowance:    time.Duration(c.StallAllowance),
		FalseAlarmEvery:   time.Duration(c.FalseAlarmEvery),
		ForgetAfter:       time.Duration(c.ForgetAfter),
		IsolatedDownAfter: time.Duration(c.IsolatedDownAfter),
		Observers:         int(c.Observers),
		Keys:              c.KeyFile.keys,
		Logger:            log,
	}
	for _, seed := range c.Join {
		cfg.Seeds = append(cfg.Seeds, string(seed))
	}
	if string(c.Heartbeats) == cluster.Probes.String() {
		cfg.Heartbeats = cluster.Probes
	}
	return cfg
}

// wrong is what the library would refuse.
func (c *nodeCmd) wrong() []error { return each(c.config(nil).Validate()) }

// goodbye is how long a node may take to tell the others that it leaves.
const goodbye = 5 * time.Second

// errToldToLeave is why a node leaves that was told to by a client.
var errToldToLeave = errors.New("told to by a client")

// Run takes part in the cluster until ctx ends.
func (c *nodeCmd) Run(ctx context.Context, con console) error {
	signal.Ignore(syscall.SIGPIPE) // a closed standard output is an error to act upon here, not a sudden death
	log := newLogger(con, c.LogLevel)
	if c.KeyFile.exposed {
		log.Warn("others may read the key file: chmod 600 it", "file", c.KeyFile.path)
	}
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	on, err := serving{http: string(c.HTTP), left: func() { leave(errToldToLeave) }}.start(log)
	if err != nil {
		return err
	}
	defer on.close()
	if len(c.Join) > 0 {
		log.Info("joining: this goes on until a seed answers", "seeds", c.Join)
	}
	node, err := cluster.Join(ctx, c.config(log))
	switch {
	case errors.Is(err, cluster.ErrNameTaken):
		return fmt.Errorf("%w: choose another --name, or end the process that holds this one", err)
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
	on.web.Joined(node)
	if on.http != nil {
		log.Info("serving the dashboard and the API", "http", on.http)
	}
	if on.control != "" {
		log.Info("serving the API to this user", "control", on.control)
	}

	// The subscription ends with the node, so that what is pending is printed too.
	out := &printer{out: con.out, json: c.JSON, color: con.outColor, leaveOn: c.OnOutputFail, log: log}
	joined, events := newJoinedLine(self, time.Now()), node.Events(context.WithoutCancel(ctx))
	lines := func(yield func(line) bool) {
		if !yield(joined) {
			return
		}
		for e := range events {
			if !yield(newEventLine(e)) {
				return
			}
		}
	}
	trying, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	var unprinted int
	var failed error
	printed := make(chan struct{})
	go func() {
		defer close(printed)
		unprinted, failed = out.run(trying, lines)
	}()

	select {
	case <-printed: // the output failed, or the node ended by itself
		if err = failed; err == nil {
			return fmt.Errorf("the node ended: %w", node.Err())
		}
		err = fmt.Errorf("standard output: %w: left the cluster", err)
		log.Error("cannot print events: leaving", "error", failed)
	case <-node.Done(): // whose last events an output that fails may keep from being printed
	case <-ctx.Done():
		log.Info("leaving", "cause", context.Cause(ctx))
	}
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	switch left := node.Leave(leaving); {
	case errors.Is(left, cluster.ErrClosed):
		err = fmt.Errorf("the node ended: %w", node.Err())
	case left != nil:
		err = errors.Join(err, fmt.Errorf("not everyone was told goodbye: %w", left))
	default:
		log.Info("left")
	}
	node.Close()
	giveUp()
	select {
	case <-printed:
		if unprinted > 0 {
			log.Warn("the last events were not printed", "events", unprinted)
		}
	case <-time.After(time.Second): // nobody reads the output: what is pending there is lost
	}
	return err
}

// newLogger logs on standard error.
func newLogger(con console, level choice) hclog.Logger {
	options := &hclog.LoggerOptions{
		Name:   "pulsering",
		Level:  hclog.LevelFromString(string(level)),
		Output: writerFunc(func(line []byte) (int, error) { return con.err.Write([]byte(inFlags(string(line)))) }),
		Color:  hclog.ColorOff,
	}
	if con.errColor {
		options.Color = hclog.ForceColor
	}
	if con.together {
		options.Exclude = isNews
	}
	return hclog.New(options)
}
