package cluster

import (
	"errors"
	"fmt"

	"github.com/hashicorp/memberlist"
)

// meta is what a node says of itself in memberlist's metadata, which reaches every member with memberlist's own gossip.
//
// It is a prefix that plain memberlist members will not have by chance, then msgpack.
type meta struct {
	Boot uint64            // zero: still joining, nobody's member yet
	Tags map[string]string // may be nil
}

const metaPrefix = "pulsering\x01"

func encodeMeta(m meta) ([]byte, error) {
	body, err := encode(&m)
	if err != nil {
		return nil, err
	}
	if room := memberlist.MetaMaxSize - len(metaPrefix); len(body) > room {
		empty := m
		empty.Tags = nil
		head, err := encode(&empty)
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
	if err := decode(b[len(metaPrefix):], &m); err != nil {
		return meta{}, err
	}
	return m, nil
}
