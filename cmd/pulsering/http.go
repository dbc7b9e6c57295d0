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

// The read-only HTTP interface of a node. It says what the node sees and changes nothing.
//
//	GET /members   a JSON array, sorted by name
//	GET /events    one JSON object a line, from every member's present state on, until the client goes
//	GET /stats     counters since the start
//	GET /healthz   200 while the node runs: "ok", or "isolated" with a word about it. A node that is isolated works, and a
//	               supervisor that ends it, or a balancer that takes the last survivor out, would only do harm.
//
// All of them answer 503 until the node has joined.
//
// Nothing that clients do may take from the ring what it needs. Connections are bounded, and end when they ask, read or do
// nothing for too long; followers of events may take half of them.

// ring is what the interface needs of a *cluster.Node.
type ring interface {
	Events(context.Context) iter.Seq[cluster.Event]
	Isolated() bool
	Members() []cluster.Member
	Self() cluster.Member
	Stats() cluster.Stats
	Err() error
}

const (
	// askPatience is how long a client may take to ask.
	askPatience = 5 * time.Second
	// readPatience is how long it may take to read an answer, and each event.
	readPatience = 10 * time.Second
	// idlePatience is how long it may keep a connection without asking again, unless half of them are taken.
	idlePatience = 30 * time.Second

	// mostClients bounds the connections, beside a quarter of the files that the process may open.
	mostClients = 128
)

// api serves a ring once there is one.
type api struct {
	server    *http.Server
	listener  net.Listener
	guard     *guard
	ring      atomic.Pointer[ring]
	followers chan struct{} // those that follow events: half of the connections at most
}

// listenAPI starts to serve where the flags say, to whom they say.
func listenAPI(flags httpFlags, log hclog.Logger) (*api, error) {
	guard, err := newGuard(flags)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", string(flags.HTTP))
	if err != nil {
		return nil, fmt.Errorf("--http: %w: choose another address, or end what listens there", err)
	}
	guarded, err := guard.listener(listener)
	if err != nil {
		listener.Close()
		return nil, err
	}
	return serveAPI(guarded, guard, clientLimit(), log), nil
}

// clientLimit is how many connections a process may give to clients.
func clientLimit() int {
	if files := openFiles(); files > 0 {
		return int(min(max(files/4, 8), mostClients))
	}
	return mostClients
}

// serveAPI serves on a listener, with a bound on the connections.
func serveAPI(listener net.Listener, guard *guard, most int, log hclog.Logger) *api {
	a := &api{guard: guard, followers: make(chan struct{}, most/2)}
	a.server = &http.Server{
		Handler:        guard.handler(a.handler()),
		ReadTimeout:    askPatience,
		WriteTimeout:   readPatience,
		IdleTimeout:    idlePatience,
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	// In a crowd nobody keeps a connection that is idle.
	a.listener = limit(listener, most, func(crowd bool) { a.server.SetKeepAlivesEnabled(!crowd) })
	go func() {
		if err := a.server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) { // ErrServerClosed: by close
			log.Error("HTTP has ended; the node goes on without", "error", err)
		}
	}()
	return a
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
			serve(w, r, *n)
		})
	}
	handle("/members", serveMembers)
	handle("/events", a.serveEvents)
	handle("/stats", func(w http.ResponseWriter, _ *http.Request, n ring) { serveJSON(w, newStatsLine(n.Stats())) })
	handle("/healthz", func(w http.ResponseWriter, _ *http.Request, n ring) {
		if err := n.Err(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		if n.Isolated() {
			io.WriteString(w, "isolated: this node runs and hears none of the others\n")
			return
		}
		io.WriteString(w, "ok\n")
	})
	return mux
}

func serveMembers(w http.ResponseWriter, _ *http.Request, n ring) {
	self, isolated := n.Self().Name, n.Isolated()
	lines := []memberLine{} // an empty list is [], not null
	for _, m := range n.Members() {
		itself := m.Name == self
		lines = append(lines, memberLine{Member: m, Self: itself, Isolated: itself && isolated})
	}
	serveJSON(w, lines)
}

func serveJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) // an error is the client's going
}

// serveEvents streams events to one of the followers. Nobody waits for one that is slow: each has a subscription of its own,
// which folds what it is too slow for.
func (a *api) serveEvents(w http.ResponseWriter, r *http.Request, n ring) {
	select {
	case a.followers <- struct{}{}:
		defer func() { <-a.followers }()
	default:
		w.Header().Set("Retry-After", "10")
		http.Error(w, fmt.Sprintf("%d clients follow events already, and no more may: ask later, or end one", cap(a.followers)),
			http.StatusServiceUnavailable)
		return
	}
	client := http.NewResponseController(w)
	events := n.Events(r.Context())
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	if err := client.Flush(); err != nil { // the header, before the first event
		return
	}
	out := json.NewEncoder(w)
	for event := range events {
		client.SetWriteDeadline(time.Now().Add(readPatience))
		if err := errors.Join(out.Encode(newEventLine(event)), client.Flush()); err != nil {
			return
		}
	}
}
