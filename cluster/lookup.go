package cluster

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// explain adds to an error of memberlist's exchange what is likely to be the matter, in terms of Config's fields. memberlist closes
// a stream whose label is not its own without a word.
func (n *Node) explain(err error) error {
	text := err.Error()
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
	}
	var why string
	switch {
	case has("encryption is configured but"):
		why = "Keys: the member there has none, this node has"
	case has("encryption is not configured"):
		why = "Keys: the member there has some, this node has none"
	case has("No installed keys", "no installed keys"):
		why = "Keys: the member there has others"
	case has("live member of both clusters"):
		why = "two clusters with members of the same names"
	case strings.HasSuffix(text, "EOF"), has("connection reset by peer", "broken pipe"):
		why = fmt.Sprintf("the connection was closed without an answer: Label of the member there is probably not %q, or it is no member at all", n.cfg.Label)
	default:
		return err
	}
	return fmt.Errorf("%w (%s)", err, why)
}

// resolve returns the "ip:port" addresses of a seed that this node's sockets can send to.
func (n *Node) resolve(ctx context.Context, seed hostPort) ([]string, error) {
	ips, err := lookup(ctx, seed.host)
	if err != nil {
		return nil, err
	}
	var addrs []string
	var foreign netip.Addr
	for _, ip := range ips {
		if n.cfg.Transport == nil && !n.reach.families.has(ip) {
			foreign = ip
			continue
		}
		addrs = append(addrs, netip.AddrPortFrom(ip, uint16(seed.port)).String())
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("%v is an %s address, which a socket on Bind %q cannot send to: want a Bind of that family, or [::]",
			foreign, familyName(foreign), n.cfg.Bind)
	}
	return addrs, nil
}

// resolver is the pure Go one, which keeps to the context; the C library's does not. Tests have their own.
var resolver = (&net.Resolver{PreferGo: true}).LookupNetIP

// lookup returns the addresses that a host name stands for, or the one that it is.
func lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip.Unmap()}, nil
	}
	ips, err := resolver(ctx, "ip", host)
	for i := range ips {
		ips[i] = ips[i].Unmap()
	}
	if err == nil && len(ips) == 0 {
		err = fmt.Errorf("%s has no address", host)
	}
	return ips, err
}
