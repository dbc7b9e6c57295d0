package cluster

// What the tests of forged messages need of the wire format.
type (
	Packet = packet
	Beat   = beat
	Claim  = claim
	Ask    = ask
)

var (
	EncodePacket = encodePacket
	SealMeta     = sealMeta
)

// GossipMembers is how many members memberlist holds for alive.
func (n *Node) GossipMembers() int { return n.ml.NumMembers() }
