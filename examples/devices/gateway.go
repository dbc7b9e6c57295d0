package main

import (
	"context"
	"errors"
	"iter"
	"log"
	"net"
	"sync"
	"time"

	"github.com/pulsering/pulsering/detector/link"
)

const (
	// willMessage is what a message of a device begins with that is its last will.
	willMessage = 'W'
	// maxMessage and maxReport bound the messages of devices and of gateways, in bytes.
	maxMessage = maxWill + 1
	maxReport  = 4 << 20
)

// gateway holds the connections of devices, keeps their last wills, and reports to a center.
type gateway struct {
	server   *link.Server
	wills    *wills
	center   *link.Client
	listener net.Listener
	grace    time.Duration

	reporting sync.Mutex // held while a report is made
	reporter  *reporter

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// newGateway hears devices on listener, until close, and reports to the center that dial connects
// to. every is how far apart beats are at least. grace is for how long a device may be away; it has
// to be longer than any sleep, as who sleeps does not know that its connection has ended.
func newGateway(
	ctx context.Context, listener net.Listener, dial link.Dialer, every, grace time.Duration,
) (*gateway, error) {
	g := &gateway{wills: newWills(), listener: listener, grace: grace, reporter: newReporter(time.Now())}
	var err error
	g.server, err = link.NewServer(link.Config{
		Interval: every, Grace: grace, MaxMessage: maxMessage, MaxSessions: maxDevices, Receive: g.receive,
	})
	if err != nil {
		return nil, err
	}
	// One report of all devices may wait, or a few minutes of them: older ones are of no use.
	up := link.Config{Session: "gateway", MaxMessage: maxReport, MaxWaiting: maxReport}
	g.center, err = link.Dial(ctx, up, dial)
	if err != nil {
		g.server.Close()
		return nil, err
	}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	deaths, doubts, center := g.server.Events(g.ctx), g.server.Events(g.ctx), g.center.Events(g.ctx)
	g.wg.Go(func() { g.wills.follow(deaths) })
	g.wg.Go(func() { g.ask(doubts) })
	g.wg.Go(func() {
		for e := range center {
			if e.Session.State == link.Gone { // it knows nothing of what it was told
				g.forget()
			}
		}
	})
	g.wg.Go(func() { accept(listener, g.server, maxMessage) })
	return g, nil
}

// receive takes a message of a device.
func (g *gateway) receive(session string, data []byte) {
	if len(data) == 0 || data[0] != willMessage {
		return // of a later version
	}
	if err := g.wills.say(session, data[1:], time.Now()); err != nil {
		log.Printf("%s: %v", session, err)
	}
}

// ask sends a message to each device that is suspect. Nobody answers it. But the kernel tells of
// what was sent whether it was acknowledged, and so whether the device hangs or its path is lost;
// of a connection on which nothing is sent it knows nothing.
func (g *gateway) ask(events iter.Seq[link.Event]) {
	for e := range events {
		if e.Session.State == link.Suspect {
			g.server.Send(e.Session.ID, []byte("are you there?"))
		}
	}
}

// report tells the center what is new at now, and returns the sessions as they are.
func (g *gateway) report(now time.Time) ([]link.Session, error) {
	g.reporting.Lock()
	defer g.reporting.Unlock()
	sessions := g.server.Sessions()
	news, err := g.reporter.next(sessions, now).encode()
	if err != nil {
		return sessions, err
	}
	if err := g.center.Send(news); err != nil {
		g.reporter = newReporter(g.reporter.begun) // it is told everything anew
		if errors.Is(err, link.ErrBehind) {
			err = nil // it is away for so long: it hears when it is back
		}
		return sessions, err
	}
	return sessions, nil
}

func (g *gateway) forget() {
	g.reporting.Lock()
	defer g.reporting.Unlock()
	g.reporter = newReporter(g.reporter.begun)
}

// close ends all connections, and returns when nothing is left.
func (g *gateway) close() {
	g.listener.Close()
	g.center.Close()
	g.server.Close()
	g.cancel()
	g.wg.Wait()
}
