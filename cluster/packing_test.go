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
		shared := make([]claim, r.IntN(30))
		for i := range shared {
			shared[i] = claim{Name: name(), Boot: number(), Epoch: number(), Seq: number(), State: StateDown, Addr: "[fd00:1234:5678:9abc:def0:1234:5678:1]:65535", Age: number()}
		}
		var packets []outgoing
		for range r.IntN(6) {
			p := &packet{From: from, Boot: number()}
			if r.IntN(2) == 0 {
				every := 5000 + number()%10_000_000
				p.Beat = &beat{Epoch: number(), Seq: number(), Edge: number(), Every: every, Interval: every * (number() % maxTurns), EchoEdge: number(), EchoHold: number()}
			}
			for range r.IntN(30) {
				p.Asks = append(p.Asks, ask{name(), number(), number(), number(), number(), number(), number()})
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
