package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"sync"
	"time"

	"github.com/pulsering/pulsering/detector"
	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/tcp"
)

// center judges devices that it has no connection to, by what a gateway reports. It does not take
// the gateway's word for who is up: if reports stop, all of them become suspect here.
type center struct {
	server   *link.Server
	judge    *detector.Detector[string]
	listener net.Listener
	wg       sync.WaitGroup

	mu      sync.Mutex
	begun   time.Time
	away    map[string]bool // the connection has ended, says the gateway
	early   time.Duration   // the least time of arrival less Sent: what is above it is delay
	reports int
	bytes   int
	beats   int
}

// newCenter hears gateways on listener, until close. every is how far apart beats are, unless they
// say.
func newCenter(listener net.Listener, every time.Duration) (*center, error) {
	judge, err := detector.New[string](detector.Config{
		Interval: every, FalseAlarmEvery: link.DefaultFalseAlarmEvery, // as the gateway has it
	})
	if err != nil {
		return nil, err
	}
	c := &center{judge: judge, listener: listener, begun: time.Now(), away: map[string]bool{}}
	receive := func(_ string, data []byte) {
		if err := c.take(data, time.Now()); err != nil {
			log.Print(err)
		}
	}
	c.server, err = link.NewServer(link.Config{MaxMessage: maxReport, Receive: receive})
	if err != nil {
		judge.Close()
		return nil, err
	}
	c.wg.Go(func() { accept(listener, c.server, maxReport) })
	return c, nil
}

// accept serves the connections to listener until it is closed. The server's Close ends them.
func accept(listener net.Listener, server *link.Server, most int) {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // as if no file is left: there will be
			time.Sleep(10 * time.Millisecond)
			continue
		}
		go server.Serve(context.Background(), tcp.NewServer(conn, most))
	}
}

// take judges by a report that came at now.
func (c *center) take(data []byte, now time.Time) error {
	r, err := decodeReport(data)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	transit := now.Sub(c.begun) - r.Sent
	if c.reports == 0 || transit < c.early {
		c.early = transit
	}
	c.reports++
	c.bytes += len(data)
	c.beats += len(r.Beats)
	named := map[string]bool{}
	for _, one := range r.Changes {
		if one.Op != arrived {
			continue
		}
		named[one.ID] = true
		delete(c.away, one.ID)
		switch err := c.judge.Watch(one.ID, one.Every); {
		case errors.Is(err, detector.ErrWatched): // its silence in between is not its line's
			c.judge.Restart(one.ID)
			c.judge.SetInterval(one.ID, one.Every)
		case err != nil:
			return fmt.Errorf("report: %w", err)
		}
	}
	if r.Whole {
		for id := range c.judge.All() {
			if !named[id] {
				delete(c.away, id)
				c.judge.Forget(id)
			}
		}
	}
	for i := range r.Beats { // in a queue all grew older
		r.Beats[i].Age += transit - c.early
	}
	c.judge.Batch(r.Beats)
	for _, one := range r.Changes {
		switch one.Op {
		case planned: // after the beat that said so, which kept the promise before
			if err := c.judge.SetInterval(one.ID, one.Every); err != nil {
				return fmt.Errorf("report: %w", err)
			}
		case ended:
			c.away[one.ID] = true
		case left:
			delete(c.away, one.ID)
			c.judge.Forget(one.ID)
		}
	}
	return nil
}

// verdict is what the center thinks of a device: "up", "suspect", "away", or "unknown" before its
// first beat, and "gone" for one that it does not know. Who is Down to the detector is away here,
// as are those whose connection has ended.
func (c *center) verdict(id string) (state string, phi float64) {
	s, watched := c.judge.Status(id)
	c.mu.Lock()
	away := c.away[id]
	c.mu.Unlock()
	return verdictOf(s.State, away, watched), s.Phi
}

func verdictOf(s detector.State, away, watched bool) string {
	switch {
	case !watched:
		return link.Gone.String()
	case away || s == detector.Down:
		return link.Away.String()
	}
	return s.String()
}

// count is how many devices are in each state.
func (c *center) count() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := map[string]int{}
	for id, s := range c.judge.All() {
		n[verdictOf(s.State, c.away[id], true)]++
	}
	return n
}

// traffic is what came so far.
func (c *center) traffic() (reports, bytes, beats int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reports, c.bytes, c.beats
}

func (c *center) close() {
	c.listener.Close()
	c.wg.Wait()
	c.server.Close()
	c.judge.Close()
}
