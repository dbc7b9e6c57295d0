package cluster

import (
	"bytes"
	"maps"
	"net"
	"testing"
	"unsafe"

	"github.com/hashicorp/memberlist"

	"github.com/pulsering/pulsering/cluster/internal/claim"
)

// Every single bit of an announcement counts.
func TestOneWrongBitOfAnAnnouncement(t *testing.T) {
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
	for _, m := range []meta{{}, {Boot: 1}, {Boot: claim.MaxBoot, Tags: map[string]string{"zone": "a"}}} {
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
