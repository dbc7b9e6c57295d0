package detector

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Beat is one heartbeat of a batch.
type Beat[K comparable] struct {
	ID K
	// Seq is the number that the peer gave it, 0: none. See HeartbeatSeq.
	Seq uint64
	// Age is how long ago it was heard. A negative age counts as 0.
	Age time.Duration
}

// Batch reports many heartbeats at once and returns how many were of watched peers. It is the same as a HeartbeatAt for
// each, one after another, but cheaper: the clock is read once, and among a million peers, where each is several loads
// from memory, those of different peers wait at the same time.
func (d *Detector[K]) Batch(beats []Beat[K]) (watched int) {
	now, next := d.listen(), never
	for len(beats) > 0 {
		n := min(len(beats), block)
		w, look := d.block(beats[:n], now)
		watched, next = watched+w, min(next, look)
		beats = beats[n:]
	}
	d.pull(next)
	return watched
}

const block = 128

// block takes up to 128 beats, and returns how many were of watched peers and the earliest look that follows. Each loop
// does one thing for many beats and is short, so that processors begin the loads of the next beats while those of
// one are on their way.
func (d *Detector[K]) block(beats []Beat[K], now instant) (watched int, next instant) {
	var (
		hashes [block]uint64
		peers  [block]*peer[K]
	)
	for i := range beats {
		s, hash := d.shard(beats[i].ID)
		s.peers.prefetch(hash)
		hashes[i] = hash
	}
	for i, hash := range hashes[:len(beats)] {
		if p := d.shards[hash%shards].peers.guess(hash); p != nil {
			p.prefetch()
			peers[i] = p
		}
	}
	next = never
	for i := range beats {
		b, s := &beats[i], &d.shards[hashes[i]%shards]
		look, ok := d.beat(s, hashes[i], b.ID, peers[i], now, b.heard(now), b.number())
		next = min(next, look)
		if ok {
			watched++
		}
	}
	return watched, next
}

func (b *Beat[K]) heard(now instant) instant { return max(0, now.add(-max(0, b.Age))) }

func (b *Beat[K]) number() *uint64 {
	if b.Seq == 0 {
		return nil
	}
	return &b.Seq
}

// A frame carries a batch to a detector elsewhere: a version, the number of beats, and for each its id, its number
// and its age. Ages, not times, so that the clocks need not agree; what the frame spends on its way makes its
// beats younger than they are.
//
//	frame = 0x01 count { length id seq age }      all but id unsigned varints, age in microseconds
//
// It is not authenticated: whoever can send one can keep any peer up.
const (
	frameVersion = 1
	minBeat      = 3    // bytes: an empty id, and one each for length, seq and age
	maxID        = 1024 // bytes
)

// AppendFrame appends the encoding of beats to dst. An id longer than 1024 bytes or an age above 24 h is an error that
// names it, and dst is returned as it was.
func AppendFrame(dst []byte, beats []Beat[string]) ([]byte, error) {
	frame := binary.AppendUvarint(append(dst, frameVersion), uint64(len(beats)))
	for i, b := range beats {
		if len(b.ID) > maxID {
			return dst, fmt.Errorf("detector: beat %d: id of %d bytes is longer than %d", i, len(b.ID), maxID)
		}
		if b.Age > maxDuration {
			return dst, fmt.Errorf("detector: beat %d: age %v is above %v", i, b.Age, maxDuration)
		}
		frame = binary.AppendUvarint(frame, uint64(len(b.ID)))
		frame = append(frame, b.ID...)
		frame = binary.AppendUvarint(frame, b.Seq)
		frame = binary.AppendUvarint(frame, uint64(max(0, b.Age).Microseconds()))
	}
	return frame, nil
}

// DecodeFrame appends the beats of a frame to beats. The error says what is wrong with the frame and where; beats is
// then returned as it was. What it allocates is bounded by the length of the frame, whatever that claims.
func DecodeFrame(frame []byte, beats []Beat[string]) ([]Beat[string], error) {
	r := frameReader{left: frame}
	if version := r.byte("version"); r.err == nil && version != frameVersion {
		return beats, fmt.Errorf("detector: frame: version %d, want %d", version, frameVersion)
	}
	count := r.uvarint("count", uint64(len(r.left)/minBeat))
	decoded := beats
	for range count {
		id := r.bytes("id", r.uvarint("length of id", maxID))
		seq := r.uvarint("seq", 1<<64-1)
		age := r.uvarint("age", uint64(maxDuration.Microseconds()))
		decoded = append(decoded, Beat[string]{ID: string(id), Seq: seq, Age: time.Duration(age) * time.Microsecond})
		if r.err != nil {
			break
		}
	}
	if r.err == nil && len(r.left) > 0 {
		r.fail("%d bytes after the last beat", len(r.left))
	}
	if r.err != nil {
		return beats, fmt.Errorf("detector: frame: at byte %d of %d: %w", len(frame)-len(r.left), len(frame), r.err)
	}
	return decoded, nil
}

// frameReader reads the parts of a frame until one is wrong, and zeros from then on.
type frameReader struct {
	left []byte
	err  error
}

func (r *frameReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (r *frameReader) byte(what string) byte {
	if b := r.bytes(what, 1); b != nil {
		return b[0]
	}
	return 0
}

func (r *frameReader) bytes(what string, n uint64) []byte {
	if uint64(len(r.left)) < n {
		r.fail("%s is cut short: %d bytes, want %d", what, len(r.left), n)
	}
	if r.err != nil {
		return nil
	}
	b := r.left[:n]
	r.left = r.left[n:]
	return b
}

func (r *frameReader) uvarint(what string, limit uint64) uint64 {
	v, n := binary.Uvarint(r.left)
	switch {
	case n <= 0:
		r.fail("%s is cut short or not a 64-bit varint", what)
	case v > limit:
		r.fail("%s is %d, above %d", what, v, limit)
	}
	if r.err != nil {
		return 0
	}
	r.left = r.left[n:]
	return v
}
