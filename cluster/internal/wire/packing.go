package wire

import (
	"slices"

	"github.com/pulsering/pulsering/cluster/internal/claim"
)

// Outgoing is a packet and where it goes.
type Outgoing struct {
	To     string // ip:port
	Packet *Packet
}

// MaxDatagram is the most that is sent in one datagram: what every path of IPv6 carries
// (RFC 8200, section 5: an MTU of 1280 bytes), less 40 bytes of its header and 8 of UDP's.
// Tunnels are as narrow as that, and what is larger is lost on them.
const MaxDatagram = 1280 - 40 - 8

// MaxParts is how many questions and claims a packet holds at most, whatever their size.
const MaxParts = 20

func (p *Packet) parts() int { return len(p.Asks) + len(p.Claims) }

// The sizes are what msgpack takes at most: strings of 32 bytes and more have a head of 3,
// and so have arrays.

// Size is how many bytes the packet takes at most.
func (p *Packet) Size() int {
	sum := headSize + 1 + stringSize(p.From) + uintSize(p.Boot) + 1 + 3 + 3
	if b := p.Beat; b != nil {
		sum += 1 + uintSize(b.Epoch) + uintSize(b.Seq) + uintSize(b.Edge) + 5 + 1 + uintSize(b.EchoEdge) + uintSize(b.EchoHold) + 5 + 1
	}
	for _, a := range p.Asks {
		sum += a.size()
	}
	for i := range p.Claims {
		sum += size(&p.Claims[i])
	}
	return sum
}

func (a *Ask) size() int {
	return 1 + stringSize(a.Name) + uintSize(a.Boot) + uintSize(a.Epoch) + uintSize(a.Seq) + uintSize(a.Doubt) + uintSize(a.Age) + uintSize(a.Awaits) +
		uintSize(a.Before)
}

func size(c *claim.Claim) int {
	sum := 1 + stringSize(c.Name) + uintSize(c.Boot) + uintSize(c.Epoch) + uintSize(c.Seq) + 1 + stringSize(c.Addr) + uintSize(c.Age) + 1
	if b := c.Basis; b != nil {
		sum += uintSize(b.Phi) + uintSize(b.Threshold) + 3 + stringSize(b.Exit)
		for _, name := range b.By {
			sum += stringSize(name)
		}
	}
	return sum
}

// Trimmed is c with as many of the names that its verdict rests on as fit into room.
func Trimmed(c claim.Claim, room int) claim.Claim {
	for c.Basis != nil && len(c.Basis.By) > 0 && size(&c) > room {
		b := *c.Basis
		b.By = b.By[:len(b.By)-1]
		c.Basis = &b
	}
	return c
}

func stringSize(s string) int { return 3 + len(s) }

func uintSize(v uint64) int {
	switch {
	case v < 1<<7:
		return 1
	case v < 1<<8:
		return 2
	case v < 1<<16:
		return 3
	case v < 1<<32:
		return 5
	}
	return 9
}

// Pack has packets to one member travel together where they fit into room, and apart where
// they do not.
func Pack(packets []Outgoing, room int) []Outgoing {
	if len(packets) == 0 || len(packets) == 1 && packets[0].Packet.fits(room) {
		return packets
	}
	type open struct {
		packet *Packet
		size   int
	}
	last := make(map[string]*open, len(packets))
	packed := make([]Outgoing, 0, len(packets))
	for _, o := range packets {
		for _, piece := range o.Packet.split(room) {
			size := piece.Size()
			into := last[o.To]
			if into == nil || into.packet.Beat != nil && piece.Beat != nil ||
				into.packet.parts()+piece.parts() > MaxParts || into.size+size > room {
				last[o.To] = &open{piece, size}
				packed = append(packed, Outgoing{o.To, piece})
				continue
			}
			if into.packet.Beat == nil {
				into.packet.Beat = piece.Beat
			}
			into.packet.Asks = append(slices.Clip(into.packet.Asks), piece.Asks...)
			into.packet.Claims = append(slices.Clip(into.packet.Claims), piece.Claims...)
			into.size += size
		}
	}
	return packed
}

func (p *Packet) fits(room int) bool { return p.parts() <= MaxParts && p.Size() <= room }

// split returns p in pieces that fit into room, the heartbeat in the first one.
func (p *Packet) split(room int) []*Packet {
	if p.fits(room) {
		return []*Packet{p}
	}
	piece := &Packet{From: p.From, Boot: p.Boot, Beat: p.Beat}
	pieces := []*Packet{piece}
	empty := &Packet{From: p.From, Boot: p.Boot}
	most := room - empty.Size()
	held := piece.Size()
	next := func(more int) {
		if held += more; held > room || piece.parts() >= MaxParts {
			piece = &Packet{From: p.From, Boot: p.Boot}
			pieces = append(pieces, piece)
			held = empty.Size() + more
		}
	}
	for _, a := range p.Asks {
		next(a.size())
		piece.Asks = append(piece.Asks, a)
	}
	for _, c := range p.Claims {
		c = Trimmed(c, most)
		next(size(&c))
		piece.Claims = append(piece.Claims, c)
	}
	return pieces
}
