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
