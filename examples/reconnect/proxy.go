package main

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// proxy passes connections on to a server, as routers with NAT and load balancers do. It forgets a
// connection on which nothing was said for a while: from then on it drops what either end says, and
// tells neither. Each end's own kernel goes on believing in the connection.
type proxy struct {
	listener net.Listener
	target   string
	idle     time.Duration
	forgot   func()

	mu    sync.Mutex
	pairs map[*pair]bool
	down  bool // no connection gets through
	wg    sync.WaitGroup
}

// pair is a connection's two halves.
type pair struct {
	halves    [2]net.Conn
	timer     *time.Timer
	forgotten atomic.Bool
}

// newProxy passes what comes to listener on to target until close.
func newProxy(listener net.Listener, target string, idle time.Duration, forgot func()) *proxy {
	p := &proxy{
		listener: listener, target: target, idle: idle, forgot: forgot, pairs: map[*pair]bool{},
	}
	p.wg.Go(p.accept)
	return p
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		if p.down {
			client.Close()
			server.Close()
		} else {
			p.add(&pair{halves: [2]net.Conn{client, server}})
		}
		p.mu.Unlock()
	}
}

// add needs p.mu.
func (p *proxy) add(c *pair) {
	p.pairs[c] = true
	c.timer = time.AfterFunc(p.idle, func() {
		c.forgotten.Store(true)
		p.forgot()
	})
	p.wg.Go(func() {
		var both sync.WaitGroup
		both.Go(func() { c.pass(0, p.idle) })
		both.Go(func() { c.pass(1, p.idle) })
		both.Wait()
		c.timer.Stop()
		p.mu.Lock()
		delete(p.pairs, c)
		p.mu.Unlock()
	})
}

// pass copies what half from says to the other one.
func (c *pair) pass(from int, idle time.Duration) {
	buf := make([]byte, 4096)
	for {
		n, err := c.halves[from].Read(buf)
		if !c.forgotten.Load() {
			c.timer.Reset(idle)
			c.halves[1-from].Write(buf[:n])
		}
		if err != nil {
			c.halves[from].Close()
			if !c.forgotten.Load() { // the other end of a forgotten one is not told
				c.halves[1-from].Close()
			}
			return
		}
	}
}

// cut ends all connections and lets none through until restore.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	for c := range p.pairs {
		c.halves[0].Close()
		c.halves[1].Close()
	}
}

func (p *proxy) restore() {
	p.mu.Lock()
	p.down = false
	p.mu.Unlock()
}

// close ends the proxy and all connections.
func (p *proxy) close() {
	p.listener.Close()
	p.cut()
	p.wg.Wait()
}
