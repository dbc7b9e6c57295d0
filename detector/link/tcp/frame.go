package tcp

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/pulsering/pulsering/detector/link"
)

// A frame on a stream is a header of six bytes and a payload:
//
//	version 1, the type, and the length of the payload in four bytes, the highest first
//
// A message longer than a piece comes in several frames, all but the last of which have the bit more in their type. Other frames
// may come between these. The payload of a close frame begins with its code in two bytes.
const (
	frameVersion = 1
	headerSize   = 6
	more         = 0x80
	// pieceSize is how long the pieces of a message are: on a line of 1 Mbit/s a ping waits for one of them an eighth of a second.
	pieceSize = 16 << 10
)

// appendFrame appends a frame with payload, or one piece of it.
func appendFrame(dst []byte, t link.FrameType, last bool, payload []byte) []byte {
	b := byte(t)
	if !last {
		b |= more
	}
	dst = append(dst, frameVersion, b)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(payload)))
	return append(dst, payload...)
}

// limit is how long the payload of a frame of type t may be, where a message may have most bytes; negative: there is no such type.
func limit(t link.FrameType, most int) int {
	switch t {
	case link.Ping, link.Pong, link.Close:
		return link.MaxBeat
	case link.Text:
		return link.MaxText
	case link.Data:
		return most
	}
	return -1
}

// reader reads frames from a stream.
type reader struct {
	r       io.Reader
	most    int    // bytes of a message
	buf     []byte // of the frame that was read last
	message []byte // the pieces of one that is not whole
	begun   bool   // there are such pieces
}

// next returns the next whole frame.
func (r *reader) next() (link.Frame, error) {
	for {
		t, last, n, err := r.header()
		if err != nil {
			return link.Frame{}, err
		}
		if t != link.Data || last && !r.begun {
			payload, err := r.body(n)
			if err != nil {
				return link.Frame{}, err
			}
			return whole(t, payload)
		}
		r.begun = !last
		if err := grow(&r.message, r.r, n); err != nil {
			return link.Frame{}, err
		}
		if last {
			f := link.Frame{Type: link.Data, Payload: r.message}
			r.message = nil
			return f, nil
		}
	}
}

// header reads a header, and says what is wrong with one.
func (r *reader) header() (t link.FrameType, last bool, n int, err error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		if err == io.ErrUnexpectedEOF {
			err = fmt.Errorf("%w: it ends in a header: %w", link.ErrFrame, err)
		}
		return 0, false, 0, err
	}
	if head[0] != frameVersion {
		return 0, false, 0, fmt.Errorf("%w: version %d, want %d", link.ErrFrame, head[0], frameVersion)
	}
	t, last = link.FrameType(head[1]&^more), head[1]&more == 0
	length, most := uint64(binary.BigEndian.Uint32(head[2:])), limit(t, r.most)
	switch {
	case most < 0 || !last && t != link.Data:
		return 0, false, 0, fmt.Errorf("%w: type %#x", link.ErrFrame, head[1])
	case !last && length == 0:
		return 0, false, 0, fmt.Errorf("%w: an empty piece", link.ErrFrame)
	case length > uint64(most) || t == link.Data && uint64(len(r.message))+length > uint64(most):
		return 0, false, 0, fmt.Errorf("%w: %d bytes of type %d, want at most %d", link.ErrTooBig, uint64(len(r.message))+length, t, most)
	}
	return t, last, int(length), nil
}

// body reads n bytes into the buffer for frames.
func (r *reader) body(n int) ([]byte, error) {
	r.buf = r.buf[:0]
	err := grow(&r.buf, r.r, n)
	payload := r.buf
	if cap(r.buf) > pieceSize { // one long frame is no reason to keep as much
		r.buf = nil
	}
	return payload, err
}

// grow appends n bytes from src to buf. The number is not believed: memory grows as they come.
func grow(buf *[]byte, src io.Reader, n int) error {
	for n > 0 {
		step := min(n, pieceSize)
		at := len(*buf)
		*buf = append(*buf, make([]byte, step)...)
		if _, err := io.ReadFull(src, (*buf)[at:]); err != nil {
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				err = fmt.Errorf("%w: it ends in a payload: %w", link.ErrFrame, io.ErrUnexpectedEOF)
			}
			return err
		}
		n -= step
	}
	return nil
}

// whole is a frame as others see it.
func whole(t link.FrameType, payload []byte) (link.Frame, error) {
	if t != link.Close {
		return link.Frame{Type: t, Payload: payload}, nil
	}
	if len(payload) < 2 {
		return link.Frame{}, fmt.Errorf("%w: a close without a code", link.ErrFrame)
	}
	return link.Frame{Type: t, Code: binary.BigEndian.Uint16(payload), Payload: payload[2:]}, nil
}
