package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"sync"

	"github.com/hashicorp/go-msgpack/v2/codec"
)

// The wire format. Every message is one packet: a version byte, a checksum, then the msgpack array of struct packet. It
// travels as a memberlist user message, which brings label and encryption with it. Fields are only ever added at the end
// of a struct: an older decoder skips what it does not know, a newer one reads zero for what is not there.
const wireVersion = 2

// castagnoli is the polynomial of every checksum here, the one that processors compute themselves.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumSize is the length of a checksum. Memory and network cards turn bits over too, before UDP's checksum is computed or
// after it was verified; memberlist has a checksum of its own in its gossip, but none in what is sent to an address,
// in probes and their acks, and in tables.
const sumSize = 4

// headSize is what a packet begins with: version and checksum.
const headSize = 1 + sumSize

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
	Interval uint64 // µs until the next one to this receiver at the latest; 0: there will be none. See wireBeat
	Mutual   bool   // the receiver is an observer of the sender by the sender's own reckoning
	EchoEdge uint64 // Edge of the last heartbeat that came the other way; 0: none
	EchoHold uint64 // µs that it had waited here when this one was sent
	Every    uint64 // µs between two heartbeats of the sender to anyone
	Deaf     bool   // the sender hears nobody
}

// wirePacket and wireBeat are packet and beat as they travel.
type (
	wirePacket struct {
		From   string
		Boot   uint64
		Beat   *wireBeat
		Asks   []ask
		Claims []claim
	}
	wireBeat struct {
		Epoch    uint64
		Seq      uint64
		Edge     uint64
		Turns    uint64 // Interval in heartbeats of the sender to anyone, which takes one byte for five
		Mutual   bool
		EchoEdge uint64
		EchoHold uint64
		Every    uint64
		Deaf     bool
	}
	// loneBeat is a packet with nothing but a heartbeat, which most are.
	loneBeat struct {
		From string
		Boot uint64
		Beat *wireBeat
	}
)

// maxTurns is the most heartbeats between two to one receiver that are believed: every member of the largest cluster listens.
const maxTurns = 1 << 20

func (b *beat) wire() *wireBeat {
	if b == nil {
		return nil
	}
	w := &wireBeat{b.Epoch, b.Seq, b.Edge, 0, b.Mutual, b.EchoEdge, b.EchoHold, b.Every, b.Deaf}
	if b.Every > 0 {
		w.Turns = b.Interval / b.Every
		if b.Interval%b.Every > 0 {
			w.Turns++
		}
	}
	return w
}

func (w *wireBeat) beat() (*beat, error) {
	if w == nil {
		return nil, nil
	}
	if w.Turns > maxTurns || w.Every < micros(minBeat) || w.Every > micros(maxBeat) {
		return nil, fmt.Errorf("heartbeat promises the next one after %d turns of %d µs: want at most %d of %v to %v",
			w.Turns, w.Every, maxTurns, minBeat, maxBeat)
	}
	return &beat{w.Epoch, w.Seq, w.Edge, w.Turns * w.Every, w.Mutual, w.EchoEdge, w.EchoHold, w.Every, w.Deaf}, nil
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
	Exit      string   // of what the member died, where it said so itself; no more than maxDetail
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

func encode(v any) ([]byte, error) { return appendEncoded(make([]byte, 0, 128), v) } // its own default is a kilobyte

// appendEncoded appends v to head, which the encoder would overwrite.
func appendEncoded(head []byte, v any) ([]byte, error) {
	enc := encoders.Get().(*codec.Encoder)
	defer encoders.Put(enc)
	body := head[len(head):]
	enc.ResetBytes(&body)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return append(head, body...), nil
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
	errChecksum  = errors.New("wrong checksum")
	errMalformed = errors.New("malformed")
)

func encodePacket(p *packet) ([]byte, error) {
	var v any = &loneBeat{p.From, p.Boot, p.Beat.wire()}
	if len(p.Asks) > 0 || len(p.Claims) > 0 {
		v = &wirePacket{p.From, p.Boot, p.Beat.wire(), p.Asks, p.Claims}
	}
	buf, err := appendEncoded(make([]byte, headSize, 128), v)
	if err != nil {
		return nil, err
	}
	buf[0] = wireVersion
	binary.BigEndian.PutUint32(buf[1:], crc32.Checksum(buf[headSize:], castagnoli))
	return buf, nil
}

// decodePacket accepts what encodePacket makes, with names, addresses and states within their limits.
func decodePacket(b []byte) (*packet, error) {
	if len(b) == 0 || b[0] != wireVersion {
		return nil, errVersion
	}
	if len(b) < headSize || binary.BigEndian.Uint32(b[1:]) != crc32.Checksum(b[headSize:], castagnoli) {
		return nil, errChecksum
	}
	w := new(wirePacket)
	if err := decode(b[headSize:], w); err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	beat, err := w.Beat.beat()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	p := &packet{w.From, w.Boot, beat, w.Asks, w.Claims}
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
		if len(b.Exit) > maxDetail || b.Exit != printableCut(b.Exit, maxDetail) {
			return fmt.Errorf("cause of death of %d bytes: want at most %d that print", len(b.Exit), maxDetail)
		}
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
		at, err := netip.ParseAddrPort(c.Addr)
		if err != nil { // never a name: resolving one would hold everything up
			return fmt.Errorf("address in a claim: %w", err)
		}
		if at.Addr().Zone() != "" { // which is of the sender's host, and may hold anything
			return errors.New("address in a claim has a zone")
		}
	}
	return nil
}

// encodeSummed is encode with a checksum behind it; decodeSummed undoes it.
func encodeSummed(v any) ([]byte, error) {
	buf, err := encode(v)
	if err != nil {
		return nil, err
	}
	return binary.BigEndian.AppendUint32(buf, crc32.Checksum(buf, castagnoli)), nil
}

func decodeSummed(b []byte, v any) error {
	body := len(b) - sumSize
	if body < 0 || binary.BigEndian.Uint32(b[body:]) != crc32.Checksum(b[:body], castagnoli) {
		return errChecksum
	}
	if err := decode(b[:body], v); err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	return nil
}

// dropCause is what the counters call an error of decodePacket or decodeSummed.
func dropCause(err error) string {
	switch {
	case errors.Is(err, errVersion):
		return dropVersion
	case errors.Is(err, errChecksum):
		return dropChecksum
	}
	return dropMalformed
}
