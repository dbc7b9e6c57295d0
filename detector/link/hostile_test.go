package link_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/detector"
	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/tcp"
)

// peer is a client by hand. It reads all the time and notes what came.
type peer struct {
	*tcp.Conn
	t    *testing.T
	pipe net.Conn

	mu     sync.Mutex
	frames []link.Frame
}

// peer connects a client by hand, whose socket may be wrapped.
func (h *harbour) peer(act func(*peer, link.Frame), wrap ...func(net.Conn) net.Conn) *peer {
	h.mu.Lock()
	a, b := net.Pipe()
	server := h.server
	h.pipes = append(h.pipes, a)
	h.mu.Unlock()
	h.wg.Go(func() {
		err := server.Serve(context.Background(), tcp.NewServer(b, 64<<20))
		h.mu.Lock()
		h.ends = append(h.ends, fmt.Sprint(err))
		h.mu.Unlock()
	})
	for _, w := range wrap {
		a = w(a)
	}
	p := &peer{Conn: tcp.New(a, 64<<20), t: h.t, pipe: a}
	if act == nil {
		act = answer
	}
	h.wg.Go(func() {
		for {
			f, err := p.Read()
			if err != nil {
				a.Close()
				return
			}
			f.Payload = bytes.Clone(f.Payload)
			p.mu.Lock()
			p.frames = append(p.frames, f)
			p.mu.Unlock()
			if f.Type == link.Close {
				a.Close()
				return
			}
			act(p, f)
		}
	})
	return p
}

func answer(p *peer, f link.Frame) {
	if f.Type == link.Ping {
		p.Write(link.Frame{Type: link.Pong, Payload: f.Payload})
	}
}

func silent(*peer, link.Frame) {}

// say sends a message of the protocol.
func (p *peer) say(format string, args ...any) {
	p.Write(link.Frame{Type: link.Text, Payload: fmt.Appendf(nil, format, args...)})
	synctest.Wait()
}

// send sends a message with a number.
func (p *peer) send(seq uint64, text string) {
	p.Write(link.Frame{Type: link.Data, Payload: append(binary.AppendUvarint(nil, seq), text...)})
	synctest.Wait()
}

func (p *peer) got(t link.FrameType) (list []link.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.frames {
		if f.Type == t {
			list = append(list, f)
		}
	}
	return list
}

// told returns the latest message of the protocol of a type.
func (p *peer) told(kind string) (m map[string]any) {
	for _, f := range p.got(link.Text) {
		var one map[string]any
		if json.Unmarshal(f.Payload, &one) == nil && one["type"] == kind {
			m = one
		}
	}
	return m
}

// wantClose checks that this end was told why the connection ends.
func (p *peer) wantClose(code uint16, words ...string) {
	p.t.Helper()
	synctest.Wait()
	list := p.got(link.Close)
	if len(list) != 1 || list[0].Code != code {
		p.t.Errorf("close frames %v, want one with code %d", list, code)
		return
	}
	for _, w := range words {
		if !strings.Contains(string(list[0].Payload), w) {
			p.t.Errorf("the reason is %q, without %q", list[0].Payload, w)
		}
	}
}

// wantOpen checks that the connection lasts.
func (p *peer) wantOpen() {
	p.t.Helper()
	synctest.Wait()
	if list := p.got(link.Close); len(list) > 0 {
		p.t.Errorf("closed: %d %s", list[0].Code, list[0].Payload)
	}
}

// paced is a socket that is read, and written to, at so many bytes a second.
type paced struct {
	net.Conn
	rate, writeRate int
}

func (s *paced) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b[:min(len(b), 4096)])
	if s.rate > 0 {
		time.Sleep(time.Second * time.Duration(n) / time.Duration(s.rate))
	}
	return n, err
}

func (s *paced) Write(b []byte) (total int, err error) {
	for len(b) > 0 && err == nil {
		piece := b[:min(len(b), 4096)]
		if s.writeRate > 0 {
			piece = b[:min(len(b), max(1, s.writeRate/10))]
			time.Sleep(time.Second * time.Duration(len(piece)) / time.Duration(s.writeRate))
		}
		var n int
		n, err = s.Conn.Write(piece)
		total, b = total+n, b[n:]
	}
	return total, err
}

func reading(rate int) func(net.Conn) net.Conn {
	return func(c net.Conn) net.Conn { return &paced{Conn: c, rate: rate} }
}

func writing(rate int) func(net.Conn) net.Conn {
	return func(c net.Conn) net.Conn { return &paced{Conn: c, writeRate: rate} }
}

// Messages come in bursts, which reset the clock and teach φ nothing. TestSamplesAreBeatsOnly shows what they would do.
func TestBurstsAreNoSamples(t *testing.T) {
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		all, err := detector.New[string](detector.Config{Interval: link.DefaultInterval, FalseAlarmEvery: link.DefaultFalseAlarmEvery})
		if err != nil {
			t.Fatal(err)
		}
		defer all.Close()
		all.Watch("ann", 0)
		var wrong atomic.Int64
		events := all.Events(t.Context())
		h.wg.Go(func() {
			for e := range events {
				if e.To == detector.Suspect || e.To == detector.Down {
					wrong.Add(1)
				}
			}
		})
		var silent atomic.Bool
		p := h.peer(func(p *peer, f link.Frame) {
			if silent.Load() {
				return
			}
			if f.Type == link.Ping {
				time.Sleep(20 * time.Millisecond)
				all.Heartbeat("ann")
			}
			answer(p, f)
		})
		p.say(`{"type":"hello","session":"ann"}`)
		rng := rand.New(rand.NewPCG(1, 2))
		seq := uint64(0)
		for begin := time.Now(); time.Since(begin) < 20*time.Minute; {
			time.Sleep(time.Duration(rng.IntN(20_000)) * time.Millisecond)
			for range 1 + rng.IntN(1000) {
				time.Sleep(time.Duration(1+rng.IntN(10)) * time.Millisecond)
				seq++
				all.Heartbeat("ann")
				p.Write(link.Frame{Type: link.Data, Payload: append(binary.AppendUvarint(nil, seq), "x"...)})
			}
		}
		h.want("ann up ")
		if n := h.server.Stats(); n.Beats.Load() != n.Pings.Load() {
			t.Errorf("%d samples from %d pings", n.Beats.Load(), n.Pings.Load())
		}
		begin, mistaken := time.Now(), wrong.Load()
		silent.Store(true)
		var found, slowly time.Duration
		for (found == 0 || slowly == 0) && time.Since(begin) < 2*time.Minute {
			time.Sleep(10 * time.Millisecond)
			if s, _ := h.server.Session("ann"); s.State == link.Away && found == 0 {
				found = time.Since(begin)
			}
			if state, _ := all.State("ann"); state == detector.Down && slowly == 0 {
				slowly = time.Since(begin)
			}
		}
		t.Logf("20 minutes with %d messages: no suspicion, and silence is found after %v; with messages as samples: %d suspicions, %v", seq, found, mistaken, slowly)
		if found == 0 || found > 6*time.Second {
			t.Errorf("silence is found after %v", found)
		}
	})
}

// A message of 64 MB to one who takes 1 MB a second (in short, an eighth of both): pings go between its pieces, and nobody is suspected, even where they are
// not answered while it lasts.
func TestPingsGoBetweenPieces(t *testing.T) {
	size, rate := 64<<20, 1<<20
	if testing.Short() {
		size, rate = size/8, rate/8
	}
	for _, answers := range []bool{true, false} {
		t.Run(fmt.Sprintf("answers=%v", answers), func(t *testing.T) {
			inHarbour(t, link.Config{MaxMessage: 64 << 20}, func(t *testing.T, h *harbour) {
				var quiet atomic.Bool
				p := h.peer(func(p *peer, f link.Frame) {
					if !quiet.Load() {
						answer(p, f)
					}
				}, reading(rate))
				p.say(`{"type":"hello","session":"ann"}`)
				time.Sleep(5 * time.Second)
				quiet.Store(!answers)
				before := len(p.got(link.Ping))
				if err := h.server.Send("ann", make([]byte, size)); err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				for len(p.got(link.Data)) == 0 && time.Since(begin) < 2*time.Minute {
					time.Sleep(100 * time.Millisecond)
				}
				took, pings := time.Since(begin), len(p.got(link.Ping))-before
				t.Logf("%d MB in %v, with %d pings in between", size>>20, took, pings)
				if took < 60*time.Second || took > 80*time.Second || pings < 60 {
					t.Error("want 64 s, with a ping each second")
				}
				h.want("ann up ")
				if s, _ := h.server.Session("ann"); answers && (s.RTT == 0 || s.RTT > 500*time.Millisecond) {
					t.Errorf("the answer to a ping took %v: its clock starts when it is written", s.RTT)
				}
				p.pipe.Close()
			})
		})
	}
}

// Who stops reading in the middle of a message is found as soon as anybody else.
func TestStalledReaderIsFound(t *testing.T) {
	inHarbour(t, link.Config{MaxMessage: 64 << 20}, func(t *testing.T, h *harbour) {
		stop := make(chan struct{})
		p := h.peer(nil, func(c net.Conn) net.Conn { return &stalling{Conn: c, after: 3 << 20, stop: stop} })
		p.say(`{"type":"hello","session":"ann"}`)
		time.Sleep(30 * time.Second)
		h.server.Send("ann", make([]byte, 64<<20))
		begin := time.Now()
		for len(h.told()) < 3 && time.Since(begin) < time.Minute {
			time.Sleep(10 * time.Millisecond)
		}
		t.Logf("away after %v", time.Since(begin))
		h.want("ann up ", "ann suspect silent", "ann away silent")
		if d := time.Since(begin); d > 15*time.Second {
			t.Errorf("found after %v", d)
		}
		close(stop)
	})
}

// stalling stops being read after so many bytes.
type stalling struct {
	net.Conn
	after int
	stop  chan struct{}
}

func (s *stalling) Read(b []byte) (int, error) {
	if s.after <= 0 {
		<-s.stop
		return 0, io.EOF
	}
	n, err := s.Conn.Read(b)
	s.after -= n
	return n, err
}

// A message of 8 MB comes in one piece at 1 MB a second, and no pong can come meanwhile: the bytes are life enough. A byte
// a second is not.
func TestBytesOfAMessageAreLife(t *testing.T) {
	inHarbour(t, link.Config{MaxMessage: 64 << 20}, func(t *testing.T, h *harbour) {
		var quiet atomic.Bool
		p := h.peer(func(p *peer, f link.Frame) {
			if !quiet.Load() {
				answer(p, f)
			}
		}, writing(1<<20))
		p.say(`{"type":"hello","session":"ann"}`)
		time.Sleep(30 * time.Second)
		quiet.Store(true)
		const size = 8 << 20
		frame := append([]byte{1, byte(link.Data)}, binary.BigEndian.AppendUint32(nil, size)...)
		frame = append(frame, make([]byte, size)...)
		frame[6] = 1 // its number
		done := make(chan struct{})
		h.wg.Go(func() { p.pipe.Write(frame); close(done) }) // past Conn.Write, and so in one piece
		<-done
		synctest.Wait()
		h.want("ann up ")
		if got := h.messages(); len(got) != 1 || len(got[0]) != size-1+len("ann: ") {
			t.Errorf("%d messages", len(got))
		}
	})
}

func TestSlowLorisIsFound(t *testing.T) {
	for _, hello := range []bool{true, false} {
		t.Run(fmt.Sprintf("hello=%v", hello), func(t *testing.T) {
			inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
				p := h.peer(silent)
				if hello {
					p.say(`{"type":"hello","session":"ann"}`)
				}
				frame := append([]byte{1, byte(link.Data), 0, 1, 0, 0}, make([]byte, 1<<16)...)
				begin := time.Now()
				for _, b := range frame {
					if _, err := p.pipe.Write([]byte{b}); err != nil {
						break
					}
					time.Sleep(time.Second)
				}
				t.Logf("ended after %v", time.Since(begin))
				if d := time.Since(begin); d > 20*time.Second {
					t.Errorf("a byte a second kept a connection for %v", d)
				}
				p.wantClose(link.CodeSilent, "nothing was heard")
				if n := h.server.Stats().Connections.Load(); n != 0 {
					t.Errorf("%d connections", n)
				}
			})
		})
	}
}

// Ten thousand connect and say nothing, and most do not read either.
func TestHalfOpenConnectionsEnd(t *testing.T) {
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		n := 10_000
		if testing.Short() {
			n = 500
		}
		var pipes []net.Conn
		var ends sync.WaitGroup
		for range n {
			a, b := net.Pipe()
			pipes = append(pipes, a)
			ends.Go(func() { h.server.Serve(context.Background(), tcp.NewServer(b, 0)) })
		}
		synctest.Wait()
		if got := h.server.Stats().Connections.Load(); got != int64(n) {
			t.Fatalf("%d connections", got)
		}
		goroutines := runtime.NumGoroutine()
		begin := time.Now()
		ends.Wait()
		t.Logf("%d connections, %d goroutines, ended after %v", n, goroutines, time.Since(begin))
		if d := time.Since(begin); d > 20*time.Second {
			t.Errorf("they ended after %v", d)
		}
		synctest.Wait()
		if s := h.server.Sessions(); len(s) != 0 || h.server.Stats().Connections.Load() != 0 {
			t.Errorf("%d sessions and %d connections are left", len(s), h.server.Stats().Connections.Load())
		}
		for _, p := range pipes {
			p.Close()
		}
		h.want()
	})
}

func TestAnswersNobodyAskedFor(t *testing.T) {
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		var quiet atomic.Bool
		p := h.peer(func(p *peer, f link.Frame) {
			if !quiet.Load() {
				answer(p, f)
				answer(p, f)
			}
		})
		p.say(`{"type":"hello","session":"ann"}`)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		n := h.server.Stats()
		if beats, unasked, pings := n.Beats.Load(), n.Unasked.Load(), n.Pings.Load(); beats != pings || unasked != pings {
			t.Errorf("%d pings, %d beats, %d answers that were not asked for; want as many of each", pings, beats, unasked)
		}
		quiet.Store(true) // what is counted from now on is what the lines below send
		synctest.Wait()
		beats, unasked := n.Beats.Load(), n.Unasked.Load()
		for _, payload := range [][]byte{nil, []byte("x"), beat(t, link.Beat{Seq: 1 << 40}), beat(t, link.Beat{}), beat(t, link.Beat{Seq: 1, OneWay: true}), make([]byte, 125)} {
			p.Write(link.Frame{Type: link.Pong, Payload: payload})
		}
		synctest.Wait()
		if n.Beats.Load() != beats || n.Unasked.Load() != unasked+5 { // a beat that was not asked for is none, and no answer
			t.Errorf("%d more beats, %d more unasked", n.Beats.Load()-beats, n.Unasked.Load()-unasked)
		}
		p.wantOpen()
		h.want("ann up ")
	})
}

func beat(t *testing.T, b link.Beat) []byte {
	p, err := link.AppendBeat(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A client that asks too often is told the rate, has time to follow, and is cut off if it does not, whichever way it asks.
func TestTooManyPings(t *testing.T) {
	for name, ask := range map[string]func(*peer){
		"ping":  func(p *peer) { p.Write(link.Frame{Type: link.Ping, Payload: []byte("x")}) },
		"text":  func(p *peer) { p.say("PING x") },
		"every": func(p *peer) { p.say(`{"type":"every","every_ms":2000}`) },
		"beat":  func(p *peer) { p.say(`{"type":"beat","state":"x"}`) },
		"one way": func(p *peer) {
			p.Write(link.Frame{Type: link.Pong, Payload: beat(p.t, link.Beat{OneWay: true, Sent: time.Second})})
		},
	} {
		t.Run(name, func(t *testing.T) {
			inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
				good, bad := h.peer(nil), h.peer(nil)
				good.say(`{"type":"hello","session":"good"}`)
				bad.say(`{"type":"hello","session":"bad"}`)
				begin := time.Now()
				var told time.Duration
				for len(bad.got(link.Close)) == 0 && time.Since(begin) < time.Minute {
					ask(bad)
					if !strings.HasPrefix(name, "every") {
						ask(good)
					}
					if bad.told("slower") != nil {
						if told == 0 {
							told = time.Since(begin)
							if ms := bad.told("slower")["every_ms"]; ms != 1000.0 {
								t.Errorf("told %v ms", ms)
							}
						}
						time.Sleep(200 * time.Millisecond)
						continue
					}
					time.Sleep(50 * time.Millisecond)
				}
				ended := time.Since(begin)
				t.Logf("told after %v, cut off after %v", told, ended)
				if told == 0 || ended < told+10*time.Second || ended > told+20*time.Second {
					t.Error("want it told at once, and cut off some 10 s later")
				}
				bad.wantClose(link.CodeTooFast, "once in 1s")
			})
		})
	}
	t.Run("follows", func(t *testing.T) {
		inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
			p := h.peer(nil)
			for range 20 {
				p.say("PING x")
			}
			if p.told("slower") == nil {
				t.Error("not told")
			}
			for range 300 {
				time.Sleep(time.Second)
				p.say("PING x")
			}
			p.wantOpen()
			if n := len(p.got(link.Text)); n < 320 {
				t.Errorf("%d answers", n)
			}
		})
	})
}

func TestResumeNeedsTheSecret(t *testing.T) {
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		ann := h.peer(nil)
		ann.say(`{"type":"hello","session":"ann"}`)
		secret := ann.told("welcome")["secret"]
		for _, hello := range []string{
			`{"type":"hello","session":"ann"}`, `{"type":"hello","session":"ann","secret":""}`, `{"type":"hello","session":"ann","secret":"AAAAAAAAAAAAAAAAAAAAAA"}`,
			`{"type":"hello","session":"ann","secret":"` + fmt.Sprint(secret) + `="}`,
		} {
			thief := h.peer(nil)
			thief.say("%s", hello)
			thief.wantClose(link.CodeWrongSecret, `"ann"`, "somebody else's")
		}
		ann.wantOpen()
		h.want("ann up ")
		again := h.peer(nil)
		again.say(`{"type":"hello","session":"ann","secret":"%s"}`, secret)
		ann.wantClose(link.CodeReplaced, "connected again")
		if w := again.told("welcome"); w["resumed"] != true {
			t.Errorf("%v", w)
		}
		h.want("ann up ", "ann resumed ")
		h.cut()
		time.Sleep(time.Second)
		thief := h.peer(nil)
		thief.say(`{"type":"hello","session":"ann"}`)
		thief.wantClose(link.CodeWrongSecret)
		h.want("ann up ", "ann resumed ", "ann away clean")
	})
}

// The reason of a close frame has room for 123 bytes: a long name is cut between characters, and the rest is said first.
func TestLongReasonsAreCutBetweenCharacters(t *testing.T) {
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		name := strings.Repeat("é", 64)
		h.peer(nil).say(`{"type":"hello","session":"%s"}`, name)
		thief := h.peer(nil)
		thief.say(`{"type":"hello","session":"%s"}`, name)
		thief.wantClose(link.CodeWrongSecret, "want the secret")
		if reason := string(thief.got(link.Close)[0].Payload); strings.ToValidUTF8(reason, "?") != reason || len(reason) > 123 {
			t.Errorf("%d bytes: %q", len(reason), reason)
		}
	})
}

func TestNumbersOfMessages(t *testing.T) {
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		p := h.peer(nil)
		p.say(`{"type":"hello","session":"ann"}`)
		p.send(1, "one")
		p.send(1, "one")
		p.send(2, "two")
		p.send(1, "one")
		if n := h.server.Stats().Duplicates.Load(); n != 2 {
			t.Errorf("%d duplicates", n)
		}
		p.send(4, "four")
		p.wantClose(link.CodeProtocol, "message 4, want 3")
		if got := h.messages(); !slices.Equal(got, []string{"ann: one", "ann: two"}) {
			t.Errorf("%q", got)
		}
	})
}

// An acknowledgement of a message that was not sent is counted, and nothing is forgotten for it: whichever way it comes.
func TestAcknowledgementOfNoMessage(t *testing.T) {
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		p := h.peer(nil)
		p.say(`{"type":"hello","session":"ann"}`)
		if err := h.server.Send("ann", []byte("one")); err != nil {
			t.Fatal(err)
		}
		p.say(`{"type":"ack","last":2}`)
		p.say(`{"type":"beat","last":7}`)
		p.Write(link.Frame{Type: link.Ping, Payload: beat(t, link.Beat{Seq: 1, Ack: 1 << 60})})
		synctest.Wait()
		if n := h.server.Stats().Unasked.Load(); n != 3 {
			t.Errorf("%d were counted, want 3", n)
		}
		p.wantOpen()
		again := h.peer(nil)
		again.say(`{"type":"hello","session":"ann","secret":"%s"}`, p.told("welcome")["secret"])
		if got := again.got(link.Data); len(got) != 1 {
			t.Errorf("%d messages come again, want 1", len(got))
		}
		if n := h.server.Stats().Unasked.Load(); n != 3 {
			t.Errorf("%d were counted, want 3", n)
		}
	})
}

// What a hostile end sends, and what it is told.
func TestBadFrames(t *testing.T) {
	text := func(s string) []byte {
		return append(append([]byte{1, byte(link.Text)}, binary.BigEndian.AppendUint32(nil, uint32(len(s)))...), s...)
	}
	frame := func(t byte, n uint32) []byte { return append([]byte{1, t}, binary.BigEndian.AppendUint32(nil, n)...) }
	data := byte(link.Data)
	for name, test := range map[string]struct {
		bytes []byte
		code  uint16
		word  string
	}{
		"version":           {[]byte{1, 3, 0, 0, 0, 2, '{', '}', 2, 0, 0, 0, 0, 0}, 1002, "without a type"},
		"type":              {frame(9, 0), 1002, "type 0x9"},
		"type 0":            {frame(0, 0), 1002, "type 0x0"},
		"a gigabyte":        {frame(data, 1<<30), 1009, "1073741824 bytes"},
		"the longest":       {frame(data, 1<<32-1), 1009, "4294967295 bytes"},
		"a long ping":       {frame(1, 126), 1009, "126 bytes"},
		"a long text":       {frame(3, 4097), 1009, "4097 bytes"},
		"an empty piece":    {frame(data|0x80, 0), 1002, "empty piece"},
		"a piece of a ping": {frame(1|0x80, 1), 1002, "type"},
		"no number":         {frame(data, 0), 1002, "without a number"},
		"number 0":          {append(frame(data, 2), 0, 'x'), 1002, "without a number"},
		"a long number":     {append(frame(data, 11), bytes.Repeat([]byte{0xff}, 11)...), 1002, "without a number"},
		"a close":           {append(frame(5, 1), 'x'), 1002, "without a code"},
		"no JSON":           {text(`{"type":`), 1002, "malformed"},
		"no object":         {text(`[1]`), 1002, "neither JSON nor PING"},
		"negative":          {text(`{"type":"hello","every_ms":-1}`), 1002, "every_ms -1"},
		"a long name":       {text(`{"type":"hello","session":"` + strings.Repeat("x", 129) + `"}`), 1002, "129 bytes"},
		"two hellos":        {append(text(`{"type":"hello"}`), text(`{"type":"hello"}`)...), 1002, "second hello"},
		"deep":              {text(strings.Repeat(`{"type":`, 400)), 1002, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
				other := h.peer(nil)
				other.say(`{"type":"hello","session":"other"}`)
				p := h.peer(nil)
				h.wg.Go(func() { p.pipe.Write(test.bytes) })
				p.wantClose(test.code, test.word)
				for _, f := range p.got(link.Close) {
					if strings.HasPrefix(string(f.Payload), "link:") {
						t.Errorf("the reason is %q: a client need not know of Go's packages", f.Payload)
					}
				}
				if n := h.server.Stats().Refused.Load(); n != 1 {
					t.Errorf("%d refused", n)
				}
				other.wantOpen()
				time.Sleep(time.Second)
				if n := h.server.Stats().Connections.Load(); n != 1 {
					t.Errorf("%d connections", n)
				}
			})
		})
	}
}

// A connection that ends in a frame was closed by the other end, and is nobody's mistake.
func TestTruncatedFrames(t *testing.T) {
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		for i, part := range [][]byte{{1}, {1, 4, 0, 0, 1}, {1, 4, 0, 0, 1, 0}, {1, 4, 0, 0, 1, 0, 7, 7, 7}} {
			p := h.peer(nil)
			p.say(`{"type":"hello","session":"ann%d"}`, i)
			p.pipe.Write(part)
			p.pipe.Close()
		}
		h.told()
		for _, s := range h.server.Sessions() {
			if s.State != link.Away || s.Cause != link.Clean {
				t.Errorf("%s: %s %s", s.ID, s.State, s.Cause)
			}
		}
		if n := h.server.Stats().Refused.Load(); n != 0 {
			t.Errorf("%d refused", n)
		}
	})
}

// The announced length of a message is not believed: memory grows as bytes come.
func TestAnnouncedLengthCostsNothing(t *testing.T) {
	inHarbour(t, link.Config{MaxMessage: 1 << 30}, func(t *testing.T, h *harbour) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 50 {
			a, b := net.Pipe()
			h.wg.Go(func() { h.server.Serve(context.Background(), tcp.NewServer(b, 1<<30)) })
			h.wg.Go(func() { io.Copy(io.Discard, a); a.Close() })
			a.Write([]byte{1, 4, 0x40, 0, 0, 0, 1, 2, 3})
		}
		synctest.Wait()
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 50*200<<10 {
			t.Errorf("%d bytes for 50 announced gigabytes", grown)
		}
		time.Sleep(time.Minute)
	})
}

// The clock of a client that beats one way steps back an hour, its numbers jump and repeat: its beats are judged by our clock,
// and old numbers are no news.
func TestClockOfAClientStepsBack(t *testing.T) {
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		p := h.peer(silent)
		p.say(`{"type":"hello","session":"ann","one_way":true,"every_ms":1000}`)
		sent, seq := 2*time.Hour, uint64(0)
		for i := range 300 {
			switch {
			case i == 100:
				sent -= time.Hour
			case i == 150:
				seq += 1 << 50
			case i > 200 && i%50 == 0:
				p.Write(link.Frame{Type: link.Pong, Payload: beat(t, link.Beat{Seq: 3, Sent: sent, OneWay: true, Every: time.Second})})
			}
			seq++
			sent += time.Second
			p.Write(link.Frame{Type: link.Pong, Payload: beat(t, link.Beat{Seq: seq, Sent: sent, OneWay: true, Every: time.Second})})
			time.Sleep(time.Second)
		}
		h.want("ann up ")
		if s, _ := h.server.Session("ann"); s.Phi > 2 {
			t.Errorf("φ %v", s.Phi)
		}
		if n := h.server.Stats().Pings.Load(); n != 0 {
			t.Errorf("%d pings to one who beats one way", n)
		}
	})
}

// Messages go both ways while connections are cut at any moment, in the middle of frames too: each comes once, in order.
func TestMessagesSurviveCuts(t *testing.T) {
	seeds := 4
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(seed), 17))
			inHarbour(t, link.Config{MaxMessage: 1 << 20, MaxWaiting: 1 << 30}, func(t *testing.T, h *harbour) {
				var mu sync.Mutex
				var got []string
				paceOf := reading(1 << 20)
				dial := func(ctx context.Context) (link.Transport, error) {
					h.mu.Lock()
					defer h.mu.Unlock()
					a, b := net.Pipe()
					h.pipes = append(h.pipes, a)
					h.wg.Go(func() { h.server.Serve(context.Background(), tcp.NewServer(paceOf(b), 0)) })
					return tcp.New(paceOf(a), 0), nil
				}
				c, err := link.Dial(t.Context(), link.Config{Session: "ann", MaxWaiting: 1 << 30, Receive: func(_ string, data []byte) {
					mu.Lock()
					got = append(got, "ann: "+string(data))
					mu.Unlock()
				}}, dial)
				if err != nil {
					t.Fatal(err)
				}
				h.clients = append(h.clients, c)
				var up, down []string
				cuts := 0
				for i := range 400 {
					m := fmt.Sprint(i, strings.Repeat("x", rng.IntN(1<<rng.IntN(17))))
					if rng.IntN(2) == 0 {
						up = append(up, "ann: "+m)
						err = c.Send([]byte(m))
					} else {
						down = append(down, "ann: "+m)
						err = h.server.Send("ann", []byte(m))
					}
					if err != nil {
						t.Fatal(err)
					}
					if rng.IntN(8) == 0 {
						time.Sleep(time.Duration(rng.IntN(1_000_000)) * time.Microsecond)
					}
					if rng.IntN(20) == 0 {
						h.cut()
						cuts++
					}
				}
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				mu.Lock()
				defer mu.Unlock()
				if !slices.Equal(got, down) {
					t.Errorf("the client got %d messages, %d were sent", len(got), len(down))
				}
				if got := h.messages(); !slices.Equal(got, up) {
					t.Errorf("the server got %d messages, %d were sent", len(got), len(up))
				}
				t.Logf("%d messages up and %d down, %d cuts, %d came twice", len(up), len(down), cuts, h.server.Stats().Duplicates.Load())
			})
		})
	}
}

// A server that restarts knows no session. A client to whom messages had come begins anew there, and what it sent meanwhile is not lost.
func TestServerRestarts(t *testing.T) {
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		c := h.client(link.Config{Session: "ann"})
		for i := range 5 {
			h.server.Send("ann", []byte{byte(i)})
			c.Send([]byte{'a' + byte(i)})
		}
		time.Sleep(5 * time.Second)
		h.setShut(true)
		h.server.Close()
		c.Send([]byte("meanwhile"))
		time.Sleep(time.Second)
		if s := c.State(); s != link.Away {
			t.Errorf("%s without a server", s)
		}
		got := 0
		next, err := link.NewServer(link.Config{Receive: func(string, []byte) { got++ }})
		if err != nil {
			t.Fatal(err)
		}
		defer next.Close()
		h.mu.Lock()
		h.server = next
		h.mu.Unlock()
		h.setShut(false)
		time.Sleep(time.Minute)
		if s, ok := next.Session("ann"); !ok || s.State != link.Up || c.State() != link.Up {
			t.Errorf("the new server knows %+v, the client says %s: %v", s, c.State(), c.Err())
		}
		if got != 1 {
			t.Errorf("%d messages at the new server, want the one that nobody had", got)
		}
		c.Close()
	})
}

// The answer to a first hello is lost: the client tries again, and the name that it asked for is its own.
func TestLostWelcome(t *testing.T) {
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		tries := 0
		dial := func(ctx context.Context) (link.Transport, error) {
			c, err := h.dial(ctx)
			if tries++; tries <= 2 && err == nil {
				return deaf{c}, nil
			}
			return c, err
		}
		c, err := link.Dial(t.Context(), link.Config{Session: "ann"}, dial)
		if err != nil {
			t.Fatal(err)
		}
		h.clients = append(h.clients, c)
		if tries != 3 || c.State() != link.Up {
			t.Errorf("%d tries, %s", tries, c.State())
		}
		if events := h.told(); events[len(events)-1] != "ann resumed " || len(h.server.Sessions()) != 1 {
			t.Errorf("%q", events)
		}
	})
}

// deaf loses the connection instead of the first frame.
type deaf struct{ link.Transport }

func (d deaf) Read() (link.Frame, error) {
	d.Transport.Read()
	d.Transport.Close()
	return link.Frame{}, io.EOF
}

// The hello of a connection that was given up, while the server stood still, comes after that of the one which took its place: it does
// not take it back.
func TestStaleHello(t *testing.T) {
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		p := h.peer(nil)
		p.say(`{"type":"hello","session":"ann","boot":7,"nth":2}`)
		secret := p.told("welcome")["secret"]
		old := h.peer(nil)
		old.say(`{"type":"hello","session":"ann","secret":"%s","boot":7,"nth":1}`, secret)
		old.wantClose(link.CodeReplaced)
		p.wantOpen()
		other := h.peer(nil)
		other.say(`{"type":"hello","session":"ann","secret":"%s","boot":8,"nth":1}`, secret)
		other.wantOpen()
		p.wantClose(link.CodeReplaced)
	})
}

// Many who connect at one moment are not pinged in step, whether they say who they are or nothing.
func TestFirstBeatsAreSpread(t *testing.T) {
	for _, test := range []struct {
		hello bool
		from  time.Duration // of the second in which they come
	}{{true, 0}, {false, time.Second}} {
		inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
			const n, parts = 1000, 10
			var mu sync.Mutex
			var first [parts]int
			begin := time.Now()
			for range n {
				seen := false
				p := h.peer(func(p *peer, f link.Frame) {
					answer(p, f)
					if f.Type == link.Ping && !seen {
						seen = true
						mu.Lock()
						first[min(parts-1, max(0, int((time.Since(begin)-test.from)*parts/time.Second)))]++
						mu.Unlock()
					}
				})
				if test.hello {
					p.say(`{"type":"hello"}`)
				}
			}
			time.Sleep(test.from + 1100*time.Millisecond)
			mu.Lock()
			t.Logf("first pings in each tenth of the second from %v on: %v", test.from, first)
			for _, k := range first {
				if k < n/parts/2 || k > n/parts*3/2 {
					t.Errorf("%d in a tenth, want some %d", k, n/parts)
				}
			}
			mu.Unlock()
			h.cut()
		})
	}
}

func TestMaxSessions(t *testing.T) {
	inHarbour(t, link.Config{MaxSessions: 3}, func(t *testing.T, h *harbour) {
		var secret any
		for i := range 3 {
			p := h.peer(nil)
			p.say(`{"type":"hello","session":"s%d"}`, i)
			secret = p.told("welcome")["secret"]
		}
		p := h.peer(nil)
		p.wantClose(link.CodeTryAgain, "Config.MaxSessions is 3")
		h.cut()
		h.told()
		p = h.peer(nil)
		p.say(`{"type":"hello","session":"new"}`)
		p.wantClose(link.CodeTryAgain, "Config.MaxSessions")
		p = h.peer(nil)
		p.say(`{"type":"hello","session":"s2","secret":"%s"}`, secret)
		if w := p.told("welcome"); w["resumed"] != true {
			t.Error("who has a session may resume it")
		}
		if n := len(h.server.Sessions()); n != 3 {
			t.Errorf("%d sessions", n)
		}
	})
}

// A server that pings each 30 s, and a client that knows nothing of it.
func TestClientTakesTheServersInterval(t *testing.T) {
	inHarbour(t, link.Config{Interval: 30 * time.Second}, func(t *testing.T, h *harbour) {
		c := h.client(link.Config{Session: "ann"})
		time.Sleep(time.Hour)
		h.want("ann up ")
		if c.State() != link.Up {
			t.Error(c.State())
		}
		c.Close()
	})
}

// An interval that a client asks for is announced, is no silence, and holds after a cut.
func TestSetInterval(t *testing.T) {
	for _, oneWay := range []bool{false, true} {
		t.Run(fmt.Sprintf("oneWay=%v", oneWay), func(t *testing.T) {
			inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
				c := h.client(link.Config{Session: "ann", OneWay: oneWay})
				every := func(want time.Duration) {
					t.Helper()
					if s, _ := h.server.Session("ann"); s.Every != want {
						t.Errorf("%v %v: Every is %v, want %v", s.ID, s.State, s.Every, want)
					}
				}
				time.Sleep(10 * time.Second)
				every(time.Second)
				if err := c.SetInterval(time.Minute); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Minute)
				every(time.Minute)
				before := h.server.Stats().Beats.Load()
				time.Sleep(10 * time.Minute)
				if n := h.server.Stats().Beats.Load() - before; n < 9 || n > 14 {
					t.Errorf("%d beats in ten minutes, want one each 45 to 60 s", n)
				}
				h.want("ann up ")
				h.cut()
				time.Sleep(time.Minute)
				before = h.server.Stats().Beats.Load()
				time.Sleep(10 * time.Minute)
				if n := h.server.Stats().Beats.Load() - before; n < 9 || n > 14 {
					t.Errorf("%d beats in ten minutes after a cut", n)
				}
				h.setShut(true)
				h.cut()
				time.Sleep(time.Second)
				every(time.Minute) // which is what it promised last
				h.want("ann up ", "ann away clean", "ann resumed ", "ann away clean")
				c.Close()
			})
		})
	}
}

// A server whose promise bounds the intervals that it can judge takes a shorter one than a client asks for, and suspects nobody.
func TestIntervalBeyondThePromise(t *testing.T) {
	inHarbour(t, link.Config{FalseAlarmEvery: time.Minute}, func(t *testing.T, h *harbour) {
		p := h.peer(nil)
		p.say(`{"type":"hello","session":"ann","every_ms":3600000}`)
		if w := p.told("welcome"); w["every_ms"] != 6000.0 {
			t.Errorf("%v", w)
		}
		time.Sleep(time.Minute)
		p.wantOpen()
		if n := len(p.got(link.Ping)); n < 9 || n > 14 {
			t.Errorf("%d pings in a minute", n)
		}
	})
}

// A plain client, in lines of text, with and without the protocol's JSON.
func TestPlainClient(t *testing.T) {
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		a, b := net.Pipe()
		h.wg.Go(func() { h.server.Serve(context.Background(), tcp.NewServer(b, 0)) })
		lines := make(chan string, 100)
		h.wg.Go(func() {
			var all []byte
			buf := make([]byte, 1000)
			for {
				n, err := a.Read(buf)
				if err != nil {
					close(lines)
					return
				}
				all = append(all, buf[:n]...)
				for {
					line, rest, ok := bytes.Cut(all, []byte("\n"))
					if !ok {
						break
					}
					all = rest
					if payload, ok := strings.CutPrefix(string(line), "PING "); ok {
						a.Write([]byte("PONG " + payload + "\r\n"))
						continue
					}
					lines <- string(line)
				}
			}
		})
		next := func() string {
			select {
			case l := <-lines:
				return l
			case <-time.After(time.Second):
				return ""
			}
		}
		a.Write([]byte("{\"type\":\"hello\",\"session\":\"ann\"}\nPING 1\n"))
		if l := next(); !strings.Contains(l, `"welcome"`) {
			t.Errorf("%q", l)
		}
		if l := next(); l != "PONG 1" {
			t.Errorf("%q", l)
		}
		h.server.Send("ann", []byte("grüß\ngott"))
		if l := next(); l != `{"type":"event","seq":1,"data":"grüß\ngott"}` {
			t.Errorf("%q", l)
		}
		a.Write([]byte(`{"type":"event","seq":1,"data":"hi"}` + "\n"))
		if l := next(); l != `{"type":"ack","last":1}` {
			t.Errorf("%q", l)
		}
		time.Sleep(10 * time.Minute)
		h.want("ann up ")
		if got := h.messages(); !slices.Equal(got, []string{"ann: hi"}) {
			t.Errorf("%q", got)
		}
		a.Write([]byte("nonsense\n"))
		if l := next(); l != "CLOSE 1002 text that is neither JSON nor PING" {
			t.Errorf("%q", l)
		}
		a.Close()
	})
}

// A session's messages are handed on one after the other, also where a new connection takes over while one is being handled.
func TestReceiveIsInOrderAcrossConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []string
		running := 0
		h := &harbour{t: t}
		var err error
		h.server, err = link.NewServer(link.Config{Receive: func(_ string, data []byte) {
			mu.Lock()
			if running++; running > 1 {
				t.Error("two messages of a session at a time")
			}
			mu.Unlock()
			time.Sleep(2 * time.Second)
			mu.Lock()
			defer mu.Unlock()
			running--
			got = append(got, string(data))
		}})
		if err != nil {
			t.Fatal(err)
		}
		first := h.peer(nil)
		first.say(`{"type":"hello","session":"ann"}`)
		first.send(1, "one")
		second := h.peer(nil)
		second.say(`{"type":"hello","session":"ann","secret":"%s"}`, first.told("welcome")["secret"])
		second.send(2, "two")
		time.Sleep(5 * time.Second)
		mu.Lock()
		if !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("%q", got)
		}
		mu.Unlock()
		h.server.Close()
		h.wg.Wait()
	})
}

// Closing tells the clients to come back at different times.
func TestCloseSpreadsTheClients(t *testing.T) {
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		var peers []*peer
		for range 100 {
			p := h.peer(nil)
			p.say(`{"type":"hello"}`)
			peers = append(peers, p)
		}
		begin := time.Now()
		h.server.Close()
		if d := time.Since(begin); d > time.Second {
			t.Errorf("Close took %v", d)
		}
		var early int
		for _, p := range peers {
			p.wantClose(link.CodeGoingAway)
			after, _ := p.told("retry")["after_ms"].(float64)
			if after < 1 || after > 15_000 {
				t.Fatalf("told to come back after %v ms", after)
			}
			if after < 7_500 {
				early++
			}
		}
		if early < 25 || early > 75 {
			t.Errorf("%d of 100 in the first half of the time", early)
		}
	})
}
