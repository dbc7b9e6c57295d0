package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"reflect"
	"strings"
	"testing"

	"github.com/pulsering/pulsering/cluster/internal/claim"
)

func samplePackets() []*Packet {
	return []*Packet{
		{From: "a", Boot: 1, Beat: &Beat{Epoch: 2, Seq: 3, Edge: 4, Interval: 5000, Mutual: true, EchoEdge: 6, EchoHold: 7, Every: 5000, Deaf: true}},
		{From: "node-7.example", Boot: claim.MaxBoot, Asks: []Ask{{Name: "b", Boot: 2, Epoch: 1, Seq: 3, Doubt: 270, Age: 123456, Awaits: 1}}},
		{From: "ä", Boot: 9, Claims: []claim.Claim{
			{Name: "b", Boot: 2, Epoch: 1, Seq: 77, State: claim.Down, Addr: "10.0.0.2:7946"},
			{Name: "c", Boot: 3, State: claim.Left, Addr: "[fd00::1]:7946"},
			{Name: "d", Boot: 4, State: claim.Down, Basis: &claim.Basis{Phi: 870, Threshold: 830, By: []string{"a", "b"}}},
			{Name: "e", Boot: 5, State: claim.Down, Basis: &claim.Basis{By: []string{"e"}, Exit: "exit status 3"}},
		}},
	}
}

func TestPacketRoundTrip(t *testing.T) {
	for _, p := range samplePackets() {
		buf, err := Encode(p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(buf)
		if err != nil {
			t.Fatalf("decode %+v: %v", p, err)
		}
		again, err := Encode(got)
		if err != nil || !bytes.Equal(buf, again) {
			t.Errorf("%+v came back as %+v (%v)", p, got, err)
		}
	}
}

// A later release adds fields at the end of an array; this one skips them. And the other way round.
func TestPacketFromAnotherRelease(t *testing.T) {
	type longer struct {
		From   string
		Boot   uint64
		Beat   *Beat
		Asks   []Ask
		Claims []claim.Claim
		New    []string
	}
	body, err := Marshal(&longer{From: "a", Boot: 1, New: []string{"x", "y"}})
	if err != nil {
		t.Fatal(err)
	}
	if p, err := Decode(summed(body)); err != nil || p.From != "a" {
		t.Errorf("a longer packet: %+v, %v", p, err)
	}
	type shorter struct {
		From string
		Boot uint64
	}
	if body, err = Marshal(&shorter{From: "b", Boot: 2}); err != nil {
		t.Fatal(err)
	}
	p, err := Decode(summed(body))
	if err != nil || !reflect.DeepEqual(p, &Packet{From: "b", Boot: 2}) {
		t.Errorf("a shorter packet: %+v, %v", p, err)
	}
}

// summed makes a packet of what it is to hold.
func summed(body []byte) []byte {
	head := binary.BigEndian.AppendUint32([]byte{Version}, crc32.Checksum(body, Castagnoli))
	return append(head, body...)
}

func TestPacketRefused(t *testing.T) {
	good := func(change func(*Packet)) []byte {
		p := &Packet{From: "a", Boot: 1, Claims: []claim.Claim{{Name: "b", Boot: 1, State: claim.Down, Addr: "10.0.0.2:7946"}}}
		change(p)
		buf, err := Encode(p)
		if err != nil {
			t.Fatal(err)
		}
		return buf
	}
	intact := good(func(*Packet) {})
	if _, err := Decode(intact); err != nil {
		t.Fatalf("the packet that the others are made from: %v", err)
	}
	for name, tt := range map[string]struct {
		buf  []byte
		want error
	}{
		"empty":               {nil, ErrVersion},
		"another version":     {append([]byte{Version + 1}, intact[1:]...), ErrVersion},
		"version only":        {intact[:1], ErrChecksum},
		"no body":             {intact[:headSize], ErrChecksum},
		"cut short":           {intact[:len(intact)-1], ErrChecksum},
		"cut short, summed":   {summed(intact[headSize : len(intact)-1]), ErrMalformed},
		"more behind it":      {append(bytes.Clone(intact), 0), ErrChecksum},
		"more, summed":        {summed(append(bytes.Clone(intact[headSize:]), 0)), ErrMalformed},
		"address with a zone": {good(func(p *Packet) { p.Claims[0].Addr = "[fe80::1%\x1b[2J]:1" }), ErrMalformed},
		"no sender":           {good(func(p *Packet) { p.From = "" }), ErrMalformed},
		"space in a name":     {good(func(p *Packet) { p.From = "a b" }), ErrMalformed},
		"long name":           {good(func(p *Packet) { p.Claims[0].Name = strings.Repeat("x", MaxName+1) }), ErrMalformed},
		"no boot":             {good(func(p *Packet) { p.Boot = 0 }), ErrMalformed},
		"boot of the end":     {good(func(p *Packet) { p.Claims[0].Boot = claim.MaxBoot + 1 }), ErrMalformed},
		"state out of range":  {good(func(p *Packet) { p.Claims[0].State = 9 }), ErrMalformed},
		"suspect as a claim":  {good(func(p *Packet) { p.Claims[0].State = claim.State(2) }), ErrMalformed},
		"bad address":         {good(func(p *Packet) { p.Claims[0].Addr = "nowhere" }), ErrMalformed},
		"array of 2^32":       {summed([]byte{0xdd, 0xff, 0xff, 0xff, 0xff}), ErrMalformed},
	} {
		if p, err := Decode(tt.buf); !errors.Is(err, tt.want) {
			t.Errorf("%s: %+v, %v; want %v", name, p, err, tt.want)
		}
	}
}

// everyBit turns over each bit of buf in turn.
func everyBit(t *testing.T, what string, buf []byte, damaged func([]byte) bool) {
	t.Helper()
	if damaged(buf) {
		t.Fatalf("%s: not accepted as it is", what)
	}
	for i := range len(buf) * 8 {
		buf[i/8] ^= 1 << (i % 8)
		if !damaged(buf) {
			t.Errorf("%s: accepted with bit %d of %d turned over", what, i, len(buf)*8)
		}
		buf[i/8] ^= 1 << (i % 8)
	}
}

// numbers is some message that is no packet.
type numbers struct{ Boot, Epoch, Seq uint64 }

// Every single bit of a message counts.
func TestOneWrongBitIsNoticed(t *testing.T) {
	for _, p := range samplePackets() {
		buf, err := Encode(p)
		if err != nil {
			t.Fatal(err)
		}
		everyBit(t, "packet", buf, func(b []byte) bool { _, err := Decode(b); return err != nil })
	}
	buf, err := MarshalSummed(&numbers{Boot: 1, Epoch: 2, Seq: 3})
	if err != nil {
		t.Fatal(err)
	}
	everyBit(t, "numbers", buf, func(b []byte) bool { return UnmarshalSummed(b, new(numbers)) != nil })
}

func FuzzPacket(f *testing.F) {
	for _, p := range samplePackets() {
		buf, err := Encode(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(buf[headSize:]) // the checksum is always right: nearly nothing would get past it
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Decode(summed(b))
		if err != nil {
			return
		}
		buf, err := Encode(p)
		if err != nil {
			t.Fatalf("%+v was accepted but cannot be encoded: %v", p, err)
		}
		if q, err := Decode(buf); err != nil || !reflect.DeepEqual(p, q) {
			t.Fatalf("%+v came back as %+v: %v", p, q, err)
		}
	})
}

// Decoders are used again: nothing of one packet may show in the next one.
func TestDecodeForgets(t *testing.T) {
	first := numbers{Boot: 1, Epoch: 2, Seq: 3}
	buf, err := Marshal(&first)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		var got numbers
		if err := Unmarshal(buf, &got); err != nil || got != first {
			t.Fatalf("decoded %+v, %v: want %+v", got, err, first)
		}
		for _, none := range [][]byte{nil, {}, buf[:2]} {
			if err := Unmarshal(none, &got); err == nil {
				t.Fatalf("decoded %+v from %v", got, none)
			}
		}
	}
}
