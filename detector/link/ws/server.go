package ws

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/pulsering/pulsering/detector/link"
)

// Handler upgrades requests to WebSocket and hands the connections to a server. It is an http.Handler.
//
// A plain TCP connection costs the least. A listener that wraps its connections, and does nothing when they are read or written, has
// them say so with a method BareConn() net.Conn, which returns what they wrap.
type Handler struct {
	// Server judges the sessions.
	Server *link.Server
	// Origins are the hosts, with the port where it is not the scheme's, of pages that may connect beside those of the host that was
	// asked; "*" stands for all, also for pages without a host, whose origin is null: those from files, and in sandboxes. A browser
	// says where its page is from; other clients say nothing, and are let in.
	Origins []string
	// MaxMessage is as in link.Config.
	MaxMessage int

	mu     sync.Mutex
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// upgradeTime is how long the answer to a request may take to be written.
const upgradeTime = 5 * time.Second

// ServeHTTP upgrades a request. It returns while the connection is read on a goroutine of its own, so that what net/http holds for a
// request is free again.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h.allowed(r); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	conn, rw, _, err := ws.HTTPUpgrader{Timeout: upgradeTime}.Upgrade(r, w)
	if err != nil { // the upgrader has answered
		if conn != nil {
			conn.Close()
		}
		return
	}
	c := newConn(conn, rw.Reader, false, h.MaxMessage)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begin()
	if h.ctx.Err() != nil { // Close may wait already
		conn.Close()
		return
	}
	h.wg.Go(func() { h.Server.Serve(h.ctx, c) })
}

// begin makes the context of all connections. It needs h.mu.
func (h *Handler) begin() {
	if h.ctx == nil {
		h.ctx, h.cancel = context.WithCancel(context.Background())
	}
}

// allowed tells whether the page that asks may.
func (h *Handler) allowed(r *http.Request) error {
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(h.Origins, "*") {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return fmt.Errorf("the origin %q is not allowed: it names no host", origin)
	}
	if strings.EqualFold(u.Host, r.Host) {
		return nil
	}
	for _, o := range h.Origins {
		if strings.EqualFold(o, u.Host) {
			return nil
		}
	}
	return fmt.Errorf("the origin %q is not allowed: it is neither of the host that was asked, nor of one that is listed", origin)
}

// Close ends the connections that the handler upgraded, and returns when none is read any more.
func (h *Handler) Close() error {
	h.mu.Lock()
	h.begin()
	h.cancel()
	h.mu.Unlock()
	h.wg.Wait()
	return nil
}

// Dial connects to a ws or wss URL. A message is at most maxMessage bytes; 0: link.DefaultMaxMessage.
func Dial(ctx context.Context, url string, maxMessage int) (*Conn, error) {
	return Dialer{MaxMessage: maxMessage}.Dial(ctx, url)
}

// A Dialer connects as Dial does, with settings of its own. The zero Dialer is Dial with the default length of messages.
type Dialer struct {
	// TLS is how a wss URL is connected to; nil: as the system trusts.
	TLS *tls.Config
	// NetDial makes the connection below; nil: as net.Dialer does.
	NetDial func(ctx context.Context, network, addr string) (net.Conn, error)
	// MaxMessage is as in link.Config.
	MaxMessage int
}

// Dial connects to a ws or wss URL.
func (d Dialer) Dial(ctx context.Context, url string) (*Conn, error) {
	status := 0
	upgrade := ws.Dialer{
		TLSConfig: d.TLS, NetDial: d.NetDial,
		OnStatusError: func(s int, _ []byte, _ io.Reader) { status = s },
	}
	conn, rest, _, err := upgrade.Dial(ctx, url)
	switch {
	case status != 0:
		return nil, fmt.Errorf("ws: Dial %s: the server answers %d %s", url, status, http.StatusText(status))
	case err != nil:
		return nil, fmt.Errorf("ws: Dial %s: %w", url, err)
	}
	c := newConn(conn, rest, true, d.MaxMessage)
	if rest != nil {
		ws.PutReader(rest)
	}
	return c, nil
}
