package nat

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/tcp"
)

// forgets is how a path forgets.
type forgets uint8

const (
	dropping  forgets = iota // what comes afterwards is lost
	resetting                // what comes afterwards is answered with a reset
	closing                  // the path closes the connection at its limit
	deafening                // what the server says waits until the client says something
)

// world is a server, and a path to it that forgets, in memory and in virtual time.
type world struct {
	cfg link.Config // of the servers
	t   *testing.T
	wg  sync.WaitGroup

	mu     sync.Mutex
	server *link.Server
	limit  time.Duration // 0: none
	how    forgets
	down   bool
	dials  int
	open   int
	most   int // that were open at a time
	pipes  map[net.Conn]bool
	paths  map[*path]bool
}

// inWorld tells a story that begins with a path that forgets.
func inWorld(t *testing.T, how forgets, limit time.Duration, story func(*testing.T, *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, limit: limit, how: how, pipes: map[net.Conn]bool{}, paths: map[*path]bool{}}
		w.start()
		defer w.wg.Wait()
		defer w.stop()
		story(t, w)
	})
}

// start starts a server process, in the place of the one before.
func (w *world) start() {
	server, err := link.NewServer(w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	before := w.server
	w.server, w.down = server, false
	w.mu.Unlock()
	if before != nil {
		w.cut()
		before.Close()
	}
}

// stop ends the server process: nobody is told, as when it is killed.
func (w *world) stop() {
	w.mu.Lock()
	w.down = true
	w.mu.Unlock()
	w.cut()
	w.server.Close()
}

// cut ends all connections.
func (w *world) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.pipes {
		c.Close()
	}
}

func (w *world) set(how forgets, limit time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.how, w.limit = how, limit
}

func (w *world) count() (dials, most int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dials, w.most
}

// dial is a link.Dialer.
func (w *world) dial(context.Context) (link.Transport, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dials++; w.down {
		return nil, syscall.ECONNREFUSED
	}
	w.open++
	w.most = max(w.most, w.open)
	client, outer := net.Pipe()
	inner, server := net.Pipe()
	w.pipes[outer], w.pipes[inner] = true, true
	p := &path{w: w, ends: [2]net.Conn{outer, inner}, last: time.Now(), how: w.how, limit: w.limit}
	w.paths[p] = true
	if p.limit > 0 && p.how == closing {
		p.timer = time.AfterFunc(p.limit, p.cut)
	}
	s := w.server
	w.wg.Go(func() { s.Serve(context.Background(), tcp.NewServer(server, 0)) })
	w.wg.Go(p.run)
	return tcp.New(&socket{Conn: client, w: w}, 0), nil
}

// socket counts the connections that a client has open.
type socket struct {
	net.Conn
	w    *world
	once sync.Once
}

func (s *socket) Close() error {
	s.once.Do(func() {
		s.w.mu.Lock()
		defer s.w.mu.Unlock()
		s.w.open--
	})
	return s.Conn.Close()
}

// left is how many connections a client has open.
func (w *world) left() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open
}

// path carries one connection: ends[0] is the client's side.
type path struct {
	w     *world
	asked time.Duration // what its hello wants, once it came
	how   forgets
	limit time.Duration
	ends  [2]net.Conn
	timer *time.Timer

	mu     sync.Mutex
	last   time.Time // when something was said
	forgot bool
	held   []byte // what a deaf path keeps back
}

func (p *path) cut() {
	p.ends[0].Close()
	p.ends[1].Close()
}

func (p *path) run() {
	var both sync.WaitGroup
	both.Go(func() { p.carry(0) })
	both.Go(func() { p.carry(1) })
	both.Wait()
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	delete(p.w.pipes, p.ends[0])
	delete(p.w.pipes, p.ends[1])
	delete(p.w.paths, p)
}

// carry passes on what one end says.
func (p *path) carry(from int) {
	defer p.cut()
	buf := make([]byte, 4096)
	for {
		n, err := p.ends[from].Read(buf)
		if err != nil {
			return
		}
		if _, ms, ok := strings.Cut(string(buf[:n]), `"sleep_ms":`); ok && from == 0 {
			var asked int64
			fmt.Sscan(strings.TrimRight(ms, "}"), &asked)
			p.w.mu.Lock()
			p.asked = time.Duration(asked) * time.Millisecond
			p.w.mu.Unlock()
		}
		pass, end := p.pass(from, buf[:n])
		if end {
			return
		}
		if _, err := p.ends[1-from].Write(pass); err != nil {
			return
		}
	}
}

// pass is what becomes of b.
func (p *path) pass(from int, b []byte) (on []byte, end bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limit > 0 && time.Since(p.last) > p.limit {
		p.forgot = true
	}
	p.last = time.Now()
	if p.timer != nil {
		p.timer.Reset(p.limit)
	}
	switch {
	case !p.forgot:
		return b, false
	case p.how == resetting:
		return nil, true
	case p.how == dropping:
		return nil, false
	case from == 1: // deaf
		p.held = append(p.held, b...)
		return nil, false
	}
	p.forgot = false
	if p.held != nil { // the retransmission that now comes through
		held := p.held
		p.held = nil
		p.w.wg.Go(func() { p.ends[0].Write(held) })
	}
	return b, false
}

// restless is a Transport without a method Quiet.
type restlessTransport struct{ link.Transport }

var errCable = errors.New("no cable")

// near tells whether two times are about the same.
func about(got, want, slack time.Duration) error {
	if d := got - want; d.Abs() > slack {
		return fmt.Errorf("%v, want %v", got, want)
	}
	return nil
}
