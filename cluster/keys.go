package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/memberlist"
)

// keys are those of this node, which memberlist uses at the same time. The order of its ring is the order in which they are tried.
type keys struct {
	mu   sync.Mutex          // for changes
	ring *memberlist.Keyring // nil: the cluster is not encrypted
}

// KeyID is what a key is called where it must not be shown: the beginning of its SHA-256, in base64.
func KeyID(key []byte) string {
	sum := sha256.Sum256(key)
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

var (
	errNoKeys     = errors.New("the cluster is not encrypted: start its members with Keys")
	errNoSuchKey  = errors.New("it does not have this key: add it first")
	errPrimaryKey = errors.New("it encrypts with this key: have it use another one first")
)

func (k *keys) all() [][]byte {
	if k.ring == nil {
		return nil
	}
	return k.ring.GetKeys()
}

// primary is the key that this node encrypts with; nil: it does not.
func (k *keys) primary() []byte {
	if k.ring == nil {
		return nil
	}
	return k.ring.GetPrimaryKey()
}

func (k *keys) ids() []string {
	var ids []string
	for _, key := range k.all() {
		ids = append(ids, KeyID(key))
	}
	return ids
}

// change adds a key, encrypts with it from now on, or removes it.
func (k *keys) change(op operation, key []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ring == nil {
		return errNoKeys
	}
	has := slices.ContainsFunc(k.all(), func(other []byte) bool { return bytes.Equal(key, other) })
	switch op {
	case addKey:
		if !has && len(k.all()) >= mostKeys {
			return fmt.Errorf("it has %d keys already: remove one first", mostKeys)
		}
		if err := memberlist.ValidateKey(key); err != nil {
			return fmt.Errorf("a key of %d bytes: want 16, 24 or 32", len(key))
		}
		return k.ring.AddKey(key)
	case useKey:
		if !has {
			return errNoSuchKey
		}
		return k.ring.UseKey(key)
	case removeKey:
		if !has {
			return nil
		}
		if bytes.Equal(key, k.primary()) {
			return errPrimaryKey
		}
		return k.remove(key)
	}
	return nil
}

// remove takes a key out. memberlist moves what is behind it within an array that decryption may be reading (v0.7.0, RemoveKey), so it is
// the last one by then: whatever is used comes first.
func (k *keys) remove(key []byte) error {
	primary := k.primary()
	for _, other := range k.all() {
		if !bytes.Equal(other, key) && !bytes.Equal(other, primary) {
			if err := k.ring.UseKey(other); err != nil {
				return err
			}
		}
	}
	return errors.Join(k.ring.UseKey(primary), k.ring.RemoveKey(key))
}

// KeyIDs are the identifiers of this node's own keys, that of the one that it encrypts with first; none: it does not.
func (n *Node) KeyIDs() []string { return n.keys.ids() }

// Keys asks every member for its keys: who has which, by their identifiers (KeyID). It waits for all answers, for ten seconds at most
// and not beyond ctx; who does not answer is in the result with an error. After Close: ErrClosed.
func (n *Node) Keys(ctx context.Context) ([]Answer, error) {
	return n.order(ctx, order{Op: listKeys})
}

// AddKey gives every member that is up another key to decrypt with; it waits as Keys does. A key is 16, 24 or 32 bytes long (ErrConfig).
// Which members have it is in the answers, and what went wrong at any of them in the error too. Members that start later need it in their
// Config.Keys.
func (n *Node) AddKey(ctx context.Context, key []byte) ([]Answer, error) {
	return n.orderKey(ctx, addKey, key)
}

// UseKey has every member encrypt with a key that all of them have. Where a member that is up lacks it, or does not say, nothing is
// changed anywhere and the error names the member: it would be cut off. A member that joins at this very moment may be missed.
func (n *Node) UseKey(ctx context.Context, key []byte) ([]Answer, error) {
	held, err := n.Keys(ctx)
	if err != nil {
		return held, err
	}
	if err := heldByAll(held, key); err != nil {
		return held, fmt.Errorf("cluster: UseKey: %w", err)
	}
	return n.orderKey(ctx, useKey, key)
}

// RemoveKey has every member forget a key that none of them encrypts with. Where one does, nothing is changed anywhere.
func (n *Node) RemoveKey(ctx context.Context, key []byte) ([]Answer, error) {
	held, err := n.Keys(ctx)
	if err != nil {
		return held, err
	}
	if err := usedByNone(held, key); err != nil {
		return held, fmt.Errorf("cluster: RemoveKey: %w", err)
	}
	return n.orderKey(ctx, removeKey, key)
}

// heldByAll is an error where members lack a key that is to be encrypted with, or do not say.
func heldByAll(held []Answer, key []byte) error {
	id := KeyID(key)
	without := membersWhere(held, func(a Answer) bool { return a.Err != nil || !slices.Contains(a.Keys, id) })
	if len(without) == 0 {
		return nil
	}
	return fmt.Errorf("nothing was changed, as %d of %d members lack key %s or do not answer: add it first: %s",
		len(without), len(held), id, listOf(without))
}

// usedByNone is an error where members encrypt with a key that is to be removed.
func usedByNone(held []Answer, key []byte) error {
	id := KeyID(key)
	using := membersWhere(held, func(a Answer) bool { return a.Err == nil && len(a.Keys) > 0 && a.Keys[0] == id })
	if len(using) == 0 {
		return nil
	}
	return fmt.Errorf("nothing was changed, as %d of %d members encrypt with key %s: have all use another one first: %s",
		len(using), len(held), id, listOf(using))
}

func membersWhere(answers []Answer, is func(Answer) bool) (names []string) {
	for _, a := range answers {
		if is(a) {
			names = append(names, a.Member)
		}
	}
	return names
}

func (n *Node) orderKey(ctx context.Context, op operation, key []byte) ([]Answer, error) {
	if err := memberlist.ValidateKey(key); err != nil {
		return nil, refused{fmt.Errorf("cluster: key: %d bytes long: want 16, 24 or 32", len(key))}
	}
	if n.keys.ring == nil {
		return nil, fmt.Errorf("cluster: %v: %w", op, errNoKeys)
	}
	answers, err := n.order(ctx, order{Op: op, Key: key})
	if err != nil {
		return answers, err
	}
	var errs []error
	for _, a := range answers {
		if a.Err != nil && len(errs) < maxTold {
			errs = append(errs, fmt.Errorf("cluster: %v: %s: %w", op, a.Member, a.Err))
		}
	}
	return answers, errors.Join(errs...)
}

// SetKeys replaces the keys of this node alone, the first of which it encrypts with from now on, as after a change of Config.Keys: 1 to
// 16 of them (ErrConfig). It would be cut off, and is not changed, where another member that is up lacks the first one, or does not say
// within ten seconds, or encrypts with one that is to go. A cluster that is not encrypted cannot become so while it runs.
func (n *Node) SetKeys(ctx context.Context, list [][]byte) error {
	switch {
	case n.keys.ring == nil:
		return fmt.Errorf("cluster: Keys: %w", errNoKeys)
	case len(list) == 0 || len(list) > mostKeys:
		return refused{fmt.Errorf("cluster: Keys: %d keys: want 1 to %d", len(list), mostKeys)}
	}
	for i, key := range list {
		if err := memberlist.ValidateKey(key); err != nil {
			return refused{fmt.Errorf("cluster: Keys[%d]: %d bytes long: want 16, 24 or 32", i, len(key))}
		}
	}
	var old [][]byte
	for _, key := range n.keys.all() {
		if !slices.ContainsFunc(list, func(kept []byte) bool { return bytes.Equal(key, kept) }) {
			old = append(old, key)
		}
	}
	if !bytes.Equal(list[0], n.keys.primary()) || len(old) > 0 {
		held, err := n.Keys(ctx)
		if err != nil {
			return err
		}
		held = slices.DeleteFunc(held, func(a Answer) bool { return a.Member == n.cfg.Name })
		errs := []error{heldByAll(held, list[0])}
		for _, key := range old {
			errs = append(errs, usedByNone(held, key))
		}
		if err := errors.Join(errs...); err != nil {
			return fmt.Errorf("cluster: Keys: %w", err)
		}
	}
	n.keys.mu.Lock()
	defer n.keys.mu.Unlock()
	for _, key := range list {
		if err := n.keys.ring.AddKey(slices.Clone(key)); err != nil {
			return err
		}
	}
	if err := n.keys.ring.UseKey(list[0]); err != nil {
		return err
	}
	for _, key := range old {
		if err := n.keys.remove(key); err != nil {
			return err
		}
	}
	return nil
}

// listOf is the beginning of a list of names, for an error.
func listOf(names []string) string {
	if more := len(names) - 2*maxTold; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:2*maxTold], ", "), more)
	}
	return strings.Join(names, ", ")
}
