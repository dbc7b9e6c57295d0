package link

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

func FuzzDecodeBeat(f *testing.F) {
	for _, b := range []Beat{{}, {Seq: 7, Sent: time.Hour, Every: time.Second, Ack: 3, RTT: time.Millisecond, State: []byte("x"), OneWay: true}} {
		p, _ := AppendBeat(nil, b)
		f.Add(p)
	}
	f.Add([]byte{beatPing, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02})
	f.Fuzz(func(t *testing.T, p []byte) {
		b, err := DecodeBeat(p)
		if err != nil {
			return
		}
		again, err := AppendBeat(nil, b)
		if err != nil {
			t.Fatalf("%+v was decoded from %x and cannot be encoded: %v", b, p, err)
		}
		if c, err := DecodeBeat(again); err != nil || !reflect.DeepEqual(b, c) || len(again) > len(p) {
			t.Fatalf("%x is %+v, %x is %+v (%v)", p, b, again, c, err)
		}
	})
}

func FuzzParseControl(f *testing.F) {
	for _, s := range []string{``, `{}`, `PING`, `{"type":"hello","v":1,"session":"ann","secret":"x","last":3,"every_ms":1000}`, `{"type":"retry","after_ms":-1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		c, ok, err := parseControl(p)
		if err != nil || !ok {
			if c != (control{}) && err == nil {
				t.Fatalf("%q is none, and is %+v", p, c)
			}
			return
		}
		if c.Type == "" || c.Every < 0 || fromMillis(c.Every) > maxEvery || c.After < 0 || fromMillis(c.After) > maxEvery || len(c.Session) > MaxName {
			t.Fatalf("%q is %+v", p, c)
		}
		if d, ok, err := parseControl(c.frame().Payload); !ok || err != nil || c != d {
			t.Fatalf("%q is %+v, and after another turn %+v (%v)", p, c, d, err)
		}
		if !json.Valid(p) {
			t.Fatalf("%q is no JSON", p)
		}
	})
}

func FuzzSplitData(f *testing.F) {
	f.Add([]byte{1, 'x'})
	f.Add([]byte{0})
	f.Add(bytes.Repeat([]byte{0xff}, 11))
	f.Fuzz(func(t *testing.T, p []byte) {
		seq, data, ok := splitData(p)
		if !ok {
			return
		}
		again, rest, ok := splitData(appendData(nil, seq, data))
		if !ok || seq == 0 || again != seq || !bytes.Equal(rest, data) {
			t.Fatalf("%x is %d %x, and after another turn %d %x", p, seq, data, again, rest)
		}
	})
}
