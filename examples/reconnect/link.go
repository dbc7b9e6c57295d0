package main

import (
	"context"
	"net"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/tcp"
)

// serveLink is the smallest server: it answers each message with "heard" and the message, until ctx
// ends.
func serveLink(ctx context.Context, listener net.Listener, cfg link.Config) error {
	var server *link.Server
	cfg.Receive = func(session string, data []byte) {
		server.Send(session, append([]byte("heard "), data...)) // kept while the client is away
	}
	server, err := link.NewServer(cfg)
	if err != nil {
		return err
	}
	defer server.Close()
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return ended(ctx, err)
		}
		go server.Serve(ctx, tcp.NewServer(conn, 0))
	}
}

// dialLink is the smallest client: it stays connected until its Close.
func dialLink(ctx context.Context, addr string, cfg link.Config) (*link.Client, error) {
	return link.Dial(ctx, cfg, func(ctx context.Context) (link.Transport, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		return tcp.New(conn, 0), nil
	})
}

// ended is what a server returns whose listener failed: that is no error once ctx is over.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
