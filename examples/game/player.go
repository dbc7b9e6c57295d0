package main

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pulsering/pulsering/detector/link"
)

// walker is a player who walks about.
type walker struct {
	client *link.Client
	begun  time.Time

	mu    sync.Mutex
	state state
	world []player // the latest that the server sent
}

// newWalker joins the game.
func newWalker(ctx context.Context, name string, dial link.Dialer) (*walker, error) {
	speed := func() float32 { return 0.05 + rand.Float32()/4 }
	w := &walker{begun: time.Now()}
	w.state = state{X: rand.Float32(), Y: rand.Float32(), VX: speed(), VY: speed()}
	cfg := link.Config{Interval: frame, Session: name, Receive: w.receive}
	var err error
	w.client, err = link.Dial(ctx, cfg, dial)
	return w, err
}

func (w *walker) receive(_ string, data []byte) {
	var world []player
	if json.Unmarshal(data, &world) != nil {
		return // of a server that plays another game
	}
	w.mu.Lock()
	w.world = world
	w.mu.Unlock()
}

// walk moves the player until ctx ends. Its state goes with the next beat, whatever came between.
func (w *walker) walk(ctx context.Context) {
	tick := time.NewTicker(frame / 2)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			w.mu.Lock()
			w.state = w.state.after(now.Sub(w.begun) - w.state.At)
			w.state.Seq++
			data := w.state.encode()
			w.mu.Unlock()
			w.client.SetState(data)
		case <-ctx.Done():
			return
		}
	}
}

// sees is what the player knows of another one.
func (w *walker) sees(name string) (player, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.world {
		if p.Name == name {
			return p, true
		}
	}
	return player{}, false
}
