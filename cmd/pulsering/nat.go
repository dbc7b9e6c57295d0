package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/nat"
)

type natCmd struct {
	Gateway   gatewayAt `arg:"" name:"GATEWAY" help:"Where a gateway is: HOST:PORT or tcp://HOST:PORT for its --tcp, ws://HOST:PORT/ws for its --listen, tls:// and wss:// where it has a --cert."`
	Longest   span      `default:"10m" min:"1s" max:"1h" help:"The longest sleep that is tried."`
	Precision span      `placeholder:"DURATION" min:"100ms" max:"10m" help:"Go on until the longest sleep that held and the shortest that did not are as near to each other as this. Default: the first sleeps do."`
	Patience  span      `default:"7s" min:"100ms" max:"1m" help:"How late an answer may be: longer on a line that is slow or loses much."`
	JSON      bool      `name:"json" help:"Print JSON, one object a line."`
	trusted
}

// wrong returns what is wrong with flags that go together.
func (c *natCmd) wrong() []error { return c.trusted.wrong(c.Gateway.gatewayURL) }

func (natCmd) Help() string {
	return `Finds out for how long this network lets a connection to a gateway sleep: NAT, firewalls and balancers forget one on which nothing is said. Several sleeps are tried side by side, each on a connection of its own on which neither end says anything, TCP keep-alive included; then the gateway speaks. It says for each whether it is still open, or how it was forgotten: reset (it was closed), silence (what is said is lost), deaf (the gateway is not heard until this end says something). In the end it says how far apart heartbeats may be, at most half of the longest sleep that held, and remembers that for this network.

A sleep that ends badly only counts if the same gateway process answers a fresh connection. It takes as long as the longest sleep, or somewhat longer than the limit. Ctrl-C tells what is known so far.

    pulsering gateway --tcp 0.0.0.0:9001                       # on a machine outside
    pulsering nat gate.example:9001                            # on a machine inside
    pulsering nat gate.example:9001 --longest 30m --precision 5s
    pulsering nat ws://gate.example:9000/ws --json
`
}

// gatewayAt is a gatewayURL, or HOST:PORT for one of TCP.
type gatewayAt struct{ gatewayURL }

func parseGatewayAt(s string, tag *kong.Tag, to *gatewayAt) error {
	if !strings.Contains(s, "://") {
		if _, err := parseAddress(s, false); err != nil {
			return err
		}
		s = "tcp://" + s
	}
	return parseGatewayURL(s, tag, &to.gatewayURL)
}

// hostPort is where the gateway is, also where the URL leaves out the port.
func (g gatewayURL) hostPort() string {
	if g.at.Port() != "" {
		return g.at.Host
	}
	port := map[string]string{"ws": "80", "wss": "443"}[g.at.Scheme]
	return net.JoinHostPort(g.at.Hostname(), port)
}

// natFile is where limits of networks are remembered, in the user's cache.
func natFile() (string, error) {
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "pulsering", "networks.json"), err
}

// redrawEvery is how often the picture of sleeps is drawn anew.
const redrawEvery = time.Second

// Run tries sleeps until the limit is known, or ctx ends.
func (c *natCmd) Run(ctx context.Context, con console) error {
	log := newLogger(con, "warn")
	server := c.Gateway.hostPort()
	here, err := nat.Here(ctx, server)
	if err != nil && ctx.Err() == nil {
		log.Warn("it is not known which network this is: nothing is remembered", "error", err)
	}
	var memory *nat.Memory
	if here.ID != "" {
		path, err := natFile()
		if err == nil {
			memory, err = nat.OpenMemory(path)
		}
		if err != nil {
			log.Warn("what was remembered of networks cannot be read", "error", err)
		}
	}
	v := &natView{
		json: c.JSON, gateway: c.Gateway.String(), network: here.Name, longest: time.Duration(c.Longest),
		screen: &screen{w: con.out, live: con.outTTY && !c.JSON && runtime.GOOS != "windows", color: con.outColor && !c.JSON, began: time.Now()},
	}
	var before *nat.Record
	if memory != nil {
		if r, known := memory.Load(here, server, time.Now()); known && r.Held > 0 {
			before = &r
		}
	}
	if err := v.begin(before); err != nil {
		return err
	}

	result, err := c.search(ctx, v)
	if v.screen.err != nil {
		return v.screen.err
	}
	if err != nil && !result.Complete && len(result.Tries) == 0 && ctx.Err() == nil {
		return c.explain(err)
	}
	remembered := ""
	// A search that stopped short of what is remembered has nothing to add.
	news := before == nil || result.Forgotten > 0 || result.Held > before.Held
	if result.Complete && news && memory != nil {
		now := time.Now()
		r := nat.Record{Network: here, Server: server, Held: result.Held, Forgotten: result.Forgotten, How: result.How, At: now}
		if err := memory.Save(r, now); err != nil {
			log.Warn("the result is not remembered", "error", err)
		} else {
			remembered, _ = natFile()
		}
	}
	if err := v.end(result, remembered); err != nil {
		return err
	}
	if err != nil && ctx.Err() == nil {
		return c.explain(err)
	}
	return err
}

// search runs the search, and shows how it gets on. An output that cannot be written ends it.
func (c *natCmd) search(ctx context.Context, v *natView) (nat.Result, error) {
	trust, err := c.trust(c.Gateway.gatewayURL)
	if err != nil {
		return nat.Result{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	news := make(chan nat.Progress)
	s := nat.Search{
		Dial:    func(ctx context.Context) (link.Transport, error) { return c.Gateway.dial(ctx, trust) },
		Longest: time.Duration(c.Longest), Precision: time.Duration(c.Precision), Patience: time.Duration(c.Patience),
		Progress: func(p nat.Progress) { news <- p },
	}
	var result nat.Result
	done := make(chan struct{})
	go func() {
		defer close(done)
		result, err = s.Run(ctx)
	}()
	ticker := time.NewTicker(redrawEvery)
	defer ticker.Stop()
	for {
		select {
		case p := <-news:
			v.news(p)
		case <-ticker.C:
			v.draw()
		case <-done:
			return result, err
		}
		if v.screen.err != nil {
			cancel(v.screen.err)
		}
	}
}

// explain says what to do about an error.
func (c *natCmd) explain(err error) error {
	at := c.Gateway.hostPort()
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens on %s: start a gateway there (pulsering gateway --help), or name the right address: %w", at, err)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return fmt.Errorf("this machine does not permit a connection to %s: look at its firewall: %w", at, err)
	case errors.Is(err, nat.ErrRestless):
		return fmt.Errorf("%s: %w: run a gateway of this version there", c.Gateway, err)
	case errors.Is(err, nat.ErrFull):
		return fmt.Errorf("%s: %w: try again in a while", c.Gateway, err)
	case errors.Is(err, nat.ErrNoServer):
		return fmt.Errorf("%s: %w: is it the address of a pulsering gateway, and does it still run?", c.Gateway, err)
	}
	return fmt.Errorf("%s: %w", c.Gateway, err)
}
