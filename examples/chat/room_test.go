package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/tcp"
)

// guest is a client that does what the page's script does.
type guest struct {
	*link.Client
	cut func() // ends its connection, and all that follow until shut is false again

	mu    sync.Mutex
	shut  bool
	still bool // its script does not run: answers wait
	owes  bool
	log   []string // what the others say, and each change of somebody's state
	seen  map[string]string
}

// enter has a guest come in, in virtual time.
func enter(t *testing.T, r *room, name string) *guest {
	t.Helper()
	g := &guest{seen: map[string]string{}}
	var pipes []net.Conn
	g.cut = func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.shut = true
		for _, p := range pipes {
			p.Close()
		}
		pipes = nil
	}
	dial := func(context.Context) (link.Transport, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.shut {
			return nil, errors.New("the network is down")
		}
		a, b := net.Pipe()
		pipes = append(pipes, a)
		go r.server.Serve(context.Background(), tcp.NewServer(b, 0))
		return tcp.New(a, 0), nil
	}
	ready := make(chan struct{})
	cfg := link.Config{Session: name, Receive: func(_ string, data []byte) {
		<-ready
		g.receive(data)
	}}
	client, err := link.Dial(t.Context(), cfg, dial)
	if err != nil {
		t.Fatal(err)
	}
	g.Client = client
	close(ready)
	time.Sleep(100 * time.Millisecond)
	return g
}

func (g *guest) receive(data []byte) {
	var m struct {
		Kind   string   `json:"kind"`
		People []person `json:"people"`
		From   string   `json:"from"`
		Text   string   `json:"text"`
	}
	if err := json.Unmarshal(data, &m); err != nil {
		panic(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch m.Kind {
	case "people":
		for _, p := range m.People {
			if now := strings.TrimSuffix(p.State+": "+p.Why, ": "); g.seen[p.Name] != now {
				g.seen[p.Name] = now
				g.log = append(g.log, p.Name+" "+now)
			}
		}
	case "said":
		g.log = append(g.log, m.From+" says "+m.Text)
	case "question":
		if g.owes = g.still; !g.owes {
			g.Send([]byte(`{"here":true}`))
		}
	}
}

// setStill stops the guest's script, or has it go on.
func (g *guest) setStill(still bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.still = still; !still && g.owes {
		g.owes = false
		g.Send([]byte(`{"here":true}`))
	}
}

func (g *guest) setShut(shut bool) {
	g.mu.Lock()
	g.shut = shut
	g.mu.Unlock()
}

func (g *guest) say(text string) {
	data, _ := json.Marshal(answer{Say: text})
	g.Send(data)
}

// news is what the guest has seen since the last call, of one name.
func (g *guest) news(name string) []string {
	synctest.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	news := slices.DeleteFunc(g.log, func(s string) bool { return !strings.HasPrefix(s, name+" ") })
	g.log = nil
	return news
}

func inRoom(t *testing.T, story func(t *testing.T, r *room, ann, bob *guest)) {
	synctest.Test(t, func(t *testing.T) {
		r, err := newRoom(link.Config{})
		if err != nil {
			t.Fatal(err)
		}
		ann, bob := enter(t, r, "ann"), enter(t, r, "bob")
		time.Sleep(time.Minute)
		want(t, bob.news("ann"), "ann online")
		story(t, r, ann, bob)
		ann.Close()
		bob.Close()
		r.close()
		time.Sleep(time.Minute)
	})
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMessages(t *testing.T) {
	inRoom(t, func(t *testing.T, r *room, ann, bob *guest) {
		ann.say("hello")
		bob.cut()
		ann.say(" are you there? ")
		ann.say("  ")
		ann.say(strings.Repeat("x", maxText+1))
		ann.Send([]byte("no JSON"))
		time.Sleep(5 * time.Second)
		bob.setShut(false)
		time.Sleep(10 * time.Second)
		want(t, bob.news("ann"), "ann says hello", "ann says are you there?")
	})
}

// A drop that is short shows as nothing more than that, a long one as away, and then as offline.
func TestDrops(t *testing.T) {
	inRoom(t, func(t *testing.T, r *room, ann, bob *guest) {
		ann.cut()
		ann.setShut(false)
		time.Sleep(10 * time.Second)
		if news := bob.news("ann"); slices.ContainsFunc(news, func(s string) bool { return !strings.HasPrefix(s, "ann online") }) {
			t.Errorf("a drop of a second shows: %q", news)
		}
		ann.cut()
		time.Sleep(10 * time.Second)
		want(t, bob.news("ann"), "ann online: connecting again", "ann away: the connection was closed")
		ann.setShut(false)
		time.Sleep(10 * time.Second)
		want(t, bob.news("ann"), "ann online")
		ann.cut()
		time.Sleep(20 * time.Second)
		want(t, bob.news("ann"),
			"ann online: connecting again", "ann away: the connection was closed", "ann offline: did not come back")
	})
}

func TestGoodbye(t *testing.T) {
	inRoom(t, func(t *testing.T, r *room, ann, bob *guest) {
		ann.Close()
		time.Sleep(time.Second)
		want(t, bob.news("ann"), "ann offline: said goodbye")
		again := enter(t, r, "ann")
		defer again.Close()
		time.Sleep(time.Second)
		want(t, bob.news("ann"), "ann online")
	})
}

// A page whose script stands still is away, although its browser answers each ping.
func TestScriptStandsStill(t *testing.T) {
	inRoom(t, func(t *testing.T, r *room, ann, bob *guest) {
		ann.setStill(true)
		time.Sleep(20 * time.Second)
		want(t, bob.news("ann"), "ann away: the browser answers, the page does not")
		if s, _ := r.server.Session("ann"); s.State != link.Up {
			t.Errorf("the session is %v, want up", s.State)
		}
		ann.setStill(false)
		time.Sleep(time.Second)
		want(t, bob.news("ann"), "ann online")
		time.Sleep(time.Minute)
		want(t, bob.news("ann"))
	})
}

func TestPage(t *testing.T) {
	web := httptest.NewServer(handler(http.NotFoundHandler()))
	defer web.Close()
	for path, kind := range map[string]string{
		"/": "text/html", "/chat.js": "text/javascript", "/style.css": "text/css", "/icon.svg": "image/svg+xml",
	} {
		answer, err := http.Get(web.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if got := answer.Header.Get("Content-Type"); err != nil || len(body) == 0 || !strings.HasPrefix(got, kind) {
			t.Errorf("%s: %s, %d bytes, %v; want %s", path, got, len(body), err, kind)
		}
	}
}

// The end of the context, as Ctrl-C is, ends everything.
func TestRunEnds(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, "127.0.0.1:0", link.Config{}) }()
	time.Sleep(50 * time.Millisecond)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if err := run(t.Context(), taken.Addr().String(), link.Config{}); err == nil || !strings.Contains(fmt.Sprint(err), "-http") {
		t.Errorf("an address that is taken: %v", err)
	}
}
