package discovery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// An Address is a source of one "host:port", which never changes. Use [ParseAddress].
type Address string

// Discover returns the address.
func (a Address) Discover(context.Context) ([]string, error) { return []string{string(a)}, nil }

// String returns the address.
func (a Address) String() string { return string(a) }

// ParseAddress reads HOST or HOST:PORT; the port is [DefaultPort] where it is left out. HOST is an
// IPv4 address, an IPv6 address, which needs brackets only before a port, or a name. A name is left
// as it is. Port 0, and addresses that are not those of one host, are errors.
func ParseAddress(s string) (Address, error) {
	const want = "want host or host:port, like 10.0.0.1:7946, [2001:db8::1]:7946 or pulsering.example"
	bare, bracketed := strings.CutPrefix(s, "[")
	if bracketed {
		var closed bool
		if bare, closed = strings.CutSuffix(bare, "]"); !closed {
			bare = ""
		}
	}
	host, port := s, DefaultPort
	switch ip, err := netip.ParseAddr(bare); {
	case s == "":
		return "", errors.New("is empty: " + want)
	case err == nil && (!bracketed || ip.Is6()):
		host = bare
	case strings.ContainsAny(s, ":[]"):
		if host, port, err = net.SplitHostPort(s); err != nil {
			var bad *net.AddrError
			if errors.As(err, &bad) {
				err = errors.New(bad.Err) // which would say the address once more
			}
			return "", fmt.Errorf("%w: %s", err, want)
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("has port %q: want 1 to 65535", port)
	}
	if host == "" {
		return "", errors.New("has no host: " + want)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if why := badIP(ip); why != "" {
			return "", fmt.Errorf("%s %s: want that of one host", ip.WithZone(""), why)
		}
	} else if why := badName(host); why != "" {
		return "", fmt.Errorf("host %.80q %s: %s", host, why, want)
	}
	return Address(net.JoinHostPort(host, port)), nil
}

// badIP says why nobody can be reached at an IP address, or "".
func badIP(ip netip.Addr) string {
	switch ip = ip.Unmap(); {
	case ip.IsUnspecified():
		return "means any address"
	case ip.IsMulticast(), ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "is the address of a group"
	case strings.ContainsFunc(ip.Zone(), func(c rune) bool {
		return c <= ' ' || c > '~' || strings.ContainsRune("[]%/\\\",", c)
	}):
		return fmt.Sprintf("has zone %.40q, which is no name of an interface", ip.Zone())
	}
	return ""
}

// badName says what is wrong with a DNS name (RFC 1123, section 2.1, and underscores, which
// containers and SRV records have), or "".
func badName(name string) string {
	name = strings.TrimSuffix(name, ".") // of a name that is complete
	if name == "" {
		return "is empty"
	}
	if len(name) > 253 {
		return fmt.Sprintf("is %d bytes long: want at most 253", len(name))
	}
	var last string
	for label := range strings.SplitSeq(name, ".") {
		if len(label) == 0 || len(label) > 63 {
			return fmt.Sprintf("has a part of %d bytes: want 1 to 63 between dots", len(label))
		}
		for _, c := range label {
			if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return fmt.Sprintf("holds %q: want letters, digits, - and _", c)
			}
		}
		last = label
	}
	if strings.Trim(last, "0123456789") == "" {
		return "is no IPv4 address, and no name ends in a number"
	}
	return ""
}

// parseList reads addresses with white space between them, and comments from # to the end of a
// line. What is wrong with one of them is an error that names its line; the others hold.
func parseList(text []byte) (addrs []string, errs []error) {
	rest := strings.TrimPrefix(string(text), "\ufeff") // with which some editors begin a file
	n, seen := 0, map[Address]bool{}
	for line := range strings.Lines(rest) {
		n++
		line, _, _ = strings.Cut(line, "#")
		for word := range strings.FieldsSeq(line) {
			a, err := ParseAddress(word)
			switch {
			case err != nil:
				errs = append(errs, fmt.Errorf("line %d: %.80q: %w", n, word, err))
			case seen[a]:
			case len(addrs) == maxAddrs:
				return addrs, append(errs, fmt.Errorf("line %d: more than %d addresses: the rest is left out", n, maxAddrs))
			default:
				seen[a] = true
				addrs = append(addrs, string(a))
			}
		}
	}
	return addrs, errs
}
