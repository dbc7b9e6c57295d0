package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync"
)

// childEnv is set for the process of this program that has the devices: each end of a connection
// takes a file, so that two processes can have twice as many connections as one.
const childEnv = "PULSERING_EXAMPLE_DEVICES"

// childMain is that process. Ctrl-C is its parent's: the end of its input ends it.
func childMain() int {
	signal.Ignore(os.Interrupt)
	if err := runFleet(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "devices:", err)
		return 1
	}
	return 0
}

// child is the process of the devices, as its parent has it.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	wg  sync.WaitGroup

	mu     sync.Mutex
	orders *json.Encoder
	status status
	err    error // why it ended too early
	closed bool
}

// startChild starts the process.
func startChild(t task) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(self)}
	c.cmd.Env = append(os.Environ(), childEnv+"=1")
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("the devices need a process of their own: %w", err)
	}
	c.orders = json.NewEncoder(c.in)
	c.wg.Go(func() { c.read(out) })
	if err := c.orders.Encode(t); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *child) read(out io.Reader) {
	lines := json.NewDecoder(out)
	for {
		var s status
		err := lines.Decode(&s)
		c.mu.Lock()
		if err == nil {
			c.status = s
		} else if !c.closed {
			c.err = errors.New("the devices' process has ended")
		}
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// now is what the process said last, and why it says no more.
func (c *child) now() (status, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status, c.err
}

// do gives an order.
func (c *child) do(o order) error { return c.orders.Encode(o) }

// close ends the process, and returns when it has ended.
func (c *child) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.in.Close()
	c.wg.Wait()
	c.cmd.Wait()
}
