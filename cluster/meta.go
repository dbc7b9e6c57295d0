package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"strconv"
	"strings"

	"github.com/hashicorp/memberlist"

	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// meta is what a node says of itself in memberlist's metadata, which reaches every member with memberlist's own gossip.
//
// It is a prefix that plain memberlist members will not have by chance, then msgpack, and when it travels a checksum.
type meta struct {
	Boot uint64            // zero: still joining, nobody's member yet
	Tags map[string]string // may be nil

	Health Health
}

const (
	metaFamily = "pulsering"
	metaPrefix = metaFamily + "\x02"
)

func encodeMeta(m meta) ([]byte, error) {
	body, err := wire.Marshal(&m)
	if err != nil {
		return nil, err
	}
	if room := memberlist.MetaMaxSize - len(metaPrefix) - wire.SumSize; len(body) > room {
		empty := m
		empty.Tags = nil
		head, err := wire.Marshal(&empty)
		if err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%d bytes encoded: want at most %d (memberlist carries %d bytes of metadata a member)",
			len(body)-len(head), room-len(head), memberlist.MetaMaxSize)
	}
	return append([]byte(metaPrefix), body...), nil
}

var errForeignMeta = errors.New("not metadata of this protocol")

// decodeMeta returns errForeignMeta for members that run memberlist alone or another version of the protocol.
func decodeMeta(b []byte) (meta, error) {
	var m meta
	if len(b) < len(metaPrefix) || string(b[:len(metaPrefix)]) != metaPrefix {
		return m, errForeignMeta
	}
	if err := wire.Unmarshal(b[len(metaPrefix):], &m); err != nil {
		return meta{}, err
	}
	return m, nil
}

// sealMeta adds the checksum of the whole announcement that m travels in: what memberlist sends of a member has none in probes, acks
// and tables, and one wrong bit would make a member of another name or boot, or send what is meant for it elsewhere, for good.
// Every version of the protocol ends with it.
func sealMeta(m []byte, in *memberlist.Node) []byte {
	return binary.BigEndian.AppendUint32(m[:len(m):len(m)], announcementSum(m, in))
}

func announcementSum(m []byte, in *memberlist.Node) uint32 {
	sum := crc32.Checksum(m, wire.Castagnoli)
	sum = crc32.Update(sum, wire.Castagnoli, []byte(in.Name))
	sum = crc32.Update(sum, wire.Castagnoli, []byte(net.JoinHostPort(in.Addr.String(), strconv.Itoa(int(in.Port)))))
	return crc32.Update(sum, wire.Castagnoli, []byte{in.PMin, in.PMax, in.PCur, in.DMin, in.DMax, in.DCur})
}

// checkSeal looks for damage in an announcement. Members that run memberlist alone have no seal.
func checkSeal(n *memberlist.Node) error {
	if !resembles(n.Meta, metaFamily) {
		return nil
	}
	body := len(n.Meta) - wire.SumSize
	if !strings.HasPrefix(string(n.Meta), metaFamily) || body < len(metaPrefix) ||
		binary.BigEndian.Uint32(n.Meta[body:]) != announcementSum(n.Meta[:body], n) {
		return wire.ErrChecksum
	}
	return nil
}

// resembles tells whether m begins with prefix, or with what two wrong bytes make of it.
func resembles(m []byte, prefix string) bool {
	if len(m) < len(prefix) {
		return false
	}
	wrong := 0
	for i := range prefix {
		if m[i] != prefix[i] {
			wrong++
		}
	}
	return wrong <= 2
}

// unsealed is metadata without the checksum that checkSeal has verified.
func unsealed(m []byte) []byte {
	if body := len(m) - wire.SumSize; body >= len(metaPrefix) && strings.HasPrefix(string(m), metaFamily) {
		return m[:body]
	}
	return m
}
