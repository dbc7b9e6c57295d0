package cluster

import (
	"slices"
)

// maxDatagram is the most that is sent in one datagram: what every path of IPv6 carries (RFC 8200, section 5: an MTU of 1280
// bytes), less 40 bytes of its header and 8 of UDP's. Tunnels are as narrow as that, and what is larger is lost on them.
const maxDatagram = 1280 - 40 - 8

// gossipBuffer is memberlist's UDPBufferSize, which counts all but the 5 bytes of its own checksum (v0.7.0, rawSendMsgPacket).
const gossipBuffer = maxDatagram - 5

// room is how long a packet may be, after what memberlist puts around it: its type, the label (v0.7.0, labelOverhead) and
// the encryption (encryptOverhead).
func (p *prepared) room() int {
	room := maxDatagram - 1
	if p.Label != "" {
		room -= 2 + len(p.Label)
	}
	if len(p.Keys) > 0 {
		room -= 29
	}
	return room
}

// compoundRoom is what else memberlist's gossip takes of a datagram: its own checksum, and 2 bytes each for what is packed and for each
// part of it. A broadcast that does not fit would stay in its queue for ever.
const compoundRoom = 5 + 2 + 2

// maxParts is how many questions and claims a packet holds at most, whatever their size.
const maxParts = 20

func (p *packet) parts() int { return len(p.Asks) + len(p.Claims) }

// The sizes are what msgpack takes at most: strings of 32 bytes and more have a head of 3, and so have arrays.

func (p *packet) size() int {
	size := headSize + 1 + stringSize(p.From) + uintSize(p.Boot) + 1 + 3 + 3
	if b := p.Beat; b != nil {
		size += 1 + uintSize(b.Epoch) + uintSize(b.Seq) + uintSize(b.Edge) + 5 + 1 + uintSize(b.EchoEdge) + uintSize(b.EchoHold) + 5 + 1
	}
	for _, a := range p.Asks {
		size += a.size()
	}
	for _, c := range p.Claims {
		size += c.size()
	}
	return size
}

func (a *ask) size() int {
	return 1 + stringSize(a.Name) + uintSize(a.Boot) + uintSize(a.Epoch) + uintSize(a.Seq) + uintSize(a.Doubt) + uintSize(a.Age) + uintSize(a.Awaits) +
		uintSize(a.Before)
}

func (c *claim) size() int {
	size := 1 + stringSize(c.Name) + uintSize(c.Boot) + uintSize(c.Epoch) + uintSize(c.Seq) + 1 + stringSize(c.Addr) + uintSize(c.Age) + 1
	if b := c.Basis; b != nil {
		size += uintSize(b.Phi) + uintSize(b.Threshold) + 3 + stringSize(b.Exit)
		for _, name := range b.By {
			size += stringSize(name)
		}
	}
	return size
}

// trimmed is c with as many of the names that its verdict rests on as fit into room.
func (c claim) trimmed(room int) claim {
	for c.Basis != nil && len(c.Basis.By) > 0 && c.size() > room {
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

// pack has packets to one member travel together where they fit into room, and apart where they do not.
func pack(packets []outgoing, room int) []outgoing {
	if len(packets) == 0 || len(packets) == 1 && packets[0].packet.fits(room) {
		return packets
	}
	type open struct {
		packet *packet
		size   int
	}
	last := make(map[string]*open, len(packets))
	packed := make([]outgoing, 0, len(packets))
	for _, o := range packets {
		for _, piece := range o.packet.split(room) {
			size := piece.size()
			into := last[o.to]
			if into == nil || into.packet.Beat != nil && piece.Beat != nil ||
				into.packet.parts()+piece.parts() > maxParts || into.size+size > room {
				last[o.to] = &open{piece, size}
				packed = append(packed, outgoing{o.to, piece})
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

func (p *packet) fits(room int) bool { return p.parts() <= maxParts && p.size() <= room }

// split returns p in pieces that fit into room, the heartbeat in the first one.
func (p *packet) split(room int) []*packet {
	if p.fits(room) {
		return []*packet{p}
	}
	piece := &packet{From: p.From, Boot: p.Boot, Beat: p.Beat}
	pieces := []*packet{piece}
	empty := &packet{From: p.From, Boot: p.Boot}
	most := room - empty.size()
	size := piece.size()
	next := func(more int) {
		if size += more; size > room || piece.parts() >= maxParts {
			piece = &packet{From: p.From, Boot: p.Boot}
			pieces = append(pieces, piece)
			size = empty.size() + more
		}
	}
	for _, a := range p.Asks {
		next(a.size())
		piece.Asks = append(piece.Asks, a)
	}
	for _, c := range p.Claims {
		c = c.trimmed(most)
		next(c.size())
		piece.Claims = append(piece.Claims, c)
	}
	return pieces
}
