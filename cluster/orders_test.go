package cluster

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// Whatever an order or a report holds, it is carried out or counted as dropped, once, and nothing of it reaches a log as it came.
func FuzzOrder(f *testing.F) {
	for _, v := range []any{
		&order{Nonce: 1, Addr: "10.0.0.1:7946", Op: addKey, Key: make([]byte, 32)},
		&order{Nonce: 2, Addr: "10.0.0.1:7946", Op: forgetMember, Name: "b", Boot: 7},
		&report{Nonce: 3, Name: "b", Boot: 7, Failed: "no", Keys: []string{"x"}},
	} {
		body, err := wire.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(orderMark), body)
		f.Add(byte(reportMark), body)
	}
	f.Fuzz(func(t *testing.T, mark byte, body []byte) {
		if mark != orderMark && mark != reportMark {
			return
		}
		c := loner(t, time.Now(), Config{Name: "a"})
		buf := binary.BigEndian.AppendUint32(body[:len(body):len(body)], crc32.Checksum(body, wire.Castagnoli))
		c.received(time.Now(), append([]byte{mark}, buf...))
		var dropped uint64
		for _, n := range c.count.stats().Dropped {
			dropped += n
		}
		if done := len(c.out.orders) + len(c.out.reports); done+int(dropped) != 1 {
			t.Fatalf("%d carried out, %d dropped", done, dropped)
		}
		for _, r := range c.out.reports {
			if a := r.answer(); a.Err != nil && strings.ContainsFunc(a.Err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Fatalf("%q", a.Err)
			}
			for _, id := range r.Keys {
				if len(id) > 16 || strings.ContainsFunc(id, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Fatalf("key %q", id)
				}
			}
		}
	})
}

// An order is carried out where a member is to get the report: nobody is made to call a stranger.
func TestOrdersOfMembersOnly(t *testing.T) {
	now := time.Now()
	c := loner(t, now, Config{Name: "a"})
	r := meet(t, c, now, "b", "10.0.0.2:7946", nil)
	ask := func(addr string) (carried int) {
		body, err := wire.MarshalSummed(&order{Nonce: 1, Addr: addr, Op: listKeys})
		if err != nil {
			t.Fatal(err)
		}
		c.received(now, append([]byte{orderMark}, body...))
		return len(c.takeOut().orders)
	}
	if ask("10.0.0.3:7946") != 0 || c.count.stats().Dropped[dropStranger] != 1 {
		t.Error("a report goes to a stranger, or the order is not counted")
	}
	if ask(r.Addr) != 1 {
		t.Error("a member's order is not carried out")
	}
	c.condemn(now, r, ReasonSilent)
	if ask(r.Addr) != 0 {
		t.Error("an order of one that is down is carried out")
	}
}

func TestPrintableCut(t *testing.T) {
	for in, want := range map[string]string{
		"exit status 3":          "exit status 3",
		" \x1b[31mred\x07\n":     ".[31mred.",
		strings.Repeat("ä", 100): strings.Repeat("ä", 32),
		"\xff\xfe":               "..",
		"  ":                     "",
	} {
		got := wire.PrintableCut(in, wire.MaxDetail)
		if got != want || wire.PrintableCut(got, wire.MaxDetail) != got {
			t.Errorf("%q is cut to %q, want %q", in, got, want)
		}
	}
}
