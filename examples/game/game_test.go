package main

import (
	"bytes"
	"context"
	"errors"
	"math"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/tcp"
)

// wire makes connections in memory to a game, and can be cut.
type wire struct {
	g     *game
	mu    sync.Mutex
	down  bool
	pipes []net.Conn
}

func (w *wire) dial(context.Context) (link.Transport, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return nil, errors.New("the network is down")
	}
	a, b := net.Pipe()
	w.pipes = append(w.pipes, a)
	go w.g.server.Serve(context.Background(), tcp.NewServer(b, 0))
	return tcp.New(a, 0), nil
}

func (w *wire) set(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down = down; down {
		for _, p := range w.pipes {
			p.Close()
		}
		w.pipes = nil
	}
}

// Three players see each other where they are. One who drops out for 5 s is seen all the time, goes
// on as it did, and is back; one who stays out leaves after the grace.
func TestDropIsNoLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, err := newGame()
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { g.run(ctx, func([]player) {}) })
		var walkers []*walker
		var wires []*wire
		for _, name := range []string{"ann", "bob", "cem"} {
			wire := &wire{g: g}
			w, err := newWalker(ctx, name, wire.dial)
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() { w.walk(ctx) })
			walkers, wires = append(walkers, w), append(wires, wire)
		}
		ann, cem := walkers[0], walkers[2]
		near := func() {
			t.Helper()
			cem.mu.Lock()
			is := cem.state
			cem.mu.Unlock()
			p, ok := ann.sees("cem")
			if d := math.Hypot(float64(p.X-is.X), float64(p.Y-is.Y)); !ok || d > 0.1 {
				t.Errorf("ann sees cem (%v) at %v, %v, which is off by %.3f", ok, p.X, p.Y, d)
			}
		}
		for range 20 {
			time.Sleep(500 * time.Millisecond)
			near()
		}
		if p, _ := ann.sees("cem"); p.State != "up" || p.Drift < 0 || p.Drift > 1000 {
			t.Errorf("%+v", p)
		}

		wires[2].set(true)
		before, _ := ann.sees("cem")
		for i := range 100 {
			time.Sleep(50 * time.Millisecond)
			near()
			if p, _ := ann.sees("cem"); i > 2 && p.State != "away" {
				t.Fatalf("cem is %+v %d ms after the drop, want away", p, 50*i)
			}
		}
		wires[2].set(false)
		time.Sleep(5 * time.Second)
		near()
		if p, _ := ann.sees("cem"); p.State != "up" || p.Seq <= before.Seq {
			t.Errorf("cem is back as %+v", p)
		}

		wires[2].set(true)
		time.Sleep(link.DefaultGrace + time.Second)
		if p, ok := ann.sees("cem"); ok {
			t.Errorf("cem is still there after the grace: %+v", p)
		}
		if _, ok := ann.sees("bob"); !ok {
			t.Error("bob has left, too")
		}
		stop()
		wg.Wait()
		for _, w := range walkers {
			w.client.Close()
		}
		g.server.Close()
	})
}

func TestState(t *testing.T) {
	good := state{Seq: 7, At: time.Minute, X: 0.25, Y: 1, VX: -1, VY: 0.5}
	if got, err := decodeState(good.encode()); err != nil || got != good {
		t.Errorf("%+v, %v; want %+v", got, err, good)
	}
	nan := float32(math.NaN())
	for _, bad := range []state{
		{X: -0.1}, {Y: 1.1}, {VX: 2}, {VY: -2}, {X: nan}, {VY: nan}, {At: -1}, {At: maxAt + 1},
	} {
		if _, err := decodeState(bad.encode()); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	if at := (state{X: 0.9, VX: 0.2, Y: 0.1, VY: -0.2}).after(time.Second); math.Abs(float64(at.X-0.9)) > 1e-6 ||
		at.VX != -0.2 || math.Abs(float64(at.Y-0.1)) > 1e-6 || at.VY != 0.2 {
		t.Errorf("after the walls %+v", at)
	}
}

func FuzzDecodeState(f *testing.F) {
	f.Add(state{Seq: 1, X: 0.5, Y: 0.5}.encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeState(b)
		if err != nil {
			return
		}
		at := s.after(time.Hour)
		if at.X < 0 || at.X > 1 || at.Y < 0 || at.Y > 1 {
			t.Errorf("%+v leaves the field: %+v", s, at)
		}
	})
}

// The command itself, over loopback: its output tells of a drop, and of no leave.
func TestPlay(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for _, terminal := range []bool{false, true} {
		var out bytes.Buffer
		ctx, stop := context.WithTimeout(ctx, 2500*time.Millisecond)
		if err := play(ctx, "127.0.0.1:0", 1200*time.Millisecond, &out, terminal); err != nil {
			t.Fatal(err)
		}
		stop()
		for _, word := range []string{"ann", "cem", "up", "away"} {
			if !strings.Contains(out.String(), word) {
				t.Errorf("terminal %v: the output has no %q:\n%s", terminal, word, &out)
			}
		}
	}
}
