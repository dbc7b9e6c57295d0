package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/cluster"
)

type nodeCmd struct {
	Name      text      `placeholder:"NAME" help:"Name of this member, unique in the cluster. Default: the host name."`
	Bind      address   `placeholder:"IP:PORT" any:"" help:"Address to listen on, TCP and UDP; port 0 takes a free one. Default: 0.0.0.0:7946."`
	Advertise address   `placeholder:"IP:PORT" any:"" help:"Address that the others reach this member at. Default: that of --bind, or this machine's private address."`
	Join      addresses `placeholder:"HOST:PORT" help:"Members to join through; any one is enough. Repeatable, or with commas. Without it: start a cluster."`
	Label     text      `placeholder:"LABEL" help:"Keeps clusters on one network apart. Not a secret."`
	KeyFile   keyFile   `placeholder:"FILE" help:"File of base64 keys that encrypt all traffic, one a line; see: pulsering keygen."`
	Tag       tags      `placeholder:"K=V" help:"Label of this member that the others see. Repeatable."`

	HTTP     address `name:"http" placeholder:"HOST:PORT" any:"" help:"Serve /members, /events, /stats and /healthz here. Default: off."`
	JSON     bool    `name:"json" help:"Print events as JSON, one object a line."`
	LogLevel string  `enum:"trace,debug,info,warn,error,off" default:"info" placeholder:"LEVEL" help:"Log lines on standard error: trace, debug, info, warn, error or off. Default: info."`

	Beat            span   `default:"125ms" min:"5ms" max:"10s" help:"Time between two heartbeats: the dial between traffic and speed."`
	StallAllowance  span   `default:"400ms" min:"1ms" max:"1m" help:"How long a member may stall and never be called down for it."`
	FalseAlarmEvery span   `default:"720h" min:"1m" max:"876000h" help:"At most one false alarm in the whole cluster in this time, on average."`
	ForgetAfter     span   `default:"24h" min:"1m" max:"87600h" help:"How long members that are down or have left are remembered."`
	Observers       even   `default:"8" min:"2" max:"64" help:"How many members listen to each one; the same in the whole cluster. An even number."`
	Heartbeats      string `enum:"ring,probes" default:"ring" help:"What suspicion listens to: ring, heartbeats of our own; probes, only memberlist's, for small clusters that can wait."`
}

func (nodeCmd) Help() string {
	return `Prints an event a line on standard output, beginning with every member's present state, and logs on standard error. Ctrl-C says goodbye to the others and ends; a second one ends at once, which looks like a crash to them.

    pulsering node --name a --bind 127.0.0.1:7946 --http 127.0.0.1:8080
    pulsering node --name b --bind 127.0.0.1:7947 --join 127.0.0.1:7946 --json

On a real network give --advertise an address that the others can reach, and all members a --key-file: without one, anyone who can send a packet to a member can have any member declared down.
`
}

func (c *nodeCmd) config(log hclog.Logger) cluster.Config {
	cfg := cluster.Config{
		Name:            string(c.Name),
		Bind:            string(c.Bind),
		Advertise:       string(c.Advertise),
		Label:           string(c.Label),
		Tags:            c.Tag,
		Beat:            time.Duration(c.Beat),
		StallAllowance:  time.Duration(c.StallAllowance),
		FalseAlarmEvery: time.Duration(c.FalseAlarmEvery),
		ForgetAfter:     time.Duration(c.ForgetAfter),
		Observers:       int(c.Observers),
		Keys:            c.KeyFile.keys,
		Logger:          log,
	}
	for _, seed := range c.Join {
		cfg.Seeds = append(cfg.Seeds, string(seed))
	}
	if c.Heartbeats == cluster.Probes.String() {
		cfg.Heartbeats = cluster.Probes
	}
	return cfg
}

// goodbye is how long a node may take to tell the others that it leaves.
const goodbye = 5 * time.Second

// Run takes part in the cluster until ctx ends.
func (c *nodeCmd) Run(ctx context.Context, con console) error {
	signal.Ignore(syscall.SIGPIPE) // a closed standard output is an error to act upon here, not a sudden death
	lines := newPatientWriter(con.err)
	defer lines.flush()
	log := hclog.New(&hclog.LoggerOptions{
		Name:   "pulsering",
		Level:  hclog.LevelFromString(c.LogLevel),
		Output: lines,
		Color:  logColor(con),
	})
	if c.KeyFile.exposed {
		log.Warn("others may read the key file: chmod 600 it", "file", c.KeyFile.path)
	}
	var web *api
	if c.HTTP != "" {
		var err error
		if web, err = listenAPI(string(c.HTTP), log); err != nil {
			return err
		}
		defer web.close()
	}
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
	if web != nil {
		web.joined(node)
		log.Info("serving /members /events /stats /healthz", "http", web.listener.Addr())
	}

	// The subscription ends with the node, so that what is pending is printed too.
	events := node.Events(context.WithoutCancel(ctx))
	var failed error
	printed := make(chan struct{})
	go func() {
		defer close(printed)
		failed = c.print(con, events)
	}()

	select {
	case <-printed: // the output failed, or the node ended by itself
		if err = failed; err == nil {
			return fmt.Errorf("the node ended: %w", node.Err())
		}
		err = fmt.Errorf("standard output: %w: left the cluster", err)
		log.Error("cannot print events: leaving", "error", err)
	case <-ctx.Done():
		log.Info("leaving", "cause", context.Cause(ctx))
	}
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	if left := node.Leave(leaving); left != nil {
		err = errors.Join(err, fmt.Errorf("not everyone was told goodbye: %w", left))
	} else {
		log.Info("left")
	}
	node.Close()
	select {
	case <-printed:
	case <-time.After(time.Second): // nobody reads the output: what is pending there is lost
	}
	return err
}

// print writes events until they end or the output fails.
func (c *nodeCmd) print(con console, events func(yield func(cluster.Event) bool)) error {
	for e := range events {
		if err := printEvent(con.out, newEventLine(e), c.JSON, con.outColor); err != nil {
			return err
		}
	}
	return nil
}

func printEvent(w io.Writer, e eventLine, asJSON, color bool) error {
	if !asJSON {
		_, err := fmt.Fprintln(w, eventText(e, color))
		return err
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n')) // one write a line: a reader never sees half of one
	return err
}

func logColor(con console) hclog.ColorOption {
	if con.errColor {
		return hclog.ForceColor
	}
	return hclog.ColorOff
}
