package ws

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/pulsering/pulsering/detector/link"
)

// tape is a socket from which bytes are read.
type tape struct{ io.Reader }

func (tape) Write(b []byte) (int, error)      { return len(b), nil }
func (tape) Close() error                     { return nil }
func (tape) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (tape) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (tape) SetDeadline(time.Time) error      { return nil }
func (tape) SetReadDeadline(time.Time) error  { return nil }
func (tape) SetWriteDeadline(time.Time) error { return nil }

func frame(client bool, op ws.OpCode, fin bool, payload string) []byte {
	h := ws.Header{OpCode: op, Fin: fin, Length: int64(len(payload))}
	b := []byte(payload)
	if client {
		h.Masked, h.Mask = true, [4]byte{1, 2, 3, 4}
		ws.Cipher(b, h.Mask, 0)
	}
	var w bytes.Buffer
	ws.WriteHeader(&w, h)
	return append(w.Bytes(), b...)
}

const fuzzMost = 1000

func fuzzReader(f *testing.F, client bool) {
	for _, p := range [][]byte{
		frame(!client, ws.OpPing, true, "x"), frame(!client, ws.OpText, true, "PING"), frame(!client, ws.OpClose, true, "\x03\xe8bye"),
		append(append(frame(!client, ws.OpBinary, false, "ab"), frame(!client, ws.OpPong, true, "")...), frame(!client, ws.OpContinuation, true, "c")...),
		frame(client, ws.OpPing, true, "masked wrongly"), {0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}, {0xc1, 0x80, 0, 0, 0, 0},
		frame(!client, ws.OpClose, true, "\x13\x88beyond"), frame(!client, ws.OpClose, true, "\x03\xf5later"),
		{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}, {0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0},
	} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		c := newConn(tape{bytes.NewReader(p)}, nil, client, fuzzMost)
		for {
			f, err := c.Read()
			if err != nil {
				if !errors.Is(err, io.EOF) && !errors.Is(err, link.ErrFrame) && !errors.Is(err, link.ErrTooBig) {
					t.Fatalf("an error of no known kind: %v", err)
				}
				return
			}
			most := fuzzMost + link.DataHeader
			switch f.Type {
			case link.Ping, link.Pong, link.Close:
				most = link.MaxBeat
			case link.Text:
				if !utf8.Valid(f.Payload) {
					t.Fatalf("text %q", f.Payload)
				}
			case link.Data:
			default:
				t.Fatalf("type %d", f.Type)
			}
			if len(f.Payload) > most {
				t.Fatalf("%d bytes of type %d", len(f.Payload), f.Type)
			}
			if f.Type == link.Close && (f.Code < 1000 || f.Code > 4999 || !utf8.Valid(f.Payload)) {
				t.Fatalf("close %d %q", f.Code, f.Payload)
			}
		}
	})
}

func FuzzWebSocketServer(f *testing.F) { fuzzReader(f, false) }
func FuzzWebSocketClient(f *testing.F) { fuzzReader(f, true) }

// Codes of close frames that other ends may send, and the others.
func TestCloseCodes(t *testing.T) {
	for code, ok := range map[uint16]bool{
		0: false, 999: false, 1000: true, 1001: true, 1004: false, 1005: false, 1006: false, 1012: true, 1013: true, 1015: false, 2999: false,
		3000: true, 4000: true, 4004: true, 4999: true, 5000: false, 65535: false,
	} {
		c := newConn(tape{bytes.NewReader(frame(false, ws.OpClose, true, string([]byte{byte(code >> 8), byte(code)})+"why"))}, nil, true, 0)
		f, err := c.Read()
		if ok != (err == nil) || ok && (f.Code != code || string(f.Payload) != "why") || !ok && !errors.Is(err, link.ErrFrame) {
			t.Errorf("%d: %+v %v", code, f, err)
		}
	}
}
