// Command chat is a page on which the users of one server talk, and see who is online, away or
// offline, and why.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/ws"
)

//go:embed page
var files embed.FS

func main() {
	addr := flag.String("http", "127.0.0.1:8000", "ip:port of the page")
	interval := flag.Duration("interval", link.DefaultInterval, "time between two heartbeats")
	grace := flag.Duration("grace", link.DefaultGrace, "how long a user may be away before offline")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, link.Config{Interval: *interval, Grace: *grace}); err != nil {
		log.Fatal(err)
	}
}

// run serves the page until ctx ends.
func run(ctx context.Context, addr string, cfg link.Config) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%w: choose another -http", err)
	}
	defer listener.Close()
	room, err := newRoom(cfg)
	if err != nil {
		return err
	}
	sessions := &ws.Handler{Server: room.server, MaxMessage: maxMessage}
	server := &http.Server{Handler: handler(sessions), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	log.Printf("open http://%s in two windows; Ctrl-C ends", listener.Addr())
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	room.close() // the pages are told to come back, at moments of their own
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, sessions.Close(), server.Shutdown(last))
}

// handler serves the page, and sessions at /ws.
func handler(sessions http.Handler) http.Handler {
	page, err := fs.Sub(files, "page")
	if err != nil {
		panic(err) // it is embedded
	}
	static := http.FileServerFS(page)
	mux := http.NewServeMux()
	mux.Handle("GET /ws", sessions)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'")
		w.Header().Set("Cache-Control", "no-cache") // another version of this command has another page
		static.ServeHTTP(w, r)
	})
	return mux
}
