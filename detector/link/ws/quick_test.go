//go:build unix

package ws

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"testing"

	"github.com/gobwas/ws"

	"github.com/pulsering/pulsering/detector/link"
)

// pair is a server's connection, and the socket at the other end of it.
func pair(t *testing.T) (*Conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	other, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		other.Close()
	})
	other.(*net.TCPConn).SetNoDelay(true) // pieces stay pieces
	return newConn(conn, nil, false, 0), other
}

func masked(op ws.OpCode, payload string) []byte {
	var b bytes.Buffer
	ws.WriteFrame(&b, ws.MaskFrame(ws.NewFrame(op, true, []byte(payload))))
	return b.Bytes()
}

// Whatever the pieces that a stream comes in, ReadEach returns the same frames.
func TestReadEachWhateverThePieces(t *testing.T) {
	stream := slices.Concat(
		masked(ws.OpPong, "one"), masked(ws.OpPong, ""), masked(ws.OpText, "two"),
		masked(ws.OpPong, "three"),
		masked(ws.OpBinary, string(make([]byte, 3000))), masked(ws.OpPing, "four"),
		masked(ws.OpPong, "five"),
		masked(ws.OpClose, string(ws.NewCloseFrameBody(1000, "bye"))),
	)
	want := []string{"2 one", "2 ", "3 two", "2 three", "4 3000 bytes", "1 four", "2 five", "5 bye"}
	for _, piece := range []int{1, 2, 5, 6, 7, 100, len(stream)} {
		t.Run(fmt.Sprint(piece), func(t *testing.T) {
			c, other := pair(t)
			go func() {
				for p := range slices.Chunk(stream, piece) {
					other.Write(p)
				}
				other.(*net.TCPConn).CloseWrite()
			}()
			var got []string
			err := c.ReadEach(func(f link.Frame) error {
				text := string(f.Payload)
				if len(text) > link.MaxBeat {
					text = fmt.Sprint(len(text), " bytes")
				}
				got = append(got, fmt.Sprintf("%d %s", f.Type, text))
				return nil
			})
			if !errors.Is(err, io.EOF) {
				t.Errorf("error %v", err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			if c.r != nil {
				t.Error("an idle connection holds a reader")
			}
			if n := c.Received(); n != uint64(len(stream)) {
				t.Errorf("%d bytes received, want %d", n, len(stream))
			}
		})
	}
}

func TestReadEachEndsWithItsConnection(t *testing.T) {
	c, _ := pair(t)
	ended := make(chan error)
	go func() { ended <- c.ReadEach(func(link.Frame) error { return nil }) }()
	c.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v", err)
	}
}

func TestReadEachEndsWithAnError(t *testing.T) {
	enough := errors.New("enough")
	for _, first := range [][]byte{masked(ws.OpPong, "x"), masked(ws.OpText, "x")} {
		c, other := pair(t)
		other.Write(first)
		if err := c.ReadEach(func(link.Frame) error { return enough }); err != enough {
			t.Errorf("error %v", err)
		}
	}
}

// A ping of which a full socket takes nothing, or a part, is followed by whole frames.
func TestTryPingNeverWaits(t *testing.T) {
	c, other := pair(t)
	payload := bytes.Repeat([]byte("p"), link.MaxBeat)
	sent := 0
	for ; ; sent++ {
		done, err := c.TryPing(payload) // one that waits does so until the test's time is over
		if err != nil {
			t.Fatal(err)
		}
		if !done {
			break
		}
	}
	if got := c.Written(); got != uint64(sent*(2+len(payload))) {
		t.Errorf("%d bytes written, want those of %d whole pings", got, sent) // a part is no sign of life
	}
	written := make(chan error)
	go func() { written <- c.Write(link.Frame{Type: link.Ping, Payload: payload}) }()
	go func() {
		if err := <-written; err != nil {
			t.Error(err)
		}
		c.Close()
	}()
	pings := 0
	for {
		h, err := ws.ReadHeader(other)
		if err == io.EOF {
			break
		}
		got := make([]byte, min(h.Length, link.MaxBeat))
		if err == nil {
			_, err = io.ReadFull(other, got)
		}
		if err != nil || h.OpCode != ws.OpPing || !bytes.Equal(got, payload) {
			t.Fatalf("ping %d: %v, %v", pings, h, err)
		}
		pings++
	}
	if got := c.Written(); got != uint64(pings*(2+len(payload))) {
		t.Errorf("%d bytes written, want those of %d pings", got, pings)
	}
	if pings != sent+1 && pings != sent+2 { // the last one twice if a part of it was written
		t.Errorf("%d pings arrived, %d and one more were written", pings, sent)
	}
}

func TestTryPingLeavesOthersTheirTurn(t *testing.T) {
	c, _ := pair(t)
	c.turn <- struct{}{}
	if done, err := c.TryPing([]byte("x")); done || err != nil {
		t.Errorf("while another one writes: %v, %v", done, err)
	}
	<-c.turn
}

// Who says goodbye while answers are on their way sees the connection end in order.
func TestGoodbyeBeforeLateAnswers(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what a reset discards is another matter here")
	}
	s, err := link.NewServer(link.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, other := pair(t)
	late := bytes.Repeat(masked(ws.OpPong, string(make([]byte, 100))), 100)
	other.Write(append(masked(ws.OpClose, string(ws.NewCloseFrameBody(1000, "bye"))), late...))
	if err := s.Serve(t.Context(), c); err != nil {
		t.Errorf("error %v", err)
	}
	if f, err := readFrame(other); err != nil || f.Header.OpCode != ws.OpClose {
		t.Errorf("%v, %v, want a close frame", f.Header, err)
	}
	if n, err := other.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("%d bytes, error %v, want the end", n, err)
	}
}

func BenchmarkTryPing(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	other, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer other.Close()
	conn, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	go io.Copy(io.Discard, other)
	c := newConn(conn, nil, false, 0)
	payload := make([]byte, 20)
	b.ReportAllocs()
	for b.Loop() {
		c.TryPing(payload)
	}
}

// readFrame reads a control frame of a server.
func readFrame(r io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(r); err != nil {
		return f, err
	}
	f.Payload = make([]byte, min(f.Header.Length, link.MaxBeat))
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}

// counting is a wrapper that does something when it is read, and bare one that does not.
type (
	counting struct{ net.Conn }
	bare     struct{ net.Conn }
)

func (b bare) BareConn() net.Conn { return b.Conn }

// What wraps a socket has its own Read and Write called, unless it says that it needs none.
func TestOnlyBareSocketsAreRaw(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for what, raw := range map[net.Conn]bool{conn: true, bare{conn}: true, bare{bare{conn}}: true, counting{conn}: false, bare{counting{conn}}: false} {
		if got := rawConn(what) != nil; got != raw {
			t.Errorf("%T is raw: %v, want %v", what, got, raw)
		}
	}
}
