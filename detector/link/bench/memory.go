//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/pulsering/pulsering/detector/link"
)

// echo is a connection in memory whose other end answers each ping at once.
type echo struct {
	frames chan link.Frame
	ended  chan struct{}
	once   sync.Once
	last   [link.MaxBeat]byte
}

func newEcho() *echo {
	return &echo{frames: make(chan link.Frame, 1), ended: make(chan struct{})}
}

func (e *echo) Read() (link.Frame, error) {
	select {
	case f := <-e.frames:
		return f, nil
	case <-e.ended:
		return link.Frame{}, io.EOF
	}
}

func (e *echo) Write(f link.Frame) error {
	if f.Type != link.Ping {
		return nil
	}
	select {
	case e.frames <- link.Frame{Type: link.Pong, Payload: e.last[:copy(e.last[:], f.Payload)]}:
		return nil
	case <-e.ended:
		return net.ErrClosed
	}
}

func (e *echo) Written() uint64   { return 0 }
func (e *echo) NetConn() net.Conn { return nil }
func (e *echo) Remote() string    { return "memory" }
func (e *echo) Kind() string      { return "memory" }
func (e *echo) Close() error {
	e.once.Do(func() { close(e.ended) })
	return nil
}

// inMemory measures sessions on connections in memory, all in this process.
func inMemory(ctx context.Context, o options, out, log io.Writer) (err error) {
	s, err := link.NewServer(link.Config{Interval: o.interval, MaxSessions: o.memory})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	defer func() {
		fmt.Fprintln(log, "ending the sessions")
		err = errors.Join(err, s.Close())
		wg.Wait()
	}()
	runtime.GC()
	var empty, full, before, after sample
	if err := empty.take(); err != nil {
		return err
	}
	echoes := make([]*echo, o.memory) // of which the client is: not the server's
	for i := range echoes {
		echoes[i] = newEcho()
	}
	runtime.GC()
	var with sample
	if err := with.take(); err != nil {
		return err
	}
	fmt.Fprintf(log, "%d sessions begin\n", o.memory)
	begin := time.Now()
	for _, e := range echoes {
		wg.Go(func() { s.Serve(ctx, e) })
	}
	for s.Stats().Connections.Load() < int64(o.memory) && ctx.Err() == nil {
		wait(ctx, 10*time.Millisecond)
	}
	fmt.Fprintf(log, "all were admitted after %v\n", time.Since(begin).Round(time.Millisecond))
	wait(ctx, max(o.settle, 2*o.interval))
	if err := before.take(); err != nil {
		return err
	}
	beats, begin := s.Stats().Beats.Load(), time.Now()
	wait(ctx, time.Duration(o.seconds)*time.Second)
	took := time.Since(begin)
	beats = s.Stats().Beats.Load() - beats
	if err := after.take(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	runtime.GC()
	if err := full.take(); err != nil {
		return err
	}
	states := map[link.State]int{}
	for _, one := range s.Sessions() {
		states[one.State]++
	}
	each := func(with, without uint64) float64 { return (float64(with) - float64(without)) / float64(o.memory) }
	fmt.Fprintf(out, "%d sessions without sockets, a ping each %v; %s.\n\n", o.memory, o.interval, machine())
	fmt.Fprintln(out, "| heap a session, B | stacks a session, B | resident a session, B | beats a second | CPU a beat, µs | up | suspect | blocked |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|")
	fmt.Fprintf(out, "| %.0f | %.0f | %.0f | %.0f | %.2f | %d | %d | %d |\n", each(full.Heap, with.Heap), each(full.Stacks, with.Stacks),
		each(after.Resident, with.Resident), float64(beats)/took.Seconds(),
		float64((after.CPU-before.CPU).Nanoseconds())/1000/float64(max(1, beats)), states[link.Up], states[link.Suspect], s.Stats().Blocked.Load())
	return nil
}
