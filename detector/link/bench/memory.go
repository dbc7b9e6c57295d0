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
	mu     sync.Mutex
	ended  bool
	last   [2][link.MaxBeat]byte // of which the reader has one
	turn   int
}

func newEcho() *echo { return &echo{frames: make(chan link.Frame, 1)} }

func (e *echo) Read() (link.Frame, error) {
	f, ok := <-e.frames
	if !ok {
		return f, io.EOF
	}
	return f, nil
}

// TryPing answers a ping, if the one before was read.
func (e *echo) TryPing(payload []byte) (bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return false, net.ErrClosed
	}
	if len(e.frames) > 0 {
		return false, nil
	}
	e.turn ^= 1
	buf := &e.last[e.turn]
	e.frames <- link.Frame{Type: link.Pong, Payload: buf[:copy(buf[:], payload)]}
	return true, nil
}

// Write drops what is no ping, and a ping too where the one before was not read.
func (e *echo) Write(f link.Frame) error {
	if f.Type != link.Ping {
		return nil
	}
	_, err := e.TryPing(f.Payload)
	return err
}

func (e *echo) Written() uint64   { return 0 }
func (e *echo) NetConn() net.Conn { return nil }
func (e *echo) Remote() string    { return "memory" }
func (e *echo) Kind() string      { return "memory" }
func (e *echo) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.ended {
		e.ended = true
		close(e.frames)
	}
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
	const batch = 1000 // no more come at once
	for i, e := range echoes {
		wg.Go(func() { s.Serve(ctx, e) })
		for (i+1)%batch == 0 && s.Stats().Connections.Load() < int64(i+1) && ctx.Err() == nil {
			wait(ctx, time.Millisecond)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if (i+1)%100_000 == 0 {
			fmt.Fprintf(log, "  %d after %v\n", i+1, time.Since(begin).Round(time.Millisecond))
		}
	}
	for s.Stats().Connections.Load() < int64(o.memory) && ctx.Err() == nil {
		wait(ctx, 10*time.Millisecond)
	}
	fmt.Fprintf(log, "all were admitted after %v\n", time.Since(begin).Round(time.Millisecond))
	wait(ctx, max(o.settle, o.interval))
	fmt.Fprintf(log, "measuring for %d s\n", o.seconds)
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
	each := func(with, without uint64) float64 {
		return (float64(with) - float64(without)) / float64(o.memory)
	}
	cpu := float64((after.CPU - before.CPU).Nanoseconds()) / 1000 / float64(max(1, beats))
	fmt.Fprintf(out, "%d sessions without sockets, a ping each %v; %s.\n\n",
		o.memory, o.interval, machine())
	fmt.Fprintln(out, "| heap a session, B | stacks a session, B | resident a session, B "+
		"| beats a second | CPU a beat, µs | up | suspect | blocked |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|")
	fmt.Fprintf(out, "| %.0f | %.0f | %.0f | %.0f | %.2f | %d | %d | %d |\n",
		each(full.Heap, with.Heap), each(full.Stacks, with.Stacks),
		each(after.Resident, with.Resident), float64(beats)/took.Seconds(), cpu,
		states[link.Up], states[link.Suspect], s.Stats().Blocked.Load())
	return nil
}
