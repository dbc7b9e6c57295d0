package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// A Beat is what a heartbeat carries: the payload of a ping, which the other end sends back in a pong as it is, or of a
// heartbeat that wants no answer. It is at most MaxBeat bytes, which is what a control frame of WebSocket holds (RFC 6455,
// section 5.5).
type Beat struct {
	// Seq is its number among the beats of its sender on this connection, from 1 on.
	Seq uint64
	// Sent is when it was sent, by its sender's own clock since the connection began.
	Sent time.Duration
	// Every is the promise that the next one follows within this time, at most 24 h.
	Every time.Duration
	// Ack is the number of the latest event that its sender has; the other end may forget those up to it.
	Ack uint64
	// RTT is the latest round-trip time that its sender measured; 0: none yet.
	RTT time.Duration
	// State is up to 64 bytes of the application's own.
	State []byte
	// OneWay: no answer is wanted.
	OneWay bool
}

const (
	// MaxBeat is how long an encoded Beat is at most, in bytes.
	MaxBeat = 125
	// MaxState is how many bytes of its own an application may put into a beat.
	MaxState = 64
	// maxSent bounds the time since a connection began.
	maxSent = 100 * 365 * 24 * time.Hour
	// maxEvery bounds what a beat may promise, as detector.Config bounds intervals.
	maxEvery = 24 * time.Hour
)

// The first byte of an encoded beat: the version of the encoding, and whether an answer is wanted.
const (
	beatPing   = 0x11
	beatOneWay = 0x12
)

// ErrBeat is what errors of DecodeBeat are about.
var ErrBeat = errors.New("link: not a beat")

// AppendBeat appends the encoding of b to dst. Times are whole microseconds. It is an error if State is longer than MaxState, or
// a time negative or longer than 24 h; Sent may be up to 100 years.
func AppendBeat(dst []byte, b Beat) ([]byte, error) {
	if len(b.State) > MaxState {
		return dst, fmt.Errorf("link: Beat.State: %d bytes, want at most %d", len(b.State), MaxState)
	}
	if b.Sent < 0 || b.Sent > maxSent || b.Every < 0 || b.Every > maxEvery || b.RTT < 0 || b.RTT > maxEvery {
		return dst, fmt.Errorf("link: Beat: Sent %v, Every %v, RTT %v: want 0 to %v, %v, %v", b.Sent, b.Every, b.RTT, maxSent, maxEvery, maxEvery)
	}
	first := byte(beatPing)
	if b.OneWay {
		first = beatOneWay
	}
	dst = append(dst, first)
	dst = binary.AppendUvarint(dst, b.Seq)
	dst = binary.AppendUvarint(dst, uint64(b.Sent/time.Microsecond))
	dst = binary.AppendUvarint(dst, uint64(b.Every/time.Microsecond))
	dst = binary.AppendUvarint(dst, b.Ack)
	dst = binary.AppendUvarint(dst, uint64(b.RTT/time.Microsecond))
	return append(dst, b.State...), nil
}

// answerSeq is the number of the ping that p answers; 0: none. Which ping it was tells the rest.
func answerSeq(p []byte) uint64 {
	if len(p) < 2 || p[0] != beatPing {
		return 0
	}
	seq, _ := binary.Uvarint(p[1:])
	return seq
}

// DecodeBeat returns the beat in p, whose State is a part of p. What is longer than MaxBeat, of another version, or out of the
// ranges of AppendBeat, is an ErrBeat.
func DecodeBeat(p []byte) (Beat, error) {
	if len(p) == 0 || len(p) > MaxBeat {
		return Beat{}, fmt.Errorf("%w: %d bytes, want 1 to %d", ErrBeat, len(p), MaxBeat)
	}
	if p[0] != beatPing && p[0] != beatOneWay {
		return Beat{}, fmt.Errorf("%w: it begins with %#x", ErrBeat, p[0])
	}
	b := Beat{OneWay: p[0] == beatOneWay}
	p = p[1:]
	var fields [5]uint64
	for i := range fields {
		v, n := binary.Uvarint(p)
		if n <= 0 {
			return Beat{}, fmt.Errorf("%w: it ends, or is out of range, in field %d", ErrBeat, i)
		}
		fields[i], p = v, p[n:]
	}
	const most = uint64(maxEvery / time.Microsecond)
	const longest = uint64(maxSent / time.Microsecond)
	if fields[1] > longest || fields[2] > most || fields[4] > most || len(p) > MaxState {
		return Beat{}, fmt.Errorf("%w: a time or a state beyond the limit", ErrBeat)
	}
	b.Seq, b.Ack = fields[0], fields[3]
	b.Sent = time.Duration(fields[1]) * time.Microsecond
	b.Every = time.Duration(fields[2]) * time.Microsecond
	b.RTT = time.Duration(fields[4]) * time.Microsecond
	if len(p) > 0 {
		b.State = p
	}
	return b, nil
}
