package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/tcp"
)

// device is a thermometer on a battery. It beats one way, sleeps in between, and says with each
// beat when the next one comes: so a schedule that changes is told before it holds.
type device struct {
	name  string
	n     int
	every time.Duration // between its beats, by day and with a good battery
	begun time.Time     // of the simulation
	dial  func(context.Context) (net.Conn, error)

	mu      sync.Mutex
	client  *link.Client  // nil: it is off
	secret  string        // of its session, which it keeps while it is off
	promise time.Duration // between its beats now
	line    *line
	stuck   bool
	cut     bool
	off     bool // it makes no connection
	wills   int  // that it has said

	wg sync.WaitGroup
}

// errOff is why a device that is off, or whose path is cut, makes no connection.
var errOff = errors.New("there is no path")

// start switches the device on. It returns when the gateway has said welcome, or ctx ends.
func (d *device) start(ctx context.Context) error {
	s, promise := plan(d.n, time.Since(d.begun), d.every)
	d.mu.Lock()
	if d.client != nil {
		d.mu.Unlock()
		return fmt.Errorf("%s is on already", d.name)
	}
	d.off, d.stuck, d.cut, d.promise = false, false, false, promise
	cfg := link.Config{
		Session: d.name, Secret: d.secret, OneWay: true, Interval: promise, State64: s.encode(),
	}
	d.mu.Unlock()
	client, err := link.Dial(ctx, cfg, d.connect)
	if err != nil {
		return err
	}
	events := client.Events(context.Background()) // end with the client
	d.mu.Lock()
	d.client, d.secret = client, client.Secret()
	d.mu.Unlock()
	d.sayWill(client)
	d.wg.Go(func() {
		for e := range events {
			if e.Session.State == link.Gone { // it was away for too long, and has a new session already
				d.sayWill(client)
			}
		}
	})
	return nil
}

// sayWill sends the message that the gateway is to deliver when the device dies.
func (d *device) sayWill(client *link.Client) {
	s, _ := plan(d.n, time.Since(d.begun), d.every)
	d.mu.Lock()
	d.wills++
	text := fmt.Appendf([]byte{willMessage}, "will %d: look after %s, the battery was at %d %%",
		d.wills, d.name, s.Battery)
	d.mu.Unlock()
	client.Send(text)
}

func (d *device) connect(ctx context.Context) (link.Transport, error) {
	d.mu.Lock()
	lost := d.off || d.cut
	d.mu.Unlock()
	if lost {
		return nil, errOff
	}
	conn, err := d.dial(ctx)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		conn.Close()
		return nil, errOff
	}
	d.line = newLine(tcp.New(conn, maxMessage), conn)
	d.line.set(d.stuck, d.cut)
	return d.line, nil
}

// step has the device measure, and plan its sleep. The next beat tells both.
func (d *device) step(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client == nil || d.stuck { // a program that hangs measures nothing
		return
	}
	s, promise := plan(d.n, now.Sub(d.begun), d.every)
	d.client.SetState(s.encode())
	if promise != d.promise {
		d.promise = promise
		d.client.SetInterval(promise)
	}
}

// fault has the device hang, or cuts its path.
func (d *device) fault(stuck, cut bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stuck, d.cut = stuck, cut
	if d.line != nil {
		d.line.set(stuck, cut)
	}
}

// drop ends the connection. The device makes another one.
func (d *device) drop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.line != nil {
		d.line.conn.Close()
	}
}

// stop switches the device off, with a goodbye or, as in a crash, without.
func (d *device) stop(goodbye bool) {
	d.mu.Lock()
	client := d.client
	d.client, d.off = nil, true
	if !goodbye && d.line != nil {
		d.line.conn.Close()
	}
	d.mu.Unlock()
	if client != nil {
		client.Close()
	}
	d.wg.Wait()
}
