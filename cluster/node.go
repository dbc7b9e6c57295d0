package cluster

import (
	"context"
	"errors"
	"iter"
)

// Node is a member of a cluster: what Join returns.
type Node struct{}

var (
	// ErrClosed is returned by methods that need a running node after Close.
	ErrClosed = errors.New("cluster: node is closed")
	// ErrNameTaken is returned by Join when another live process holds Config.Name.
	ErrNameTaken = errors.New("cluster: name is taken by a live member")
)

func Join(ctx context.Context, cfg Config) (*Node, error) { return nil, errors.New("being written") }

func (n *Node) Events(ctx context.Context) iter.Seq[Event] { return nil }
func (n *Node) Members() []Member                          { return nil }
func (n *Node) Self() Member                               { return Member{} }

func (n *Node) SetTags(ctx context.Context, tags map[string]string) error { return nil }
func (n *Node) Leave(ctx context.Context) error                           { return nil }
func (n *Node) Close() error                                              { return nil }

// Err tells why the node ended: nil while it runs, ErrClosed after Close, ErrNameTaken (wrapped) when a newer process
// took its name over while this one could not be reached. Events end then.
func (n *Node) Err() error { return nil }

// Stats are counters since Join; Dropped counts messages that were not acted upon, by cause
type Stats struct {
	Sent, Received, Dropped map[string]uint64
}

func (n *Node) Stats() Stats { return Stats{} }
