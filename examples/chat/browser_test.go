//go:build e2e && linux

package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/systeminfo"
	"github.com/chromedp/chromedp"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/ws"
	"github.com/pulsering/pulsering/internal/browsertest"
)

// stand is a room on a loopback port, for real browsers.
type stand struct {
	t    *testing.T
	room *room
	url  string

	mu    sync.Mutex
	serve http.Handler
	down  *atomic.Bool // nobody is let in
	end   func()       // of the room

	router router
}

// router is what connections go through. It can forget those that there are, as routers with NAT
// do: neither end is told.
type router struct {
	net.Listener
	mu    sync.Mutex
	conns []*routed
}

type routed struct {
	net.Conn
	forgotten atomic.Bool
}

func (r *router) Accept() (net.Conn, error) {
	conn, err := r.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &routed{Conn: conn}
	r.mu.Lock()
	r.conns = append(r.conns, c)
	r.mu.Unlock()
	return c, nil
}

func (r *router) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.forgotten.Store(true)
	}
}

// end closes what was forgotten.
func (r *router) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.Conn.Close()
	}
}

func (c *routed) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.forgotten.Load() {
			return n, err
		}
	}
}

func (c *routed) Write(p []byte) (int, error) {
	if c.forgotten.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// Close ends a forgotten connection for the server, and the page is not told.
func (c *routed) Close() error {
	if c.forgotten.Load() {
		return c.Conn.SetReadDeadline(time.Unix(1, 0))
	}
	return c.Conn.Close()
}

func newStand(t *testing.T, cfg link.Config) *stand {
	t.Helper()
	s := &stand{t: t, down: new(atomic.Bool)}
	s.build(cfg)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		serve, down := s.serve, s.down.Load()
		s.mu.Unlock()
		if down {
			http.Error(w, "the server starts", http.StatusServiceUnavailable)
			return
		}
		serve.ServeHTTP(w, r)
	}))
	web.Listener = &s.router
	s.router.Listener = listener
	web.Start()
	s.url = web.URL
	t.Cleanup(func() {
		s.end()
		s.router.end()
		web.Close()
	})
	return s
}

// build opens a room.
func (s *stand) build(cfg link.Config) {
	s.t.Helper()
	room, err := newRoom(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	sessions := &ws.Handler{Server: room.server, MaxMessage: maxMessage}
	s.room, s.serve = room, handler(sessions)
	s.end = func() {
		room.close()
		sessions.Close()
	}
}

// restart ends the room, and opens another one, which lets nobody in while down is true.
func (s *stand) restart(down *atomic.Bool) {
	s.mu.Lock()
	s.down = down
	s.mu.Unlock()
	s.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.build(inBrowsers)
}

// browser is one page in a browser of its own.
type browser struct{ *browsertest.Page }

// patience is how long a page may take to show something.
const patience = browsertest.Patience

// open has a browser of its own come in as name.
func (s *stand) open(name string) *browser {
	s.t.Helper()
	b := launch(s.t, name)
	b.Do(
		chromedp.Navigate(s.url),
		chromedp.WaitVisible("#name"),
		chromedp.SendKeys("#name", name+"\r"),
	)
	return b
}

// launch starts a browser without a page.
func launch(t *testing.T, name string) *browser {
	t.Helper()
	return &browser{browsertest.Launch(t, name, map[string]any{"window-size": "900,640"})}
}

// sees waits for somebody to be in a state on the page.
func (b *browser) sees(name, state string) {
	b.T.Helper()
	b.until(fmt.Sprintf("document.querySelector('#people [data-name=%q]')?.className", name), state)
}

// until waits for an expression to have a value.
func (b *browser) until(expression, want string) {
	b.T.Helper()
	var got string
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(50 * time.Millisecond) {
		if got = b.Eval(expression); got == want {
			return
		}
	}
	b.T.Fatalf("%s's page: %s = %q, want %q; it shows: %s", b.Name, expression, got, want,
		b.Eval("document.body?.innerText"))
}

func (b *browser) says(text string) {
	b.T.Helper()
	b.Do(chromedp.SendKeys("#text", text+"\r"))
}

// messages are the texts on the page.
const messages = "[...document.querySelectorAll('#log div')].map(d => d.lastChild.data).join('|')"

// signal sends a signal to the processes that run pages and their scripts, and to no other one.
func (b *browser) signal(sig syscall.Signal) {
	b.T.Helper()
	info := browsertest.Within(b.Page, func() (systeminfo.GetProcessInfoResult, error) {
		return chromedp.CallBrowser(b.Context, systeminfo.GetProcessInfo, cdp.Empty{})
	})
	n := 0
	for _, p := range info.ProcessInfo {
		if p.Type == "renderer" {
			n++
			if err := syscall.Kill(int(p.ID), sig); err != nil {
				b.T.Fatal(err)
			}
		}
	}
	if n == 0 {
		b.T.Fatalf("%s's browser has no process for pages", b.Name)
	}
}

// lifecycle freezes the page, or has it go on.
func (b *browser) lifecycle(state page.SetWebLifecycleStateState) {
	b.T.Helper()
	browsertest.Within(b.Page, func() (cdp.Empty, error) {
		return chromedp.Call(b.Context, page.SetWebLifecycleState, page.SetWebLifecycleStateParams{State: state})
	})
}
