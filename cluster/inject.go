package cluster

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/memberlist"
)

// What memberlist's packets look like (v0.7.0: net.go for messages, security.go for encryption).
const (
	deadMessage       = 5 // its type
	encryptionVersion = 1 // AES-GCM without padding
)

// deadNotice is memberlist's message that a process is dead, or, where it is from itself, that it left.
type deadNotice struct {
	Incarnation uint32
	Node        string
	From        string
}

// memberlistHandle encodes as memberlist does, with names of fields.
var memberlistHandle codec.MsgpackHandle

// encodeDeparture returns a packet as it would come from a member with that label and that key; nil: it does not encrypt.
func encodeDeparture(d departure, label string, key []byte) ([]byte, error) {
	notice := deadNotice{Incarnation: d.incarnation, Node: d.process, From: "pulsering"}
	if d.left {
		notice.From = d.process
	}
	var body []byte
	if err := codec.NewEncoderBytes(&body, &memberlistHandle).Encode(&notice); err != nil {
		return nil, err
	}
	buf := append([]byte{deadMessage}, body...)
	if key != nil {
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		gcm, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		sealed := make([]byte, 1+gcm.NonceSize(), 1+gcm.NonceSize()+len(buf)+gcm.Overhead())
		sealed[0] = encryptionVersion
		nonce := sealed[1:]
		if _, err := rand.Read(nonce); err != nil {
			return nil, err
		}
		buf = gcm.Seal(sealed, nonce, buf, []byte(label))
	}
	return memberlist.AddLabelHeaderToPacket(buf, label)
}
