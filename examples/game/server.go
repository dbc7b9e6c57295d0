package main

import (
	"context"
	"encoding/json"
	"net"
	"sync"
	"time"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/tcp"
)

// player is what the server tells of one.
type player struct {
	Name  string  `json:"name"`
	X     float32 `json:"x"`
	Y     float32 `json:"y"`
	State string  `json:"state"` // up, suspect, or away: the player may come back
	Seq   uint32  `json:"seq"`
	RTT   float64 `json:"rtt_ms"`
	Drift float64 `json:"drift_ms"` // how much later than its earliest state the latest came
}

// game knows where everybody is, by what their beats carry.
type game struct {
	server *link.Server

	mu      sync.Mutex
	players map[string]*known
	world   []player
}

// known is what the game keeps of a player.
type known struct {
	state state
	heard time.Time     // when the state came
	early time.Duration // the least time of arrival less time stamp: what is above it is delay
}

// frame is the time between two worlds that are sent, and between two beats: each beat brings a
// state that is new.
const frame = 50 * time.Millisecond

// newGame begins a game without players.
func newGame() (*game, error) {
	server, err := link.NewServer(link.Config{Interval: frame})
	if err != nil {
		return nil, err
	}
	return &game{server: server, players: map[string]*known{}}, nil
}

// accept lets players in until ctx ends.
func (g *game) accept(ctx context.Context, l net.Listener) {
	defer context.AfterFunc(ctx, func() { l.Close() })()
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go g.server.Serve(ctx, tcp.NewServer(conn, 0))
	}
}

// run sends the world to all players until ctx ends, and calls shown with it.
func (g *game) run(ctx context.Context, shown func([]player)) {
	tick := time.NewTicker(frame)
	defer tick.Stop()
	begun := time.Now()
	for {
		select {
		case now := <-tick.C:
			shown(g.step(begun, now))
		case <-ctx.Done():
			return
		}
	}
}

// step takes the players' latest states, and sends the world.
func (g *game) step(begun, now time.Time) []player {
	g.mu.Lock()
	defer g.mu.Unlock()
	before := g.players
	g.players, g.world = map[string]*known{}, []player{}
	sessions := g.server.Sessions()
	for _, s := range sessions {
		if s.State == link.Gone {
			continue // only now it has left
		}
		k := before[s.ID]
		news, err := decodeState(s.State64)
		switch {
		case k == nil && err != nil: // it has not said where it is
			continue
		case k == nil || err == nil && news.Seq > k.state.Seq:
			transit := now.Sub(begun) - news.At
			if k == nil {
				k = &known{early: transit}
			}
			k.state, k.heard, k.early = news, now, min(k.early, transit)
		}
		g.players[s.ID] = k
		// Between two states, and in a drop, a player goes on as it did.
		at := k.state.after(now.Sub(k.heard))
		drift := k.heard.Sub(begun) - k.state.At - k.early
		g.world = append(g.world, player{
			s.ID, at.X, at.Y, s.State.String(), k.state.Seq, ms(s.RTT), ms(drift),
		})
	}
	data, err := json.Marshal(g.world)
	if err != nil {
		panic(err) // numbers in bounds and strings
	}
	for _, s := range sessions {
		if s.State == link.Up { // worlds that are over are of no use to whoever comes back
			g.server.Send(s.ID, data)
		}
	}
	return g.world
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
