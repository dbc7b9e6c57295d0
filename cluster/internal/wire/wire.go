// Package wire is what members say to each other in bytes, and what of a stranger's word is
// believed.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
)

// The wire format. Every message is one packet: a version byte, a checksum, then the
// msgpack array of Packet. It travels as a memberlist user message, which brings label and
// encryption with it. Fields are only ever added at the end of a struct: an older decoder
// skips what it does not know, a newer one reads zero for what is not there.
const Version = 2

// Castagnoli is the polynomial of every checksum here, the one that processors compute themselves.
var Castagnoli = crc32.MakeTable(crc32.Castagnoli)

// SumSize is the length of a checksum. Memory and network cards turn bits over too, before
// UDP's checksum is computed or after it was verified; memberlist has a checksum of its own
// in its gossip, but none in what is sent to an address, in probes and their acks, and in
// tables.
const SumSize = 4

// headSize is what a packet begins with: version and checksum.
const headSize = 1 + SumSize

// Packet is what one member says to another. Any of its parts may be missing.
type Packet struct {
	From   string // who sent this: a member's name
	Boot   uint64 // and its boot
	Beat   *Beat
	Asks   []Ask
	Claims []claim.Claim // verdicts, and answers by those who know later
}

// Beat is a heartbeat.
type Beat struct {
	Epoch    uint64 // the sender's epoch
	Seq      uint64 // counts the sender's heartbeats to anyone: the order of evidence
	Edge     uint64 // counts those to this receiver: losses are learnt from its gaps
	Interval uint64 // µs to the next one to this receiver at the latest; 0: none follows
	Mutual   bool   // the receiver is an observer of the sender by the sender's own reckoning
	EchoEdge uint64 // Edge of the last heartbeat that came the other way; 0: none
	EchoHold uint64 // µs that it had waited here when this one was sent
	Every    uint64 // µs between two heartbeats of the sender to anyone
	Deaf     bool   // the sender hears nobody
}

// wirePacket and wireBeat are Packet and Beat as they travel.
type (
	wirePacket struct {
		From   string
		Boot   uint64
		Beat   *wireBeat
		Asks   []Ask
		Claims []claim.Claim
	}
	wireBeat struct {
		Epoch    uint64
		Seq      uint64
		Edge     uint64
		Turns    uint64 // Interval in heartbeats to anyone: one byte for five
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

// maxTurns is the most heartbeats between two to one receiver that are believed: every
// member of the largest cluster listens.
const maxTurns = 1 << 20

func (b *Beat) wire() *wireBeat {
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

func (w *wireBeat) beat() (*Beat, error) {
	if w == nil {
		return nil, nil
	}
	if w.Turns > maxTurns || w.Every < uint64(MinBeat/time.Microsecond) || w.Every > uint64(MaxBeat/time.Microsecond) {
		return nil, fmt.Errorf("heartbeat promises the next one after %d turns of %d µs: want at most %d of %v to %v",
			w.Turns, w.Every, maxTurns, MinBeat, MaxBeat)
	}
	return &Beat{w.Epoch, w.Seq, w.Edge, w.Turns * w.Every, w.Mutual, w.EchoEdge, w.EchoHold, w.Every, w.Deaf}, nil
}

// Ask is a question and an opinion in one: this is the latest that I know of the member,
// and this how much I doubt that it lives. Whoever knows later answers with a claim, and
// the member itself always does. Whoever else listens to the member looks into it too, and
// says so with an ask of its own.
type Ask struct {
	Name   string
	Boot   uint64
	Epoch  uint64
	Seq    uint64 // the latest heartbeat that the sender knows of
	Doubt  uint64 // φ of the sender's own path since then, in hundredths; 0: no opinion
	Age    uint64 // µs since then, as far as the sender knows
	Awaits uint64 // so many heartbeats after Seq the sender is due one; 0: none
	Before uint64 // the part of Doubt that no stall explains, in hundredths
}

// MaxBy bounds the names in the basis of a verdict.
const MaxBy = 8

// Reasons for which a packet is not acted upon.
var (
	ErrVersion   = errors.New("unknown version")
	ErrChecksum  = errors.New("wrong checksum")
	ErrMalformed = errors.New("malformed")
)

// Encode returns a packet as it travels.
func Encode(p *Packet) ([]byte, error) {
	var v any = &loneBeat{p.From, p.Boot, p.Beat.wire()}
	if len(p.Asks) > 0 || len(p.Claims) > 0 {
		v = &wirePacket{p.From, p.Boot, p.Beat.wire(), p.Asks, p.Claims}
	}
	buf, err := appendEncoded(make([]byte, headSize, 128), v)
	if err != nil {
		return nil, err
	}
	buf[0] = Version
	binary.BigEndian.PutUint32(buf[1:], crc32.Checksum(buf[headSize:], Castagnoli))
	return buf, nil
}

// Decode accepts what Encode makes, with names, addresses and states within their limits.
func Decode(b []byte) (*Packet, error) {
	if len(b) == 0 || b[0] != Version {
		return nil, ErrVersion
	}
	if len(b) < headSize || binary.BigEndian.Uint32(b[1:]) != crc32.Checksum(b[headSize:], Castagnoli) {
		return nil, ErrChecksum
	}
	w := new(wirePacket)
	if err := Unmarshal(b[headSize:], w); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	beat, err := w.Beat.beat()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	p := &Packet{w.From, w.Boot, beat, w.Asks, w.Claims}
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return p, nil
}

func (p *Packet) check() error {
	if why := BadName(p.From); why != "" || p.From == "" {
		return fmt.Errorf("sender's name %s", why)
	}
	if p.Boot == 0 || p.Boot > claim.MaxBoot {
		return fmt.Errorf("sender's boot is %d", p.Boot)
	}
	for _, a := range p.Asks {
		up := a.Claim()
		if err := check(&up); err != nil {
			return err
		}
	}
	for i := range p.Claims {
		if err := check(&p.Claims[i]); err != nil {
			return err
		}
	}
	return nil
}

// Claim is the evidence in a question: the member lived when it sent that heartbeat.
func (a Ask) Claim() claim.Claim {
	return claim.Claim{Name: a.Name, Boot: a.Boot, Epoch: a.Epoch, Seq: a.Seq, State: claim.Up, Age: a.Age}
}

func check(c *claim.Claim) error {
	if why := BadName(c.Name); why != "" || c.Name == "" {
		return fmt.Errorf("name in a claim %s", why)
	}
	if c.Boot == 0 || c.Boot > claim.MaxBoot {
		return fmt.Errorf("boot in a claim is %d", c.Boot)
	}
	if c.State != claim.Up && c.State != claim.Down && c.State != claim.Left {
		return fmt.Errorf("state in a claim is %v", c.State)
	}
	if b := c.Basis; b != nil {
		if len(b.Exit) > MaxDetail || b.Exit != PrintableCut(b.Exit, MaxDetail) {
			return fmt.Errorf("cause of death of %d bytes: want at most %d that print", len(b.Exit), MaxDetail)
		}
		if len(b.By) > MaxBy {
			return fmt.Errorf("verdict by %d members: want at most %d", len(b.By), MaxBy)
		}
		for _, name := range b.By {
			if why := BadName(name); why != "" || name == "" {
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
