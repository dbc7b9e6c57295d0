package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"
)

// servePlain is the smallest server in lines of text: PING is answered with PONG, any other line
// with "heard" and the line. A client that says nothing for patience is dropped; 0: never.
func servePlain(ctx context.Context, listener net.Listener, patience time.Duration) error {
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return ended(ctx, err)
		}
		wg.Go(func() {
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.Close() })()
			for lines := bufio.NewScanner(conn); next(conn, lines, patience); {
				answer := "heard " + lines.Text()
				if rest, ok := strings.CutPrefix(lines.Text(), "PING"); ok {
					answer = "PONG" + rest
				}
				fmt.Fprintln(conn, answer)
			}
		})
	}
}

// next reads a line, for which it waits at most patience; 0: for ever.
func next(conn net.Conn, lines *bufio.Scanner, patience time.Duration) bool {
	if patience > 0 {
		conn.SetReadDeadline(time.Now().Add(patience))
	}
	return lines.Scan()
}

// plainClient stays connected to a server of lines. What is said while there is no connection, or
// on one that is dead and nobody knows, is lost: that is what package link numbers its messages
// for.
type plainClient struct {
	addr  string
	every time.Duration // between two PINGs, a third of the shortest idle limit on the way; 0: none

	connected func()
	lost      func(error)
	pong      func(rtt time.Duration)
	heard     func(line string)

	mu   sync.Mutex
	conn net.Conn // nil: there is none
}

// Waits between two tries to connect are any time up to a bound that doubles ("full jitter"), as
// link.Client has them, so that a server that is back is not overrun.
const firstRetry, lastRetry = time.Second, 30 * time.Second

// stay keeps a connection until ctx ends.
func (c *plainClient) stay(ctx context.Context) {
	most := firstRetry
	for ctx.Err() == nil {
		spoke, err := c.connect(ctx)
		if ctx.Err() != nil {
			return
		}
		if spoke {
			c.lost(err)
			most = firstRetry
		}
		sleep(ctx, rand.N(most))
		most = min(2*most, max(firstRetry, min(c.every, lastRetry))) // who comes back late finds the others idle
	}
}

// connect makes one connection, and returns when it is over: whether the server ever answered on
// it, and why it ended.
func (c *plainClient) connect(ctx context.Context) (spoke bool, err error) {
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	over := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(over)
	begun := time.Now()
	wg.Go(func() {
		for { // the first PING is the question whether the server is there
			fmt.Fprintln(conn, "PING", time.Since(begun).Microseconds())
			if c.every == 0 {
				return
			}
			select {
			case <-time.After(c.every*3/4 + rand.N(c.every/4)):
			case <-over:
				return
			}
		}
	})
	for lines := bufio.NewScanner(conn); ; {
		if !next(conn, lines, 2*c.every) { // no PONG after two PINGs: the connection is dead
			c.set(nil)
			return spoke, cmp.Or(lines.Err(), io.EOF)
		}
		if !spoke {
			spoke = true
			c.set(conn)
			c.connected()
		}
		line := lines.Text()
		if rest, ok := strings.CutPrefix(line, "PING"); ok {
			fmt.Fprintln(conn, "PONG"+rest)
		} else if rest, ok := strings.CutPrefix(line, "PONG"); ok {
			var sent int64
			if _, err := fmt.Sscan(rest, &sent); err == nil {
				c.pong(time.Since(begun) - time.Duration(sent)*time.Microsecond)
			}
		} else {
			c.heard(line)
		}
	}
}

func (c *plainClient) set(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn = conn
}

// say sends a line. No error does not mean that it arrives.
func (c *plainClient) say(line string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return errors.New("not connected")
	}
	_, err := fmt.Fprintln(c.conn, line)
	return err
}

// sleep returns after d, or with ctx.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
