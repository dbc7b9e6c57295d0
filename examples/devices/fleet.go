package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"time"
)

// fleet is many devices in one process.
type fleet struct {
	every   time.Duration
	devices []*device
	byName  map[string]*device
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// nameOf is the name of device number n.
func nameOf(n int) string { return fmt.Sprintf("dev-%05d", n) }

// newFleet makes n devices, none of which is on, and goes on measuring for them until close.
func newFleet(n int, every time.Duration, dial func(context.Context) (net.Conn, error)) *fleet {
	f := &fleet{every: every, byName: map[string]*device{}}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	begun := time.Now()
	for i := range n {
		d := &device{name: nameOf(i), n: i, every: every, begun: begun, dial: dial}
		f.devices = append(f.devices, d)
		f.byName[d.name] = d
	}
	f.wg.Go(f.run)
	return f
}

// run has each device measure a few times between two beats.
func (f *fleet) run() {
	tick := time.NewTicker(max(f.every/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			for _, d := range f.devices {
				d.step(now)
			}
		case <-f.ctx.Done():
			return
		}
	}
}

const (
	// starters is how many devices connect at a time: more would overrun a listener's queue.
	starters = 32
	// startTime is how long one may take to connect.
	startTime = 30 * time.Second
)

// start switches all devices on, and calls done for each.
func (f *fleet) start(done func(error)) {
	next := make(chan *device)
	var workers sync.WaitGroup
	for range starters {
		workers.Go(func() {
			for d := range next {
				ctx, cancel := context.WithTimeout(f.ctx, startTime)
				done(d.start(ctx))
				cancel()
			}
		})
	}
	for _, d := range f.devices {
		next <- d
	}
	close(next)
	workers.Wait()
}

// order is what befalls some devices.
type order struct {
	Do      deed     `json:"do"`
	Devices []string `json:"devices"`
}

type deed string

const (
	stick deed = "stick" // the program hangs
	cut   deed = "cut"   // the path is lost
	mend  deed = "mend"  // neither any more
	drop  deed = "drop"  // the connection fails once
	crash deed = "crash" // switched off without a goodbye
	leave deed = "leave" // switched off with one
	start deed = "start" // switched on
)

// do has it befall them.
func (f *fleet) do(o order) error {
	for _, name := range o.Devices {
		d := f.byName[name]
		if d == nil {
			return fmt.Errorf("order %q: there is no device %q", o.Do, name)
		}
		switch o.Do {
		case stick:
			d.fault(true, false)
		case cut:
			d.fault(false, true)
		case mend:
			d.fault(false, false)
		case drop:
			d.drop()
		case crash, leave:
			f.wg.Go(func() { d.stop(o.Do == leave) })
		case start:
			f.wg.Go(func() {
				ctx, cancel := context.WithTimeout(f.ctx, startTime)
				defer cancel()
				d.start(ctx)
			})
		default:
			return fmt.Errorf("order %q: want stick, cut, mend, drop, crash, leave or start", o.Do)
		}
	}
	return nil
}

// close says goodbye for all devices, and returns when they are off.
func (f *fleet) close() {
	f.cancel()
	f.wg.Wait()
	var all sync.WaitGroup
	for _, d := range f.devices {
		all.Go(func() { d.stop(true) })
	}
	all.Wait()
}

// task is the first line that a process of devices reads.
type task struct {
	Addr    string        `json:"addr"` // of the gateway
	Devices int           `json:"devices"`
	Every   time.Duration `json:"every"`
}

// status is what a process of devices writes, a line a second.
type status struct {
	Made   int           `json:"made"`
	Failed int           `json:"failed"`
	Why    string        `json:"why,omitempty"` // the first one failed
	Ready  bool          `json:"ready"`         // all are made, or failed
	Memory uint64        `json:"memory"`        // bytes that the process has of the system
	CPU    time.Duration `json:"cpu"`           // that it has taken
}

// runFleet is a process of devices: it reads a task and then orders, until in ends. The devices of
// a simulation that is over need no goodbye: they end with the process.
func runFleet(in io.Reader, out io.Writer) error {
	lines := json.NewDecoder(in)
	var t task
	if err := lines.Decode(&t); err != nil {
		return fmt.Errorf("the task: %w", err)
	}
	f := newFleet(t.Devices, t.Every, func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", t.Addr)
	})
	var mu sync.Mutex
	var now status
	go f.start(func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			now.Made++
		} else if now.Failed++; now.Failed == 1 {
			now.Why = err.Error()
		}
		now.Ready = now.Made+now.Failed == t.Devices
	})
	go func() {
		text := json.NewEncoder(out)
		for {
			mu.Lock()
			now.Memory, now.CPU = memory(), processorTime()
			s := now
			mu.Unlock()
			if text.Encode(s) != nil {
				return
			}
			wait := time.Second
			if !s.Ready {
				wait /= 5
			}
			time.Sleep(wait)
		}
	}()
	for {
		var o order
		err := lines.Decode(&o)
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = f.do(o)
		}
		if err != nil {
			return err
		}
	}
}

// memory is how many bytes this process has of the system and has not given back.
func memory() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Sys - m.HeapReleased
}
