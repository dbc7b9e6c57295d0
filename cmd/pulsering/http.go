package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/cluster/web"
)

// Where a node is asked: on a port (--http), and on a Unix socket that only its owner may open (--control). What is answered there is
// package web's.
//
// Nothing that clients do may take from the ring what it needs. Connections are bounded, and end when they ask, read or do
// nothing for too long; followers of events may take half of them.

const (
	// askPatience is how long a client may take to ask.
	askPatience = 5 * time.Second
	// readPatience is how long it may take to read an answer; package web extends it for events and for changes.
	readPatience = 10 * time.Second
	// idlePatience is how long it may keep a connection without asking again, unless half of them are taken.
	idlePatience = 30 * time.Second

	// mostClients bounds the connections of a listener, beside a quarter of the files that the process may open: a thousand
	// followers, and as many who ask. One takes about 30 KB. Port and socket have a bound each, so that a crowd at the port keeps
	// nobody from the socket: together they take half of the files at most.
	mostClients = 2048
)

// serving says where a node is to be asked, and by whom.
type serving struct {
	http    string       // host:port; empty: on no port
	guard   *guard       // of that port; nil: there is no token and no TLS
	control string       // the path of a Unix socket; empty: on none
	metrics http.Handler // nil: there are none
	left    func()       // see web.Options
}

// served is a node where it is asked.
type served struct {
	web  *web.Server
	log  hclog.Logger
	most int // connections of each listener

	http    net.Addr // nil: on no port
	control string   // the socket; empty: on none
	servers []*http.Server
	running sync.WaitGroup
}

// start begins to serve, before the node has joined.
func (s serving) start(log hclog.Logger) (*served, error) {
	if s.guard == nil {
		s.guard, _ = newGuard(httpFlags{}) // which asks for nothing, and lets nobody in from elsewhere
	}
	on := newServed(clientLimit(), s, log)
	if s.http != "" {
		listener, err := net.Listen("tcp", s.http)
		if err != nil {
			return nil, fmt.Errorf("--http: %w: choose another address, or end what listens there", err)
		}
		if err := s.guard.admits(listener.Addr()); err != nil {
			listener.Close()
			return nil, err
		}
		on.http = listener.Addr()
		on.serve(listener, s.guard.tls(), on.web.Handler())
	}
	if s.control != "" {
		listener, err := listenControl(s.control)
		if err != nil {
			on.close()
			return nil, fmt.Errorf("--control: %w", err)
		}
		on.control = s.control
		on.serve(listener, nil, on.web.Control())
	}
	return on, nil
}

// newServed is a node that is asked nowhere yet.
func newServed(most int, s serving, log hclog.Logger) *served {
	opts := web.Options{Token: s.guard.token, Metrics: s.metrics, Streams: most / 2, Left: s.left, Logger: log}
	if host, _, err := net.SplitHostPort(s.http); err == nil && host != "" {
		opts.Hosts = append(opts.Hosts, host)
	}
	if host, err := os.Hostname(); err == nil {
		opts.Hosts = append(opts.Hosts, host)
	}
	return &served{web: web.New(opts), log: log, most: most}
}

// clientLimit is how many connections a listener may give to clients.
func clientLimit() int {
	if files := openFiles(); files > 0 {
		return int(min(max(files/4, 8), mostClients))
	}
	return mostClients
}

// serve serves on a listener, with a bound on the connections.
func (on *served) serve(listener net.Listener, secure *tls.Config, handler http.Handler) {
	server := &http.Server{
		Handler:        handler,
		ReadTimeout:    askPatience,
		WriteTimeout:   readPatience,
		IdleTimeout:    idlePatience,
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       on.log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	on.servers = append(on.servers, server)
	// In a crowd nobody keeps a connection that is idle.
	listener = limit(listener, on.most, func(crowd bool) { server.SetKeepAlivesEnabled(!crowd) })
	if secure != nil {
		listener = tls.NewListener(listener, secure)
	}
	on.running.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) { // ErrServerClosed: by close
			on.log.Error("HTTP has ended; the node goes on without", "error", err)
		}
	})
}

// close ends the service: at once for idle clients, after what is pending for those that follow events, in 2 s for all.
func (on *served) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for _, server := range on.servers {
		all.Go(func() {
			if server.Shutdown(ctx) != nil {
				server.Close()
			}
		})
	}
	on.web.Close() // with it end the streams
	all.Wait()
	on.running.Wait()
}

// later is a handler that is there once the node is: package web asks it for nothing before.
type later struct{ http.Handler }
