package cluster

import "github.com/pulsering/pulsering/cluster/internal/wire"

// gossipBuffer is memberlist's UDPBufferSize, which counts all but the 5 bytes of its own checksum
// (v0.7.0, rawSendMsgPacket).
const gossipBuffer = wire.MaxDatagram - 5

// room is how long a packet may be, after what memberlist puts around it: its type, the label (v0.7.0,
// labelOverhead) and the encryption (encryptOverhead).
func (p *prepared) room() int {
	room := wire.MaxDatagram - 1
	if p.Label != "" {
		room -= 2 + len(p.Label)
	}
	if len(p.Keys) > 0 {
		room -= 29
	}
	return room
}

// compoundRoom is what else memberlist's gossip takes of a datagram: its own checksum, and 2 bytes each
// for what is packed and for each part of it. A broadcast that does not fit would stay in its queue
// for ever.
const compoundRoom = 5 + 2 + 2
