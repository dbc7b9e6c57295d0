package link_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/detector/link"
)

// A client that has nothing but text tells its state in beats of its own, and one that asks for no pings is judged by them.
func TestTextBeats(t *testing.T) {
	for _, oneWay := range []bool{false, true} {
		t.Run(fmt.Sprintf("oneWay=%v", oneWay), func(t *testing.T) {
			inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
				act := answer
				if oneWay {
					act = silent
				}
				p := h.peer(act)
				p.say(`{"type":"hello","session":"page","one_way":%v,"every_ms":1000}`, oneWay)
				for i := range 60 {
					time.Sleep(time.Second)
					p.say(`{"type":"beat","seq":%d,"every_ms":1000,"state":"x=%d"}`, i+1, i)
				}
				synctest.Wait()
				if s, _ := h.server.Session("page"); string(s.State64) != "x=59" || s.State != link.Up {
					t.Errorf("session %v with state %q, want up with x=59", s.State, s.State64)
				}
				if beats := h.server.Stats().Beats.Load(); beats < 60 {
					t.Errorf("%d beats were samples", beats)
				}
				h.want("page up ")
				if oneWay {
					time.Sleep(10 * time.Second)
					h.want("page up ", "page suspect silent", "page away silent")
				}
			})
		})
	}
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		p := h.peer(answer)
		p.say(`{"type":"beat","state":"%065d"}`, 0)
		p.wantClose(link.CodeProtocol, "state of 65 bytes", "64")
	})
}

// late is a connection whose writes take a while, in order.
type late struct {
	net.Conn
	by func() time.Duration
}

func (l late) Write(b []byte) (int, error) {
	time.Sleep(l.by())
	return l.Conn.Write(b)
}

// Drift is how late the latest beat was, whatever the way takes at least, and the clocks say.
func TestDrift(t *testing.T) {
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		extra := time.Duration(0)
		wrap := func(c net.Conn) net.Conn {
			return late{c, func() time.Duration { return 70*time.Millisecond + extra }}
		}
		p := h.peer(silent, wrap)
		p.say(`{"type":"hello","session":"ann","one_way":true,"every_ms":1000}`)
		clock := 17 * time.Hour // its own
		begin := time.Now()
		beats := func(n int) time.Duration {
			for i := range n {
				time.Sleep(time.Until(begin.Add(time.Duration(i+1) * time.Second)))
				p.Write(link.Frame{Type: link.Pong, Payload: beat(t, link.Beat{
					OneWay: true, Every: time.Second, Seq: uint64(i + 1), Sent: clock + time.Since(begin),
				})})
			}
			begin = begin.Add(time.Duration(n) * time.Second)
			clock += time.Duration(n) * time.Second
			synctest.Wait()
			s, _ := h.server.Session("ann")
			return s.Drift
		}
		extra = 0
		if got := beats(30); got != 0 {
			t.Errorf("a way that takes 70 ms each time drifts by %v", got)
		}
		extra = 40 * time.Millisecond
		if got := beats(30); got != extra {
			t.Errorf("a way that takes %v longer drifts by %v", extra, got)
		}
		if got := beats(180); got != 0 {
			t.Errorf("after three minutes that is the way, and it drifts by %v", got)
		}
		extra = rand.N(500 * time.Millisecond)
		if got := beats(1); got != max(0, extra-40*time.Millisecond) {
			t.Errorf("once %v longer, it drifts by %v", extra-40*time.Millisecond, got)
		}
	})
}

// What a client that beats one way sends is acknowledged, though it gets no pings: it may send for ever.
func TestOneWayMessagesAreAcknowledged(t *testing.T) {
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		c := h.client(link.Config{Session: "ann", OneWay: true})
		for i := range 40 {
			if i == 20 {
				h.cut()
				time.Sleep(10 * time.Second)
			}
			if err := c.Send(make([]byte, 1<<20)); err != nil {
				t.Fatalf("message %d: %v", i+1, err)
			}
			time.Sleep(time.Minute)
		}
		if got := len(h.messages()); got != 40 {
			t.Errorf("%d messages came", got)
		}
	})
}

// The end of a session tells whether it was a goodbye, of either end, also where there is no grace.
func TestGoneTellsAGoodbye(t *testing.T) {
	for name, story := range map[string]struct {
		grace   time.Duration
		end     func(*harbour, *link.Client)
		goodbye bool
	}{
		"the client's":  {0, func(_ *harbour, c *link.Client) { c.Close() }, true},
		"the server's":  {0, func(h *harbour, _ *link.Client) { h.server.End("ann") }, true},
		"a crash":       {0, func(h *harbour, _ *link.Client) { h.setShut(true); h.cut() }, false},
		"without grace": {-1, func(h *harbour, _ *link.Client) { h.setShut(true); h.cut() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			inHarbour(t, link.Config{Grace: story.grace}, func(t *testing.T, h *harbour) {
				c := h.client(link.Config{Session: "ann"})
				events := h.server.Events(t.Context())
				told := make(chan bool, 1)
				go func() {
					for e := range events {
						if e.Session.State == link.Gone {
							told <- e.Goodbye
							return
						}
					}
				}()
				story.end(h, c)
				if got := <-told; got != story.goodbye {
					t.Errorf("goodbye: %v, want %v", got, story.goodbye)
				}
			})
		})
	}
}
