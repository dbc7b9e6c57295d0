package tcp

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/pulsering/pulsering/detector/link"
)

// stream is what one end sends, and takes what the other does.
type stream struct {
	io.Reader
	io.Writer
}

func (stream) Close() error { return nil }

const fuzzMost = 1000

// readAll reads frames to the end, and checks what holds of each and of the error.
func readAll(t *testing.T, c *Conn) (frames []link.Frame) {
	for {
		f, err := c.Read()
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, link.ErrFrame) && !errors.Is(err, link.ErrTooBig) {
				t.Fatalf("an error of no known kind: %v", err)
			}
			return frames
		}
		most := map[link.FrameType]int{link.Ping: link.MaxBeat, link.Pong: link.MaxBeat, link.Text: link.MaxText, link.Data: fuzzMost + link.DataHeader, link.Close: link.MaxBeat}[f.Type]
		if most == 0 || len(f.Payload) > most {
			t.Fatalf("a frame of type %d with %d bytes", f.Type, len(f.Payload))
		}
		f.Payload = bytes.Clone(f.Payload)
		frames = append(frames, f)
	}
}

func FuzzStreamFrames(f *testing.F) {
	f.Add(appendFrame(nil, link.Ping, true, []byte("x")))
	f.Add(appendFrame(appendFrame(appendFrame(nil, link.Data, false, []byte("ab")), link.Pong, true, nil), link.Data, true, []byte("c")))
	f.Add([]byte{1, 5, 0, 0, 0, 2, 3, 232})
	f.Add([]byte{1, 4, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, p []byte) {
		frames := readAll(t, New(stream{bytes.NewReader(p), io.Discard}, fuzzMost))
		var again bytes.Buffer
		w := New(stream{nil, &again}, fuzzMost)
		for _, f := range frames {
			if err := w.Write(f); err != nil {
				t.Fatal(err)
			}
		}
		if got := readAll(t, New(stream{&again, io.Discard}, fuzzMost)); len(got) != len(frames) {
			t.Fatalf("%d frames, after another turn %d", len(frames), len(got))
		}
	})
}

func FuzzStreamLines(f *testing.F) {
	f.Add([]byte("PING 1\nPONG ESUA\r\n{\"type\":\"bye\"}\n"))
	f.Add([]byte("no end"))
	f.Add(append(bytes.Repeat([]byte("x"), link.MaxText+1), '\n'))
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) > 0 && p[0] == frameVersion {
			p[0] = 'P'
		}
		c := NewServer(stream{bytes.NewReader(p), io.Discard}, fuzzMost)
		for _, f := range readAll(t, c) {
			if f.Type != link.Text && f.Type != link.Pong || bytes.Contains(f.Payload, []byte("\n")) && f.Type == link.Text {
				t.Fatalf("a line is %d %q", f.Type, f.Payload)
			}
		}
	})
}
