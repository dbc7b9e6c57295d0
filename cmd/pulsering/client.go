package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

type askedNode struct {
	HTTP address `name:"http" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"The node to ask: what it was given as --http."`
	JSON bool    `name:"json" help:"Print JSON."`
}

type membersCmd struct {
	askedNode
}

func (membersCmd) Help() string {
	return `The table shows the members as this one node sees them. φ, heard and RTT are known for those members whose heartbeats it hears itself: φ = 3 means that one heartbeat in 1000 is this late.

    pulsering node --name a --http 127.0.0.1:8080 &
    pulsering members
    pulsering members --http 127.0.0.1:8081 --json
`
}

// Run prints the members that the node answers with.
func (c *membersCmd) Run(ctx context.Context, con console) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	body, err := c.get(ctx, "/v1/members", "application/json")
	if err != nil {
		return err
	}
	defer body.Close()
	if c.JSON {
		_, err := io.Copy(con.out, body)
		return err
	}
	var members []memberLine
	if err := json.NewDecoder(body).Decode(&members); err != nil {
		return fmt.Errorf("%s did not answer with a list of members (%w): is it a pulsering node's --http address?", c.HTTP, err)
	}
	_, err = fmt.Fprintln(con.out, strings.Join(memberTable(members, time.Now(), con.outColor), "\n"))
	return err
}

type eventsCmd struct {
	askedNode
}

func (eventsCmd) Help() string {
	return `Begins with every member's present state, then prints what changes until you stop it (Ctrl-C). Kinds are up, suspect, down, left, updated (its tags or its health), and about the asked node itself isolated, connected, accused (others called it down) and gap (this reader was too slow for some events).

    pulsering node --name a --http 127.0.0.1:8080 &
    pulsering events
    pulsering events --json | jq 'select(.kind == "down")'
`
}

// Run prints events until the node ends or ctx does.
func (c *eventsCmd) Run(ctx context.Context, con console) error {
	body, err := c.get(ctx, "/v1/events", "application/x-ndjson")
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		text := lines.Text()
		if !c.JSON {
			var e eventLine
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				return fmt.Errorf("%s sent %.80q (%w): is it a pulsering node's --http address?", c.HTTP, text, err)
			}
			text = eventText(e, con.outColor)
		}
		if _, err := fmt.Fprintln(con.out, text); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil // stopped on purpose: all went well
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("lost the node at %s: %w", c.HTTP, err)
	}
	return fmt.Errorf("the node at %s has ended", c.HTTP)
}

// get returns the body of the node's answer, in a form that is asked for.
func (c *askedNode) get(ctx context.Context, path, accept string) (io.ReadCloser, error) {
	client := &http.Client{Transport: &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		ResponseHeaderTimeout: 5 * time.Second,
		DisableKeepAlives:     true, // one question a run
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+string(c.HTTP)+path, nil)
	if err != nil {
		return nil, fmt.Errorf("--http: %w", err)
	}
	req.Header.Set("Accept", accept)
	answer, err := client.Do(req)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("nothing listens on %s: start a node with --http %[1]s, or name the right address with --http", c.HTTP)
	case err != nil:
		return nil, fmt.Errorf("no answer from %s: %w: is it a pulsering node's --http address?", c.HTTP, err)
	case answer.StatusCode != http.StatusOK:
		defer answer.Body.Close()
		return nil, fmt.Errorf("%s answered %s: %s", c.HTTP, printable(answer.Status), refusalOf(answer.Body))
	}
	return answer.Body, nil
}

// refusalOf is what an answer gives as its error, or the beginning of an answer of something else than a node.
func refusalOf(body io.Reader) string {
	b, _ := io.ReadAll(io.LimitReader(body, 4<<10))
	var e struct{ Error string }
	if json.Unmarshal(b, &e) == nil && e.Error != "" {
		return printable(e.Error)
	}
	return printable(strings.TrimSpace(string(b[:min(len(b), 200)])))
}
