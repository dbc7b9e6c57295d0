package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
)

type eventsCmd struct {
	askedNode
	asJSON
}

func (eventsCmd) Help() string {
	return `Begins with every member's present state, then prints what changes until you stop it (Ctrl-C). Kinds are up, suspect, down, left, updated (its tags or its health), and about the asked node itself isolated, connected, accused (others called it down) and gap (this reader was too slow for some events).

    pulsering events
    pulsering events --json | jq 'select(.kind == "down")'
    pulsering events --http 10.0.0.7:8080 --http-token-file token
`
}

// mostEvent bounds an event, whose tags take 512 bytes at most.
const mostEvent = 1 << 20

// Run prints events until the node ends or ctx does.
func (c *eventsCmd) Run(ctx context.Context, con console) error {
	node, err := c.open(ctx)
	if err != nil {
		return err
	}
	body, err := node.follow(ctx, "/v1/events", "application/x-ndjson", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, mostEvent)
	for lines.Scan() {
		line := printableJSON(lines.Bytes())
		var e eventLine
		if err := json.Unmarshal(line, &e); err != nil || e.Kind == "" {
			return fmt.Errorf("%s sent %.80q, which is no event: is it a pulsering node's --http address?", node.where, line)
		}
		if !c.JSON {
			line = []byte(eventText(e, con.outColor))
		}
		if _, err := con.out.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	switch err := lines.Err(); {
	case ctx.Err() != nil:
		return nil // stopped on purpose: all went well
	case err != nil:
		return fmt.Errorf("lost the node at %s: %w", node.where, err)
	}
	return fmt.Errorf("the node at %s has ended", node.where)
}
