package link_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/tcp"
)

// harbour is a server, and connections to it in memory.
type harbour struct {
	t      *testing.T
	server *link.Server

	mu     sync.Mutex
	events []string
	got    []string // messages
	ends   []string // what Serve returned
	pipes  []net.Conn
	shut   bool // no connection is made

	clients []*link.Client
	wg      sync.WaitGroup
}

func inHarbour(t *testing.T, cfg link.Config, story func(*testing.T, *harbour)) {
	synctest.Test(t, func(t *testing.T) {
		h := &harbour{t: t}
		cfg.Receive = func(session string, data []byte) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.got = append(h.got, session+": "+string(data))
		}
		var err error
		if h.server, err = link.NewServer(cfg); err != nil {
			t.Fatal(err)
		}
		events := h.server.Events(t.Context())
		h.wg.Go(func() {
			for e := range events {
				h.mu.Lock()
				line := fmt.Sprintf("%s %s %s", e.Session.ID, e.Kind(), e.Session.Cause)
				if e.Outage != nil {
					line = fmt.Sprintf("- %s %s", e.Kind(), e.Outage.Network)
				}
				h.events = append(h.events, line)
				h.mu.Unlock()
			}
		})
		defer h.wg.Wait()
		defer h.server.Close()
		defer func() {
			for _, c := range h.clients {
				c.Close()
			}
		}()
		story(t, h)
	})
}

// client connects a client.
func (h *harbour) client(cfg link.Config) *link.Client {
	h.t.Helper()
	c, err := link.Dial(h.t.Context(), cfg, h.dial)
	if err != nil {
		h.t.Fatal(err)
	}
	h.clients = append(h.clients, c)
	h.told()
	return c
}

// dial makes a connection to the server.
func (h *harbour) dial(context.Context) (link.Transport, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.shut {
		return nil, errors.New("connection refused")
	}
	a, b := net.Pipe()
	h.pipes = append(h.pipes, a)
	h.wg.Go(func() {
		err := h.server.Serve(context.Background(), tcp.NewServer(b, 0))
		h.mu.Lock()
		h.ends = append(h.ends, fmt.Sprint(err))
		h.mu.Unlock()
	})
	return tcp.New(a, 0), nil
}

// cut ends all connections, as a reset would.
func (h *harbour) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.pipes {
		p.Close()
	}
	h.pipes = nil
}

func (h *harbour) setShut(shut bool) {
	h.mu.Lock()
	h.shut = shut
	h.mu.Unlock()
}

func (h *harbour) told() []string {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.events)
}

func (h *harbour) messages() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.got)
}

func (h *harbour) want(events ...string) {
	h.t.Helper()
	if got := h.told(); !slices.Equal(got, events) {
		h.t.Errorf("events %q, want %q; connections ended with %q", got, events, h.ends)
	}
}

func TestSessionIsUpUntilGoodbye(t *testing.T) {
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		c := h.client(link.Config{Session: "ann"})
		time.Sleep(10 * time.Minute)
		h.want("ann up ")
		if s, _ := h.server.Session("ann"); s.State != link.Up || s.Phi > 2 || s.Transport != "tcp" {
			t.Errorf("%+v", s)
		}
		if n := h.server.Stats().Beats.Load(); n < 600 || n > 800 {
			t.Errorf("%d beats in ten minutes, want one each 0.75 to 1 s", n)
		}
		c.Close()
		h.want("ann up ", "ann gone clean")
	})
}

func TestDropShorterThanGraceLosesNothing(t *testing.T) {
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		var mu sync.Mutex
		var got []string
		c := h.client(link.Config{Session: "ann", Receive: func(_ string, data []byte) {
			mu.Lock()
			got = append(got, string(data))
			mu.Unlock()
		}})
		var want []string
		for i := range 30 {
			if i%10 == 5 {
				h.setShut(true)
				h.cut()
			}
			if i%10 == 9 {
				h.setShut(false)
			}
			m := fmt.Sprint(i)
			want = append(want, m)
			if err := errors.Join(h.server.Send("ann", []byte(m)), c.Send([]byte(m))); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		time.Sleep(10 * time.Second)
		mu.Lock()
		if !slices.Equal(got, want) {
			t.Errorf("the client got %q", got)
		}
		mu.Unlock()
		for i := range want {
			want[i] = "ann: " + want[i]
		}
		if got := h.messages(); !slices.Equal(got, want) {
			t.Errorf("the server got %q", got)
		}
		h.want("ann up ", "ann away clean", "ann resumed ", "ann away clean", "ann resumed ", "ann away clean", "ann resumed ")
		c.Close()
	})
}

func TestGoneAfterGrace(t *testing.T) {
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		c := h.client(link.Config{Session: "ann"})
		h.setShut(true)
		h.cut()
		time.Sleep(14 * time.Second)
		h.want("ann up ", "ann away clean")
		time.Sleep(2 * time.Second)
		h.want("ann up ", "ann away clean", "ann gone clean")
		h.setShut(false)
		time.Sleep(time.Minute)
		h.want("ann up ", "ann away clean", "ann gone clean", "ann up ")
		c.Close()
	})
}

// Whoever answers nothing is found by φ.
func TestSilentClientIsFound(t *testing.T) {
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		a, b := net.Pipe()
		h.wg.Go(func() { h.server.Serve(context.Background(), tcp.NewServer(b, 0)) })
		client := tcp.New(a, 0)
		silent := make(chan struct{})
		h.wg.Go(func() {
			client.Write(link.Frame{Type: link.Text, Payload: []byte(`{"type":"hello","session":"ann"}`)})
			for {
				f, err := client.Read()
				if err != nil {
					return
				}
				select {
				case <-silent:
					continue
				default:
				}
				if f.Type == link.Ping {
					client.Write(link.Frame{Type: link.Pong, Payload: f.Payload})
				}
			}
		})
		time.Sleep(time.Minute)
		h.want("ann up ")
		close(silent)
		begin := time.Now()
		for len(h.told()) < 3 && time.Since(begin) < time.Minute {
			time.Sleep(10 * time.Millisecond)
		}
		t.Logf("away after %v", time.Since(begin))
		h.want("ann up ", "ann suspect silent", "ann away silent")
	})
}
