package cluster

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// The wire format. Every message is one packet: a version byte, then the msgpack array of struct packet. It travels as
// a memberlist user message, which brings label and encryption with it. Fields are only ever added at the end of a
// struct: an older decoder skips what it does not know, a newer one reads zero for what is not there.
const wireVersion = 1

// packet is what one member says to another. Any of its parts may be missing.
type packet struct {
	From   string // who sent this: a member's name
	Boot   uint64 // and its boot
	Beat   *beat
	Asks   []ask
	Claims []claim // verdicts, and answers by those who know later
}

// beat is a heartbeat.
type beat struct {
	Epoch    uint64 // the sender's epoch
	Seq      uint64 // counts the sender's heartbeats to anyone: the order of evidence
	Edge     uint64 // counts the sender's heartbeats to this receiver: losses are learnt from its gaps
	Interval uint64 // µs until the next one to this receiver at the latest; 0: there will be none
	Mutual   bool   // the receiver is an observer of the sender by the sender's own reckoning
	EchoEdge uint64 // Edge of the last heartbeat that came the other way; 0: none
	EchoHold uint64 // µs that it had waited here when this one was sent
	Every    uint64 // µs between two heartbeats of the sender to anyone
	Deaf     bool   // the sender hears nobody
}

// ask is a question and an opinion in one: this is the latest that I know of the member, and this how much I doubt that it
// lives. Whoever knows later answers with a claim, and the member itself always does. Whoever else listens to the member
// looks into it too, and says so with an ask of its own.
type ask struct {
	Name   string
	Boot   uint64
	Epoch  uint64
	Seq    uint64 // the latest heartbeat that the sender knows of
	Doubt  uint64 // φ of the sender's own path since then, in hundredths; 0: no opinion
	Age    uint64 // µs since then, as far as the sender knows
	Awaits uint64 // how many heartbeats after Seq the next one that comes to the sender is due; 0: none come
	Before uint64 // φ of what was missing a StallAllowance ago, in hundredths: the doubt that no stall explains
}

// claim is what somebody knows or judges of a member. See verdict.go for their order. Its age does not grow while gossip repeats
// it, which matters little: only news is gossiped, and that somebody is up is news only after it was down.
type claim struct {
	Name  string
	Boot  uint64
	Epoch uint64
	Seq   uint64 // the latest heartbeat of the member that this rests on
	State State  // StateUp, StateDown or StateLeft
	Addr  string // ip:port that the member advertised; may be empty where the receiver knows it
	Age   uint64 // µs, when sent, since (Up) that heartbeat or a later sign of life or (else) the change, as far as the sender knows
	Basis *basis // of a verdict, where it is news; may be nil
}

// basis is what a verdict rests on, for people to read.
type basis struct {
	Phi       uint64   // the sum of doubts, in hundredths
	Threshold uint64   // what it had to reach, likewise
	By        []string // who doubted, sorted; no more than maxBy
}

// maxBy bounds the names in a verdict's basis.
const maxBy = 8

var msgpack = func() *codec.MsgpackHandle {
	h := &codec.MsgpackHandle{}
	h.MaxInitLen = 64 // a length in a packet is a stranger's word: grow by what is really there
	h.MaxDepth = 8
	h.StructToArray = true // no field names on the wire
	return h
}()

// Encoders and decoders are used again: each is garbage of several hundred bytes, for a heartbeat of about 50.
var (
	encoders = sync.Pool{New: func() any { return codec.NewEncoderBytes(new([]byte), msgpack) }}
	decoders = sync.Pool{New: func() any { return codec.NewDecoderBytes(nil, msgpack) }}
)

func encode(v any) ([]byte, error) {
	enc := encoders.Get().(*codec.Encoder)
	defer encoders.Put(enc)
	out := make([]byte, 0, 128) // its own default is a kilobyte
	enc.ResetBytes(&out)
	err := enc.Encode(v)
	return out, err
}

func decode(b []byte, v any) error {
	dec := decoders.Get().(*codec.Decoder)
	defer decoders.Put(dec)
	dec.ResetBytes(b)
	if err := dec.Decode(v); err != nil {
		return err
	}
	if n := dec.NumBytesRead(); n != len(b) {
		return fmt.Errorf("%d bytes after the end", len(b)-n)
	}
	return nil
}

// maxBoot is the highest boot that is decoded, 146,000 years after 1970. A member takes none above highestBoot, and above what others say
// of its own name it goes only up to half of that, so that there is room for it to be restarted in. bootRoom is how much of that its
// restarts may have taken by the time that memberlist announces one of its own processes to it.
const (
	maxBoot        = 1 << 62
	highestBoot    = maxBoot / 2
	maxForeignBoot = highestBoot / 2
	bootRoom       = 1 << 20
)

// Reasons for which a packet is not acted upon.
var (
	errVersion   = errors.New("unknown version")
	errMalformed = errors.New("malformed")
)

func encodePacket(p *packet) ([]byte, error) {
	body, err := encode(p)
	return append([]byte{wireVersion}, body...), err
}

// decodePacket accepts what encodePacket makes, with names, addresses and states within their limits.
func decodePacket(b []byte) (*packet, error) {
	if len(b) == 0 || b[0] != wireVersion {
		return nil, errVersion
	}
	p := new(packet)
	if err := decode(b[1:], p); err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return p, nil
}

func (p *packet) check() error {
	if why := badName(p.From); why != "" || p.From == "" {
		return fmt.Errorf("sender's name %s", why)
	}
	if p.Boot == 0 || p.Boot > maxBoot {
		return fmt.Errorf("sender's boot is %d", p.Boot)
	}
	if b := p.Beat; b != nil && (b.Interval != 0 && b.Interval < micros(minBeat) || b.Every < micros(minBeat)) {
		return fmt.Errorf("heartbeat promises %d µs, sender's beat is %d µs", b.Interval, b.Every)
	}
	for _, a := range p.Asks {
		up := a.claim()
		if err := up.check(); err != nil {
			return err
		}
	}
	for _, c := range p.Claims {
		if err := c.check(); err != nil {
			return err
		}
	}
	return nil
}

// claim is the evidence in a question: the member lived when it sent that heartbeat.
func (a ask) claim() claim {
	return claim{Name: a.Name, Boot: a.Boot, Epoch: a.Epoch, Seq: a.Seq, State: StateUp, Age: a.Age}
}

func (c *claim) check() error {
	if why := badName(c.Name); why != "" || c.Name == "" {
		return fmt.Errorf("name in a claim %s", why)
	}
	if c.Boot == 0 || c.Boot > maxBoot {
		return fmt.Errorf("boot in a claim is %d", c.Boot)
	}
	if c.State != StateUp && c.State != StateDown && c.State != StateLeft {
		return fmt.Errorf("state in a claim is %v", c.State)
	}
	if b := c.Basis; b != nil {
		if len(b.By) > maxBy {
			return fmt.Errorf("verdict by %d members: want at most %d", len(b.By), maxBy)
		}
		for _, name := range b.By {
			if why := badName(name); why != "" || name == "" {
				return fmt.Errorf("name in a verdict %s", why)
			}
		}
	}
	if c.Addr != "" {
		if _, err := netip.ParseAddrPort(c.Addr); err != nil { // never a name: resolving one would hold everything up
			return fmt.Errorf("address in a claim: %w", err)
		}
	}
	return nil
}

// dropCause is what the counters call an error of decodePacket.
func dropCause(err error) string {
	if errors.Is(err, errVersion) {
		return dropVersion
	}
	return dropMalformed
}
