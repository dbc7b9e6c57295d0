package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pulsering/pulsering/detector/link"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The whole show: what is said into a forgotten connection is lost without an error, PING and PONG
// keep the connection but not what is said while it is down, and a session loses nothing.
func TestShow(t *testing.T) {
	var out bytes.Buffer
	// Long beside the second or two that clients may take to come back one after the other.
	r, err := show(t.Context(), 4*time.Second, &screen{out: &out})
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	want := [lanes][]string{
		silent: {`"and now?"`, `"hello"`},
		plain:  {`"and now?"`, `"are you there?"`, `"hello"`},
		linked: {`"and now?"`, `"are you there?"`, `"hello"`, `"wait…"`},
	}
	for i := range lanes {
		if !slices.Equal(r.heard[i], want[i]) {
			t.Errorf("%s: heard %q, want %q", laneNames[i], r.heard[i], want[i])
		}
	}
	for _, line := range []string{
		"forgotten a connection (no beats)", "no answer, no error", "resumed", "heard 4 of 4",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("the show does not say %q", line)
		}
	}
	if strings.Count(out.String(), "has forgotten") != 1 {
		t.Error("a connection with beats was forgotten")
	}
	t.Logf("\n%s", &out)
}

// An end of ctx in the middle, as Ctrl-C is, leaves nothing behind.
func TestShowInterrupted(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var out bytes.Buffer
	if _, err := show(ctx, time.Minute, &screen{out: &out}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v\n%s", err, &out)
	}
}

// Beats that are further apart than the proxy remembers keep no connection: a missing PONG finds
// that out, and the client connects again.
func TestBeatsTooFarApart(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	server, door := listen(t), listen(t)
	wg.Go(func() { servePlain(ctx, server, 0) })
	forgotten := make(chan bool, 100)
	p := newProxy(door, server.Addr().String(), 300*time.Millisecond, func() { forgotten <- true })
	defer p.close()
	connected, lost := make(chan bool, 100), make(chan error, 100)
	c := &plainClient{
		addr: door.Addr().String(), every: time.Second,
		connected: func() { connected <- true }, lost: func(err error) { lost <- err },
		pong: func(time.Duration) {}, heard: func(string) {},
	}
	wg.Go(func() { c.stay(ctx) })
	<-connected
	<-forgotten
	if err := c.say("anybody?"); err != nil {
		t.Errorf("the client's kernel knows of the proxy's memory: %v", err)
	}
	var timeout net.Error
	if err := <-lost; !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("lost by %v, want a time-out", err)
	}
	<-connected
	stop()
}

// A client of lines may also be one of package link's: its session is up while it answers.
func TestPlainClientOfLinkServer(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	server := listen(t)
	wg.Go(func() { serveLink(ctx, server, link.Config{Interval: 200 * time.Millisecond}) })
	pongs, lost := make(chan time.Duration, 100), make(chan error, 100)
	c := &plainClient{
		addr: server.Addr().String(), every: 400 * time.Millisecond,
		connected: func() {}, lost: func(err error) { lost <- err },
		pong: func(rtt time.Duration) { pongs <- rtt }, heard: func(string) {},
	}
	wg.Go(func() { c.stay(ctx) })
	for range 6 {
		select {
		case rtt := <-pongs:
			if rtt <= 0 {
				t.Errorf("a PONG after %v", rtt)
			}
		case err := <-lost:
			t.Fatalf("the connection was lost: %v", err)
		}
	}
	stop()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
