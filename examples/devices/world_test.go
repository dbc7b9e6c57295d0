package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/tcp"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" { // this program is also the process of the devices
		os.Exit(childMain())
	}
	goleak.VerifyTestMain(m)
}

// wire is a listener in memory.
type wire struct {
	conns chan net.Conn
	over  chan struct{}
	once  sync.Once

	mu   sync.Mutex
	n    int
	down bool
	made []net.Conn
}

// end is an end of a connection in memory, whose other end is told from others.
type end struct {
	net.Conn
	name string
}

func (e end) RemoteAddr() net.Addr { return e }
func (e end) Network() string      { return "memory" }
func (e end) String() string       { return e.name }

func newWire() *wire { return &wire{conns: make(chan net.Conn), over: make(chan struct{})} }

func (w *wire) Addr() net.Addr { return end{} }

func (w *wire) Close() error {
	w.once.Do(func() { close(w.over) })
	return nil
}

func (w *wire) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.over:
		return nil, net.ErrClosed
	}
}

func (w *wire) dial(context.Context) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return nil, errors.New("the network is down")
	}
	w.n++
	a, b := net.Pipe()
	select {
	case w.conns <- end{b, fmt.Sprint("peer ", w.n)}:
		w.made = append(w.made, a)
		return a, nil
	case <-w.over:
		return nil, net.ErrClosed
	}
}

func (w *wire) transport(ctx context.Context) (link.Transport, error) {
	conn, err := w.dial(ctx)
	if err != nil {
		return nil, err
	}
	return tcp.New(conn, maxReport), nil
}

// set cuts all connections and lets none be made, or lets them again.
func (w *wire) set(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down = down; down {
		for _, c := range w.made {
			c.Close()
		}
		w.made = nil
	}
}

// world is a center, a gateway and devices in memory and in virtual time.
type world struct {
	*testing.T
	every, grace time.Duration
	center       *center
	gateway      *gateway
	up           *wire // from the gateway to the center
	fleet        *fleet

	mu     sync.Mutex
	events []link.Event
	wills  []will
}

const worldReport = time.Second

// inWorld tells a story. The devices are not on yet.
func inWorld(t *testing.T, devices int, every, grace time.Duration, story func(*world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, every: every, grace: grace, up: newWire()}
		var err error
		if w.center, err = newCenter(w.up, every); err != nil {
			t.Fatal(err)
		}
		defer func() { w.center.close() }()
		door := newWire()
		if w.gateway, err = newGateway(t.Context(), door, w.dialCenter, every, grace); err != nil {
			t.Fatal(err)
		}
		defer w.gateway.close()
		w.gateway.wills.subscribe(func(last will) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.wills = append(w.wills, last)
		})
		events := w.gateway.server.Events(w.gateway.ctx)
		w.gateway.wg.Go(func() {
			for e := range events {
				w.mu.Lock()
				w.events = append(w.events, e)
				w.mu.Unlock()
			}
		})
		w.fleet = newFleet(devices, every, door.dial)
		defer w.fleet.close()
		story(w)
	})
}

// dialCenter connects to the present center.
func (w *world) dialCenter(ctx context.Context) (link.Transport, error) {
	w.mu.Lock()
	up := w.up
	w.mu.Unlock()
	return up.transport(ctx)
}

// restartCenter has a center that knows nothing take the place of the present one.
func (w *world) restartCenter() {
	w.Helper()
	w.center.close()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.up = newWire()
	var err error
	if w.center, err = newCenter(w.up, w.every); err != nil {
		w.Fatal(err)
	}
}

// on switches all devices on.
func (w *world) on() {
	w.Helper()
	w.fleet.start(func(err error) {
		if err != nil {
			w.Error(err)
		}
	})
}

func (w *world) order(do deed, numbers ...int) {
	w.Helper()
	o := order{Do: do}
	for _, n := range numbers {
		o.Devices = append(o.Devices, nameOf(n))
	}
	if err := w.fleet.do(o); err != nil {
		w.Fatal(err)
	}
	synctest.Wait()
}

// pass lets time go by, with a report each second.
func (w *world) pass(d time.Duration) {
	w.Helper()
	for until := time.Now().Add(d); time.Now().Before(until); {
		time.Sleep(worldReport)
		if _, err := w.gateway.report(time.Now()); err != nil {
			w.Fatal(err)
		}
		synctest.Wait()
	}
}

// saw returns the events of a state.
func (w *world) saw(state link.State) (list []link.Event) {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Session.State == state {
			list = append(list, e)
		}
	}
	return list
}

func (w *world) delivered() []will {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wills
}
