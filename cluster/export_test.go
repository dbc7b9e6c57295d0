package cluster

import (
	"context"
	"net"
	"net/netip"
)

// SealMeta is for the tests of forged messages.
var SealMeta = sealMeta

// GossipMembers is how many members memberlist holds for alive.
func (n *Node) GossipMembers() int { return n.ml.NumMembers() }

// SetResolver has names of hosts looked up by a test until it ends.
func SetResolver(t interface{ Cleanup(func()) }, lookup func(host string) []netip.Addr) {
	before := resolver
	t.Cleanup(func() { resolver = before })
	resolver = func(_ context.Context, _, host string) ([]netip.Addr, error) {
		if addrs := lookup(host); len(addrs) > 0 {
			return addrs, nil
		}
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
}
