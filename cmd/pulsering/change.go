package main

import (
	"context"
	"fmt"
)

type leaveCmd struct{ askedNode }

func (leaveCmd) Help() string {
	return `Has the node say goodbye to the others and end, as Ctrl-C does: they show it as left, and nobody takes it for dead. A service that the node started gets SIGTERM then, and after 10 s SIGKILL. It takes the control socket, or the token.

    pulsering leave
    pulsering leave --control /run/pulsering/orders-7.sock
    pulsering leave --http 10.0.0.7:8080 --http-token-file token
`
}

// Run has the node leave.
func (c *leaveCmd) Run(ctx context.Context, con console) error {
	node, err := c.open(ctx)
	if err != nil {
		return err
	}
	self, err := node.self(ctx)
	if err != nil {
		return err
	}
	if err := node.change(ctx, "/v1/leave", nil, nil); err != nil {
		return err
	}
	_, err = fmt.Fprintf(con.out, "%s has left\n", printable(self.Name))
	return err
}

type forgetCmd struct {
	Name memberName `arg:"" help:"The member to forget: one that is down or has left."`
	askedNode
}

func (forgetCmd) Help() string {
	return `Takes a member that will not come back off everybody's list, where it would stay for the time of --forget-after. One that comes back after all is a new member. It takes the control socket, or the token.

    pulsering forget orders-7
    pulsering forget orders-7 --http 10.0.0.7:8080 --http-token-file token
`
}

// Run has all members forget one.
func (c *forgetCmd) Run(ctx context.Context, con console) error {
	node, err := c.open(ctx)
	if err != nil {
		return err
	}
	if err := node.change(ctx, memberPath(string(c.Name))+"/forget", nil, nil); err != nil {
		return unknownMember(err, node)
	}
	_, err = fmt.Fprintf(con.out, "%s is forgotten by all members\n", printable(string(c.Name)))
	return err
}
