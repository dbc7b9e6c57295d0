package wire

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pulsering/pulsering/cluster/internal/claim"
)

// Whatever is to be sent: each packet fits, nothing is lost, doubled or out of order, and
// the sizes are an upper bound.
func TestPack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	number := func() uint64 { return r.Uint64() >> r.IntN(64) }
	name := func() string { return strings.Repeat("n", 1+r.IntN(MaxName)) }
	type content struct {
		beats  []*Beat
		asks   []Ask
		claims []claim.Claim
	}
	collect := func(packets []Outgoing) map[string]content {
		all := map[string]content{}
		for _, o := range packets {
			c := all[o.To]
			if o.Packet.Beat != nil {
				c.beats = append(c.beats, o.Packet.Beat)
			}
			c.asks, c.claims = append(c.asks, o.Packet.Asks...), append(c.claims, o.Packet.Claims...)
			all[o.To] = c
		}
		return all
	}
	for range 2000 {
		room := MaxDatagram - r.IntN(300)
		from := name()
		few := func() int { return r.IntN(30) }
		shared := make([]claim.Claim, few())
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
			shared[i].State = claim.Down
			if r.IntN(2) == 0 {
				shared[i].Basis = &claim.Basis{Phi: number(), Threshold: number(), By: []string{"short", "names"}}
			}
		}
		var packets []Outgoing
		for range r.IntN(6) {
			p := &Packet{From: from, Boot: number()}
			if r.IntN(2) == 0 {
				p.Beat = new(Beat)
				fill(reflect.ValueOf(p.Beat).Elem())
				p.Beat.Every = 5000 + number()%10_000_000
				p.Beat.Interval = p.Beat.Every * (number() % maxTurns)
			}
			p.Asks = make([]Ask, few())
			for i := range p.Asks {
				fill(reflect.ValueOf(&p.Asks[i]).Elem())
			}
			if r.IntN(2) == 0 {
				p.Claims = shared // as a flood does
			}
			packets = append(packets, Outgoing{string([]byte{'a' + byte(r.IntN(3))}), p})
		}
		want := collect(packets)
		sharedBefore := slices.Clone(shared)
		got := Pack(packets, room)
		if !reflect.DeepEqual(collect(got), want) {
			t.Fatal("what was packed is not what was to be sent")
		}
		if !slices.Equal(shared, sharedBefore) {
			t.Fatal("claims of another packet were overwritten")
		}
		for _, o := range got {
			buf, err := Encode(o.Packet)
			if err != nil {
				t.Fatal(err)
			}
			if size := o.Packet.Size(); len(buf) > size || size > room || o.Packet.parts() > MaxParts {
				t.Fatalf("%d bytes and %d parts, counted as %d bytes: want at most %d and %d", len(buf), o.Packet.parts(), size, room, MaxParts)
			}
		}
	}
}

// A verdict by members with the longest names fits, with fewer of them.
func TestVerdictIsTrimmed(t *testing.T) {
	cl := claim.Claim{Name: strings.Repeat("n", MaxName), Boot: claim.MaxBoot, State: claim.Down, Basis: &claim.Basis{}}
	for range MaxBy {
		cl.Basis.By = append(cl.Basis.By, strings.Repeat("b", MaxName))
	}
	for _, room := range []int{700, 1000, MaxDatagram} {
		p := &Packet{From: cl.Name, Boot: claim.MaxBoot, Claims: []claim.Claim{cl}}
		packed := Pack([]Outgoing{{"x", p}}, room)
		got := packed[len(packed)-1].Packet
		if len(got.Claims) != 1 || got.Size() > room || len(got.Claims[0].Basis.By) == 0 {
			t.Errorf("into %d bytes went %d of %d", room, got.Size(), len(got.Claims))
		}
	}
	if len(cl.Basis.By) != MaxBy {
		t.Error("the verdict itself has changed")
	}
}
