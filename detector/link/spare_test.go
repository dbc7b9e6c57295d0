package link_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/tcp"
)

// A spare connection sleeps: the server says nothing on it, and tells nobody of it. Then it speaks,
// answers, and ends it.
func TestSpareSleeps(t *testing.T) {
	inHarbour(t, link.Config{Interval: 100 * time.Millisecond}, func(t *testing.T, h *harbour) {
		p := h.peer(silent)
		p.say(`{"type":"hello","v":1,"sleep_ms":1800000}`)
		if w := p.told("welcome"); w["sleep_ms"] != 1800000. || w["boot"] == nil || w["session"] != nil {
			t.Fatalf("welcome %v", w)
		}
		frames := len(p.got(link.Text)) + len(p.got(link.Ping))
		time.Sleep(1800*time.Second - time.Millisecond)
		if n := len(p.got(link.Text)) + len(p.got(link.Ping)); n != frames {
			t.Errorf("the server said something %d times in the sleep", n-frames)
		}
		time.Sleep(2 * time.Millisecond)
		if w := p.told("wake"); w["after_ms"] != 1800000. {
			t.Errorf("wake %v", w)
		}
		p.say("PING 7")
		if texts := p.got(link.Text); string(texts[len(texts)-1].Payload) != "PONG 7" {
			t.Errorf("%s", texts[len(texts)-1].Payload)
		}
		if len(h.server.Sessions()) != 0 || len(h.events) != 0 {
			t.Errorf("sessions %v, events %v", h.server.Sessions(), h.events)
		}
		time.Sleep(62 * time.Second)
		p.wantClose(link.CodeGoingAway, "end")
		if n := h.server.Stats().Connections.Load(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// A spare connection is for nothing else.
func TestSpareSaysOtherThings(t *testing.T) {
	for what, say := range map[string]func(*peer){
		"a message":      func(p *peer) { p.send(1, "x") },
		"a second hello": func(p *peer) { p.say(`{"type":"hello","v":1}`) },
		"a long PING":    func(p *peer) { p.say("PING %0200d", 7) },
	} {
		inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
			p := h.peer(silent)
			p.say(`{"type":"hello","v":1,"sleep_ms":60000}`)
			say(p)
			time.Sleep(2 * time.Second)
			p.wantClose(link.CodeProtocol, "PING")
			if len(h.server.Sessions()) != 0 {
				t.Errorf("%s: sessions %v", what, h.server.Sessions())
			}
		})
	}
}

// Spare connections are bounded, and counted. Who is one too many is told, and may try again.
func TestTooManySpares(t *testing.T) {
	inHarbour(t, link.Config{MaxSpares: 2}, func(t *testing.T, h *harbour) {
		spares := func() int64 { return h.server.Stats().Spares.Load() }
		var held []*peer
		for range 2 {
			p := h.peer(silent)
			p.say(`{"type":"hello","v":1,"sleep_ms":60000}`)
			held = append(held, p)
		}
		third := h.peer(silent)
		third.say(`{"type":"hello","v":1,"sleep_ms":60000}`)
		time.Sleep(2 * time.Second)
		third.wantClose(link.CodeTryAgain, "2 spare connections", "MaxSpares")
		if n, refused := spares(), h.server.Stats().Refused.Load(); n != 2 || refused != 1 {
			t.Errorf("%d spare connections, %d refused; want 2 and 1", n, refused)
		}
		for _, p := range held {
			p.wantOpen()
		}
		held[0].pipe.Close()
		synctest.Wait()
		fourth := h.peer(silent)
		fourth.say(`{"type":"hello","v":1,"sleep_ms":60000}`)
		if fourth.told("welcome") == nil {
			t.Error("a spare connection ended, and there is no room for another")
		}
		time.Sleep(3 * time.Minute)
		if n := spares(); n != 0 {
			t.Errorf("%d spare connections are left", n)
		}
	})
}

// A sleep has a limit, which the error names.
func TestSpareOutOfRange(t *testing.T) {
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		p := h.peer(silent)
		p.say(`{"type":"hello","v":1,"sleep_ms":3600001}`)
		time.Sleep(2 * time.Second)
		p.wantClose(link.CodeProtocol, "sleep_ms", "3600001", "3600000")
	})
}

// The server ends while connections sleep: it waits for none of them.
func TestServerEndsBeforeTheSleep(t *testing.T) {
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		p := h.peer(silent)
		p.say(`{"type":"hello","v":1,"sleep_ms":3600000}`)
		begin := time.Now()
		h.server.Close()
		if d := time.Since(begin); d > 2*time.Second {
			t.Errorf("Close took %v", d)
		}
		p.wantClose(link.CodeGoingAway, "goes away")
	})
}

// plainTransport has no method Quiet.
type plainTransport struct{ link.Transport }

// Where a connection cannot sleep undisturbed the client is told, and measures nothing.
func TestSpareOnARestlessTransport(t *testing.T) {
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		a, b := net.Pipe()
		h.wg.Go(func() { h.server.Serve(context.Background(), plainTransport{tcp.NewServer(b, 0)}) })
		client := tcp.New(a, 0)
		defer client.Close()
		frames := make(chan link.Frame, 8)
		h.wg.Go(func() {
			for {
				f, err := client.Read()
				if err != nil {
					return
				}
				frames <- f
				if f.Type == link.Close {
					client.Close()
				}
			}
		})
		client.Write(link.Frame{Type: link.Text, Payload: []byte(`{"type":"hello","v":1,"sleep_ms":60000}`)})
		synctest.Wait()
		for f := range frames {
			if f.Type == link.Close {
				if f.Code != link.CodeRestless {
					t.Error(fmt.Sprint(f.Code, string(f.Payload)))
				}
				return
			}
		}
	})
}
