package cluster

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Whatever is to be sent: each packet fits, nothing is lost, doubled or out of order, and the sizes are an upper bound.
func TestPack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	number := func() uint64 { return r.Uint64() >> r.IntN(64) }
	name := func() string { return strings.Repeat("n", 1+r.IntN(maxName)) }
	type content struct {
		beats  []*beat
		asks   []ask
		claims []claim
	}
	collect := func(packets []outgoing) map[string]content {
		all := map[string]content{}
		for _, o := range packets {
			c := all[o.to]
			if o.packet.Beat != nil {
				c.beats = append(c.beats, o.packet.Beat)
			}
			c.asks, c.claims = append(c.asks, o.packet.Asks...), append(c.claims, o.packet.Claims...)
			all[o.to] = c
		}
		return all
	}
	for range 2000 {
		room := maxDatagram - r.IntN(300)
		from := name()
		few := func() int { return r.IntN(30) }
		shared := make([]claim, few())
		fill := func(v reflect.Value) { // every field, also those to come
			for i := range v.NumField() {
				switch f := v.Field(i); f.Kind() {
				case reflect.Uint64:
					f.SetUint(number())
				case reflect.String:
					f.SetString(name())
				}
			}
		}
		for i := range shared {
			fill(reflect.ValueOf(&shared[i]).Elem())
			shared[i].State = StateDown
			if r.IntN(2) == 0 {
				shared[i].Basis = &basis{Phi: number(), Threshold: number(), By: []string{"short", "names"}}
			}
		}
		var packets []outgoing
		for range r.IntN(6) {
			p := &packet{From: from, Boot: number()}
			if r.IntN(2) == 0 {
				p.Beat = new(beat)
				fill(reflect.ValueOf(p.Beat).Elem())
				p.Beat.Every = 5000 + number()%10_000_000
				p.Beat.Interval = p.Beat.Every * (number() % maxTurns)
			}
			p.Asks = make([]ask, few())
			for i := range p.Asks {
				fill(reflect.ValueOf(&p.Asks[i]).Elem())
			}
			if r.IntN(2) == 0 {
				p.Claims = shared // as a flood does
			}
			packets = append(packets, outgoing{string([]byte{'a' + byte(r.IntN(3))}), p})
		}
		want := collect(packets)
		sharedBefore := slices.Clone(shared)
		got := pack(packets, room)
		if !reflect.DeepEqual(collect(got), want) {
			t.Fatal("what was packed is not what was to be sent")
		}
		if !slices.Equal(shared, sharedBefore) {
			t.Fatal("claims of another packet were overwritten")
		}
		for _, o := range got {
			buf, err := encodePacket(o.packet)
			if err != nil {
				t.Fatal(err)
			}
			if size := o.packet.size(); len(buf) > size || size > room || o.packet.parts() > maxParts {
				t.Fatalf("%d bytes and %d parts, counted as %d bytes: want at most %d and %d", len(buf), o.packet.parts(), size, room, maxParts)
			}
		}
	}
}

// A verdict by members with the longest names fits, with fewer of them.
func TestVerdictIsTrimmed(t *testing.T) {
	cl := claim{Name: strings.Repeat("n", maxName), Boot: maxBoot, State: StateDown, Basis: &basis{}}
	for range maxBy {
		cl.Basis.By = append(cl.Basis.By, strings.Repeat("b", maxName))
	}
	for _, room := range []int{700, 1000, maxDatagram} {
		p := &packet{From: cl.Name, Boot: maxBoot, Claims: []claim{cl}}
		packed := pack([]outgoing{{"x", p}}, room)
		got := packed[len(packed)-1].packet
		if len(got.Claims) != 1 || got.size() > room || len(got.Claims[0].Basis.By) == 0 {
			t.Errorf("into %d bytes went %d of %d", room, got.size(), len(got.Claims))
		}
	}
	if len(cl.Basis.By) != maxBy {
		t.Error("the verdict itself has changed")
	}
}
