package cluster

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"maps"
	"net"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/hashicorp/memberlist"
)

func samplePackets() []*packet {
	return []*packet{
		{From: "a", Boot: 1, Beat: &beat{Epoch: 2, Seq: 3, Edge: 4, Interval: 5000, Mutual: true, EchoEdge: 6, EchoHold: 7, Every: 5000, Deaf: true}},
		{From: "node-7.example", Boot: maxBoot, Asks: []ask{{Name: "b", Boot: 2, Epoch: 1, Seq: 3, Doubt: 270, Age: 123456, Awaits: 1}}},
		{From: "ä", Boot: 9, Claims: []claim{
			{Name: "b", Boot: 2, Epoch: 1, Seq: 77, State: StateDown, Addr: "10.0.0.2:7946"},
			{Name: "c", Boot: 3, State: StateLeft, Addr: "[fd00::1]:7946"},
			{Name: "d", Boot: 4, State: StateDown, Basis: &basis{Phi: 870, Threshold: 830, By: []string{"a", "b"}}},
			{Name: "e", Boot: 5, State: StateDown, Basis: &basis{By: []string{"e"}, Exit: "exit status 3"}},
		}},
	}
}

func TestPacketRoundTrip(t *testing.T) {
	for _, p := range samplePackets() {
		buf, err := encodePacket(p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodePacket(buf)
		if err != nil {
			t.Fatalf("decode %+v: %v", p, err)
		}
		again, err := encodePacket(got)
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
		Beat   *beat
		Asks   []ask
		Claims []claim
		New    []string
	}
	body, err := encode(&longer{From: "a", Boot: 1, New: []string{"x", "y"}})
	if err != nil {
		t.Fatal(err)
	}
	if p, err := decodePacket(summed(body)); err != nil || p.From != "a" {
		t.Errorf("a longer packet: %+v, %v", p, err)
	}
	type shorter struct {
		From string
		Boot uint64
	}
	if body, err = encode(&shorter{From: "b", Boot: 2}); err != nil {
		t.Fatal(err)
	}
	p, err := decodePacket(summed(body))
	if err != nil || !reflect.DeepEqual(p, &packet{From: "b", Boot: 2}) {
		t.Errorf("a shorter packet: %+v, %v", p, err)
	}
}

// summed makes a packet of what it is to hold.
func summed(body []byte) []byte {
	head := binary.BigEndian.AppendUint32([]byte{wireVersion}, crc32.Checksum(body, castagnoli))
	return append(head, body...)
}

func TestPacketRefused(t *testing.T) {
	good := func(change func(*packet)) []byte {
		p := &packet{From: "a", Boot: 1, Claims: []claim{{Name: "b", Boot: 1, State: StateDown, Addr: "10.0.0.2:7946"}}}
		change(p)
		buf, err := encodePacket(p)
		if err != nil {
			t.Fatal(err)
		}
		return buf
	}
	intact := good(func(*packet) {})
	if _, err := decodePacket(intact); err != nil {
		t.Fatalf("the packet that the others are made from: %v", err)
	}
	for name, tt := range map[string]struct {
		buf  []byte
		want error
	}{
		"empty":               {nil, errVersion},
		"another version":     {append([]byte{wireVersion + 1}, intact[1:]...), errVersion},
		"version only":        {intact[:1], errChecksum},
		"no body":             {intact[:headSize], errChecksum},
		"cut short":           {intact[:len(intact)-1], errChecksum},
		"cut short, summed":   {summed(intact[headSize : len(intact)-1]), errMalformed},
		"more behind it":      {append(bytes.Clone(intact), 0), errChecksum},
		"more, summed":        {summed(append(bytes.Clone(intact[headSize:]), 0)), errMalformed},
		"address with a zone": {good(func(p *packet) { p.Claims[0].Addr = "[fe80::1%\x1b[2J]:1" }), errMalformed},
		"no sender":           {good(func(p *packet) { p.From = "" }), errMalformed},
		"space in a name":     {good(func(p *packet) { p.From = "a b" }), errMalformed},
		"long name":           {good(func(p *packet) { p.Claims[0].Name = strings.Repeat("x", maxName+1) }), errMalformed},
		"no boot":             {good(func(p *packet) { p.Boot = 0 }), errMalformed},
		"boot of the end":     {good(func(p *packet) { p.Claims[0].Boot = maxBoot + 1 }), errMalformed},
		"state out of range":  {good(func(p *packet) { p.Claims[0].State = 9 }), errMalformed},
		"suspect as a claim":  {good(func(p *packet) { p.Claims[0].State = StateSuspect }), errMalformed},
		"bad address":         {good(func(p *packet) { p.Claims[0].Addr = "nowhere" }), errMalformed},
		"array of 2^32":       {summed([]byte{0xdd, 0xff, 0xff, 0xff, 0xff}), errMalformed},
	} {
		if p, err := decodePacket(tt.buf); !errors.Is(err, tt.want) {
			t.Errorf("%s: %+v, %v; want %v", name, p, err, tt.want)
		}
	}
}

// Every single bit of a packet, of an announcement and of a sign counts.
func TestOneWrongBitIsNoticed(t *testing.T) {
	bits := func(what string, buf []byte, damaged func([]byte) bool) {
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
	for _, p := range samplePackets() {
		buf, err := encodePacket(p)
		if err != nil {
			t.Fatal(err)
		}
		bits("packet", buf, func(b []byte) bool { _, err := decodePacket(b); return err != nil })
	}
	buf, err := encodeSummed(&sign{Boot: 1, Epoch: 2, Seq: 3})
	if err != nil {
		t.Fatal(err)
	}
	bits("sign", buf, func(b []byte) bool { return decodeSummed(b, new(sign)) != nil })

	m, err := encodeMeta(meta{Boot: 7, Tags: map[string]string{"zone": "a"}})
	if err != nil {
		t.Fatal(err)
	}
	n := &memberlist.Node{Name: "n#1", Addr: net.IP{10, 0, 0, 1}, Port: 7946, PMin: 1, PMax: 5, PCur: 2}
	n.Meta = sealMeta(m, n)
	damaged := func([]byte) bool { return checkSeal(n) != nil }
	bits("metadata", n.Meta, damaged)
	bits("address", n.Addr, damaged)
	name := []byte(n.Name)
	bits("name", name, func([]byte) bool { n.Name = string(name); return checkSeal(n) != nil })
	n.Name = string(name)
	for _, field := range []*uint8{&n.PMin, &n.PMax, &n.PCur, &n.DMin, &n.DMax, &n.DCur} {
		bits("versions", unsafe.Slice(field, 1), damaged)
	}
	if got := unsealed(n.Meta); !bytes.Equal(got, m) {
		t.Errorf("unsealed metadata is %q, want %q", got, m)
	}
}

func FuzzPacket(f *testing.F) {
	for _, p := range samplePackets() {
		buf, err := encodePacket(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(buf[headSize:]) // the checksum is always right: nearly nothing would get past it
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodePacket(summed(b))
		if err != nil {
			return
		}
		buf, err := encodePacket(p)
		if err != nil {
			t.Fatalf("%+v was accepted but cannot be encoded: %v", p, err)
		}
		if q, err := decodePacket(buf); err != nil || !reflect.DeepEqual(p, q) {
			t.Fatalf("%+v came back as %+v: %v", p, q, err)
		}
	})
}

// Whatever an announcement holds: looking for damage in it and taking the seal off neither fails nor changes it.
func FuzzSeal(f *testing.F) {
	f.Add([]byte(metaPrefix + "\x92\x01\xc0"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := &memberlist.Node{Name: "n#1", Addr: net.IP{10, 0, 0, 1}, Port: 7946, Meta: b}
		_ = checkSeal(n)
		if !bytes.HasPrefix(b, []byte(metaPrefix)) {
			return
		}
		n.Meta = sealMeta(b, n)
		if err := checkSeal(n); err != nil || !bytes.Equal(unsealed(n.Meta), b) {
			t.Fatalf("%q came back as %q: %v", b, unsealed(n.Meta), err)
		}
	})
}

func FuzzMeta(f *testing.F) {
	for _, m := range []meta{{}, {Boot: 1}, {Boot: maxBoot, Tags: map[string]string{"zone": "a"}}} {
		buf, err := encodeMeta(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(buf)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMeta(b)
		if err != nil {
			return
		}
		if again, err := encodeMeta(m); err == nil {
			if n, err := decodeMeta(again); err != nil || n.Boot != m.Boot || !maps.Equal(n.Tags, m.Tags) {
				t.Fatalf("%+v came back as %+v: %v", m, n, err)
			}
		}
	})
}

// Decoders are used again: nothing of one packet may show in the next one.
func TestDecodeForgets(t *testing.T) {
	first := sign{Boot: 1, Epoch: 2, Seq: 3}
	buf, err := encode(&first)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		var got sign
		if err := decode(buf, &got); err != nil || got != first {
			t.Fatalf("decoded %+v, %v: want %+v", got, err, first)
		}
		for _, none := range [][]byte{nil, {}, buf[:2]} {
			if err := decode(none, &got); err == nil {
				t.Fatalf("decoded %+v from %v", got, none)
			}
		}
	}
}
