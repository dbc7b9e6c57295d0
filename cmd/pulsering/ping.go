package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"
)

type pingCmd struct {
	Name     memberName `arg:"" help:"The member to ask."`
	Count    count      `short:"c" min:"1" max:"1000000" placeholder:"N" help:"How many times. Default: until Ctrl-C."`
	Interval span       `short:"i" default:"1s" min:"100ms" max:"1h" help:"Time between two questions."`
	askedNode
}

func (pingCmd) Help() string {
	return `Has the node ask the member whether it is there, over the path that its questions take, which is not the one of ICMP. The statistics at the end are those of ping: mdev is the standard deviation. It ends with 1 if the member never answered.

    pulsering ping orders-7
    pulsering ping orders-7 --count 10 --interval 200ms
    pulsering ping orders-7 --http 10.0.0.7:8080 --http-token-file token
`
}

// Run asks until it has asked often enough, or ctx ends.
func (c *pingCmd) Run(ctx context.Context, con console) error {
	node, err := c.open(ctx)
	if err != nil {
		return err
	}
	self, err := node.self(ctx)
	if err != nil {
		return err
	}
	name := printable(string(c.Name))
	fmt.Fprintf(con.out, "asking %s from %s (%s)\n", name, printable(self.Name), printable(self.Addr))
	tick := time.NewTicker(time.Duration(c.Interval))
	defer tick.Stop()
	var stats pings
	for n := 1; c.Count == 0 || n <= int(c.Count); n++ {
		var answer struct {
			RTT float64 `json:"rtt_ms"`
		}
		err := node.change(ctx, memberPath(string(c.Name))+"/ping", nil, &answer)
		var refused errRefused
		switch {
		case ctx.Err() != nil:
		case err == nil:
			stats.add(answer.RTT)
			_, err = fmt.Fprintf(con.out, "%s: seq=%d time=%s ms\n", name, n, digits(answer.RTT))
		case errors.As(err, &refused) && refused.status == http.StatusGatewayTimeout:
			stats.asked++
			_, err = fmt.Fprintf(con.out, "%s: seq=%d no answer\n", name, n)
		case stats.asked == 0:
			return unknownMember(err, node)
		default:
			fmt.Fprintln(con.out, stats.text(name))
			return unknownMember(err, node)
		}
		if err != nil && ctx.Err() == nil {
			return err // of the output
		}
		if n != int(c.Count) && ctx.Err() == nil {
			select {
			case <-tick.C:
				continue
			case <-ctx.Done():
			}
		}
		break
	}
	fmt.Fprintln(con.out, stats.text(name))
	switch {
	case stats.answered > 0 || stats.asked == 0 && ctx.Err() != nil:
		return nil // Ctrl-C is how one ends it
	}
	return fmt.Errorf("%s never answered: see pulsering explain %[1]s", name)
}

// pings are the statistics of answers, in milliseconds. The zero value has none.
type pings struct {
	asked, answered int
	min, max, mean  float64
	squares         float64 // of differences from the mean, summed up
}

// add counts an answer. Mean and squares are Welford's (Technometrics 4(3), 1962): no digits are lost over a long run.
func (p *pings) add(ms float64) {
	p.asked++
	p.answered++
	if p.answered == 1 {
		p.min, p.max = ms, ms
	}
	p.min, p.max = min(p.min, ms), max(p.max, ms)
	before := p.mean
	p.mean += (ms - before) / float64(p.answered)
	p.squares += (ms - before) * (ms - p.mean)
}

func (p *pings) text(name string) string {
	lost := 0.0
	if p.asked > 0 {
		lost = 100 * float64(p.asked-p.answered) / float64(p.asked)
	}
	text := fmt.Sprintf("--- %s: %d asked, %d answered, %.3g %% lost", name, p.asked, p.answered, lost)
	if p.answered > 0 {
		text += fmt.Sprintf("\nrtt min/avg/max/mdev = %s/%s/%s/%s ms", digits(p.min), digits(p.mean), digits(p.max),
			digits(math.Sqrt(p.squares/float64(p.answered))))
	}
	return text
}

// digits writes milliseconds as ping does.
func digits(ms float64) string { return fmt.Sprintf("%.3f", ms) }
