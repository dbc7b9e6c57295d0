package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/term"
)

type membersCmd struct {
	askedNode
	asJSON
	State text `placeholder:"STATES" help:"Only members that are up, suspect, down or left; several with commas."`
	Tag   tags `placeholder:"K=V" help:"Only members with this tag. Repeatable."`
	Watch bool `short:"w" help:"Go on until Ctrl-C: redrawn in a terminal, elsewhere printed anew when something changes."`
}

func (membersCmd) Help() string {
	return `The table shows the members as this one node sees them. φ, heard and RTT are known for those members whose heartbeats it hears itself: φ = 3 means that one heartbeat in 1000 is this late. φ is – where a member left or was called down. A member that was down or had left before the node learnt of it has no tags there: they come with a member that lives, so --tag does not find it.

    pulsering members
    pulsering members --state suspect,down --watch
    pulsering members --http 10.0.0.7:8080 --http-token-file token --json
`
}

// wrong is what is wrong with the flags.
func (c *membersCmd) wrong() []error {
	errs := c.askedNode.wrong()
	for s := range strings.SplitSeq(string(c.State), ",") {
		if known := []string{"up", "suspect", "down", "left"}; c.State != "" && !slices.Contains(known, s) {
			errs = append(errs, fmt.Errorf("--state: %q is none of %s", s, strings.Join(known, ", ")))
		}
	}
	return errs
}

// path is where the members are asked for.
func (c *membersCmd) path() string {
	query := url.Values{}
	if c.State != "" {
		query.Set("state", string(c.State))
	}
	for k, v := range c.Tag {
		query.Add("tag", k+"="+v)
	}
	if len(query) == 0 {
		return "/v1/members"
	}
	return "/v1/members?" + query.Encode()
}

// Run prints the members that the node answers with.
func (c *membersCmd) Run(ctx context.Context, con console) error {
	node, err := c.open(ctx)
	if err != nil {
		return err
	}
	if c.Watch {
		return c.watch(ctx, con, func() (all []byte, now time.Time, err error) {
			at, ahead, err := node.getAt(ctx, c.path(), &all)
			return all, at.Add(ahead), err
		})
	}
	if c.JSON {
		var all []byte
		if err := node.get(ctx, c.path(), &all); err != nil {
			return err
		}
		_, err := con.out.Write(all)
		return err
	}
	var members []memberLine
	at, ahead, err := node.getAt(ctx, c.path(), &members)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(con.out, strings.Join(c.table(members, at.Add(ahead), con.outColor), "\n"))
	return err
}

// table shows the members as they were at now, by the clock of the node.
func (c *membersCmd) table(members []memberLine, now time.Time, color bool) []string {
	if len(members) == 0 {
		return []string{"no member is so: without --state and --tag all are shown"}
	}
	return memberTable(members, now, color)
}

// watchEvery is how often the members are looked at.
const watchEvery = 500 * time.Millisecond

// watch prints the members until ctx ends. It lives through a node that ends and comes back. The JSON of the members comes from ask,
// with the time at the node.
func (c *membersCmd) watch(ctx context.Context, con console, ask func() ([]byte, time.Time, error)) error {
	picture := &screen{w: con.out, live: con.outTTY && !c.JSON, color: con.outColor}
	var before string         // what the last table said, but for times and φ
	var last []string         // the last table
	var lost, heard time.Time // since when there is no answer; when the last one came
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		all, at, err := ask()
		var members []memberLine
		if err == nil {
			err = json.Unmarshal(all, &members)
		}
		switch {
		case ctx.Err() != nil:
			return picture.err // Ctrl-C is how one ends it
		case err != nil && heard.IsZero():
			return err // nothing was ever there
		case err != nil && lost.IsZero():
			lost = time.Now()
			if !picture.live {
				fmt.Fprintf(con.err, "pulsering: lost connection: %v: trying again until it is back\n", err)
			}
		case err == nil:
			if !lost.IsZero() && !picture.live {
				fmt.Fprintf(con.err, "pulsering: connected again after %s\n", seconds(time.Since(lost)))
			}
			heard, lost = time.Now(), time.Time{}
		}
		if err == nil {
			last = c.table(members, at, con.outColor)
			if now := gist(members); !picture.live && now != before {
				before = now
				if c.JSON {
					picture.text(strings.TrimSpace(string(all)))
				} else {
					picture.text(append([]string{heard.Local().Format("15:04:05.000")}, append(last, "")...)...)
				}
			}
		}
		if picture.live {
			lines := fitted(last, con)
			if !lost.IsZero() {
				lines = append([]string{picture.paint(red, "lost connection "+ago(time.Now(), lost)+": trying again")}, lines...)
			}
			picture.draw(lines)
		}
		if picture.err != nil {
			return picture.err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// gist is what makes a table worth to be printed again: all but times and φ.
func gist(members []memberLine) string {
	var b strings.Builder
	for _, m := range members {
		fmt.Fprintf(&b, "%q %q %d %v %v %v %q\n", m.Name, m.Addr, m.Boot, m.State, m.Health, m.Isolated, tagList(m.Tags))
	}
	return b.String()
}

// fitted cuts lines at the bottom of the terminal: what has left its top cannot be redrawn.
func fitted(lines []string, con console) []string {
	room := max(3, height(con.out)-2) // for the line of the cursor, and one about the connection
	if len(lines) <= room {
		return lines
	}
	hidden := len(lines) - room + 1
	return append(slices.Clone(lines[:room-1]), fmt.Sprintf("… and %d more: --state suspect,down shows fewer, pulsering top scrolls", hidden))
}

// height is that of the terminal in lines.
func height(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if _, rows, err := term.GetSize(f.Fd()); err == nil && rows > 0 {
			return rows
		}
	}
	return 24
}
