package wire

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

var msgpack = func() *codec.MsgpackHandle {
	h := &codec.MsgpackHandle{}
	h.MaxInitLen = 64 // a length in a packet is a stranger's word: grow by what is really there
	h.MaxDepth = 8
	h.StructToArray = true // no field names on the wire
	return h
}()

// Encoders and decoders are used again: each is garbage of several hundred bytes, for a
// heartbeat of about 50.
var (
	encoders = sync.Pool{New: func() any { return codec.NewEncoderBytes(new([]byte), msgpack) }}
	decoders = sync.Pool{New: func() any { return codec.NewDecoderBytes(nil, msgpack) }}
)

// Marshal encodes a message that is no packet.
func Marshal(v any) ([]byte, error) {
	return appendEncoded(make([]byte, 0, 128), v) // the encoder's own default is a kilobyte
}

// appendEncoded appends v to head, which the encoder would overwrite.
func appendEncoded(head []byte, v any) ([]byte, error) {
	enc := encoders.Get().(*codec.Encoder)
	defer encoders.Put(enc)
	body := head[len(head):]
	enc.ResetBytes(&body)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return append(head, body...), nil
}

// Unmarshal undoes Marshal.
func Unmarshal(b []byte, v any) error {
	dec := decoders.Get().(*codec.Decoder)
	defer decoders.Put(dec)
	dec.ResetBytes(b)
	if err := dec.Decode(v); err != nil {
		return err
	}
	if n := dec.NumBytesRead(); n != len(b) {
		return fmt.Errorf("%d bytes after the end", len(b)-n)
	}
	return nil
}

// MarshalSummed is Marshal with a checksum behind it; UnmarshalSummed undoes it.
func MarshalSummed(v any) ([]byte, error) {
	buf, err := Marshal(v)
	if err != nil {
		return nil, err
	}
	return binary.BigEndian.AppendUint32(buf, crc32.Checksum(buf, Castagnoli)), nil
}

func UnmarshalSummed(b []byte, v any) error {
	body := len(b) - SumSize
	if body < 0 || binary.BigEndian.Uint32(b[body:]) != crc32.Checksum(b[:body], Castagnoli) {
		return ErrChecksum
	}
	if err := Unmarshal(b[:body], v); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}
