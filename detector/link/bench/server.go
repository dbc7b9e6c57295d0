//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/ws"
)

// serverNames are the servers, in the order of the table.
func serverNames() []string { return []string{"pulsering", "gorilla", "coder"} }

// serve is a server that pings every connection once in so long.
func serve(name, interval string, in io.Reader, out io.Writer) error {
	every, err := time.ParseDuration(interval)
	if err != nil {
		return err
	}
	if file := os.Getenv(profileVar); file != "" {
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		defer f.Close()
		runtime.MemProfileRate = 512 // before anything is allocated for a connection
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
		heap, err := os.Create(strings.TrimSuffix(file, ".pprof") + "-heap.pprof")
		if err != nil {
			return err
		}
		defer heap.Close()
		defer pprof.WriteHeapProfile(heap)
	}
	var p plain
	beats, open := p.beats.Load, p.open.Load
	var handler http.Handler
	switch name {
	case "gorilla":
		handler = p.gorilla(every)
	case "coder":
		handler = p.coder(every)
	case "pulsering":
		s, err := link.NewServer(link.Config{Interval: every})
		if err != nil {
			return err
		}
		beats, open = s.Stats().Beats.Load, s.Stats().Connections.Load
		handler = &ws.Handler{Server: s}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	go http.Serve(l, handler)
	if err := json.NewEncoder(out).Encode(sample{Addr: l.Addr().String()}); err != nil {
		return err
	}
	return answer(in, out, func(string) (sample, error) {
		return sample{Beats: beats(), Open: int(open())}, nil
	})
}

// plain is a server as people write it with a WebSocket library and nothing else.
type plain struct {
	beats atomic.Uint64
	open  atomic.Int64
}

// gorilla has two goroutines for each connection, one of which has a ticker: as the library's chat
// example, with its buffers and deadlines, but without the channel of messages, which are none
// here.
func (p *plain) gorilla(every time.Duration) http.Handler {
	const writeWait = 10 * time.Second
	pongWait := every * 10 / 9
	pongWait = max(pongWait, 10*time.Second) // no connection is to end: this is about cost
	up := gorilla.Upgrader{ReadBufferSize: 1024, WriteBufferSize: 1024}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		p.open.Add(1)
		go func() {
			time.Sleep(rand.N(every)) // so that those who came together do not beat together
			ticker := time.NewTicker(every)
			defer func() {
				ticker.Stop()
				c.Close()
			}()
			for range ticker.C {
				c.SetWriteDeadline(time.Now().Add(writeWait))
				if err := c.WriteMessage(gorilla.PingMessage, nil); err != nil {
					return
				}
			}
		}()
		go func() {
			defer func() {
				p.open.Add(-1)
				c.Close()
			}()
			c.SetReadLimit(512)
			c.SetReadDeadline(time.Now().Add(pongWait))
			c.SetPongHandler(func(string) error {
				p.beats.Add(1)
				return c.SetReadDeadline(time.Now().Add(pongWait))
			})
			for {
				if _, _, err := c.ReadMessage(); err != nil {
					return
				}
			}
		}()
	})
}

// coder has a handler with a ticker for each connection, and the goroutine of CloseRead, without
// which no answer is read.
func (p *plain) coder(every time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := coder.Accept(w, r, nil)
		if err != nil {
			return
		}
		p.open.Add(1)
		defer p.open.Add(-1)
		defer c.CloseNow()
		ctx := c.CloseRead(context.Background())
		time.Sleep(rand.N(every))
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
			ping, cancel := context.WithTimeout(ctx, 10*time.Second)
			err := c.Ping(ping)
			cancel()
			if err != nil && !errors.Is(err, context.Canceled) {
				return
			}
			p.beats.Add(1)
		}
	})
}
