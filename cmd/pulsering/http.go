package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/cluster"
)

// The read-only HTTP interface of a node. It says what the node sees and changes nothing; there is no authentication.
//
//	GET /members   a JSON array, sorted by name
//	GET /events    one JSON object a line, from every member's present state on, until the client goes
//	GET /stats     counters since the start
//	GET /healthz   200 while the node runs
//
// All of them answer 503 until the node has joined.

// ring is what the interface needs of a *cluster.Node.
type ring interface {
	Events(context.Context) iter.Seq[cluster.Event]
	Members() []cluster.Member
	Self() cluster.Member
	Stats() cluster.Stats
	Err() error
}

// A client that takes nothing for this long is cut off. Nobody else waits for it: every client has a subscription of
// its own, which folds what it is too slow for.
const clientPatience = 30 * time.Second

// api serves a ring once there is one.
type api struct {
	server   *http.Server
	listener net.Listener
	ring     atomic.Pointer[ring]
}

// listenAPI starts to serve on addr.
func listenAPI(addr string, log hclog.Logger) (*api, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--http: %w: choose another address, or end what listens there", err)
	}
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		log.Warn("HTTP is open to other machines and has no authentication: anyone there can list the members",
			"addr", listener.Addr(), "safer", fmt.Sprintf("--http 127.0.0.1:%d", tcp.Port))
	}
	a := &api{listener: listener}
	a.server = &http.Server{
		Handler:           a.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	go a.server.Serve(listener) // ends with close
	return a, nil
}

// joined makes the node known.
func (a *api) joined(r ring) { a.ring.Store(&r) }

// close ends the service: at once for idle clients, after what is pending for those that follow events, in 2 s for all.
// Events end with their node, so close that first.
func (a *api) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if a.server.Shutdown(ctx) != nil {
		a.server.Close()
	}
}

func (a *api) handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(path string, serve func(http.ResponseWriter, *http.Request, ring)) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			n := a.ring.Load()
			if n == nil {
				http.Error(w, "still joining: ask again", http.StatusServiceUnavailable)
				return
			}
			http.NewResponseController(w).SetWriteDeadline(time.Now().Add(clientPatience))
			serve(w, r, *n)
		})
	}
	handle("/members", serveMembers)
	handle("/events", serveEvents)
	handle("/stats", func(w http.ResponseWriter, _ *http.Request, n ring) { serveJSON(w, newStatsLine(n.Stats())) })
	handle("/healthz", func(w http.ResponseWriter, _ *http.Request, n ring) {
		if err := n.Err(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ok\n")
	})
	return mux
}

func serveMembers(w http.ResponseWriter, _ *http.Request, n ring) {
	self := n.Self().Name
	lines := []memberLine{} // an empty list is [], not null
	for _, m := range n.Members() {
		lines = append(lines, newMemberLine(m, m.Name == self))
	}
	serveJSON(w, lines)
}

func serveJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) // an error is the client's going
}

func serveEvents(w http.ResponseWriter, r *http.Request, n ring) {
	events := n.Events(r.Context())
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	client := http.NewResponseController(w)
	if err := client.Flush(); err != nil { // the header, before the first event
		return
	}
	out := json.NewEncoder(w)
	for event := range events {
		client.SetWriteDeadline(time.Now().Add(clientPatience))
		if err := errors.Join(out.Encode(newEventLine(event)), client.Flush()); err != nil {
			return
		}
	}
}
