package nat

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"
)

// A Network is where a connection leaves this machine, by what tells one such place from another.
type Network struct {
	// ID is the same whenever this machine is in this network, and tells nothing of it to others.
	ID string
	// Name is for people to read, such as "192.168.1.0/24 via 192.168.1.1".
	Name string
}

// Where Linux tells of routes and neighbours (proc_net(5), proc_pid_net in older versions of the
// manual).
const (
	routesFile     = "/proc/net/route"
	neighboursFile = "/proc/net/arp"
)

// Here is the network that a connection to a server, HOST:PORT, leaves through: by the prefix of its
// interface, and on Linux by the default gateway and its hardware address too, as many homes have
// the same prefix and the same gateway. It may ask for the address of HOST. Where this machine does
// not know the gateway's hardware address yet, it has it asked for, by an empty datagram.
func Here(ctx context.Context, server string) (Network, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", server) // which only chooses a route
	if err != nil {
		return Network{}, fmt.Errorf("nat: no way to %s: %w", server, err)
	}
	defer conn.Close()
	from, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return Network{}, fmt.Errorf("nat: the local address %v: %w", conn.LocalAddr(), err)
	}
	return networkOf(ctx, from)
}

func networkOf(ctx context.Context, from netip.AddrPort) (Network, error) {
	at := from.Addr().Unmap()
	name, prefix, err := interfaceOf(at)
	if err != nil {
		return Network{}, err
	}
	place := place{prefix: prefix}
	routes, _ := os.ReadFile(routesFile) // where there is none the prefix has to do
	if at.Is4() && !at.IsLoopback() {
		place.gateway = defaultGateway(routes, name)
	}
	if place.gateway.IsValid() {
		place.hardware = neighbour(ctx, place.gateway, name)
	}
	return place.network(), nil
}

// neighbour is the hardware address of a neighbour. One that nobody spoke to lately is not in the
// table, and the network would look like another one: so something is sent there.
func neighbour(ctx context.Context, at netip.Addr, name string) (hardware string) {
	for tries := 0; tries < 20 && ctx.Err() == nil; tries++ {
		table, err := os.ReadFile(neighboursFile)
		if hardware = hardwareOf(table, at, name); hardware != "" || err != nil {
			return hardware
		}
		if tries == 0 {
			conn, err := net.Dial("udp", netip.AddrPortFrom(at, discardPort).String())
			if err != nil {
				return ""
			}
			defer conn.Close()
			conn.Write(nil)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return ""
}

// discardPort is where what comes is dropped (RFC 863).
const discardPort = 9

// place is what is known of a network.
type place struct {
	prefix   netip.Prefix
	gateway  netip.Addr // of the default route; the zero Addr: none is known
	hardware string     // the gateway's address
}

func (p place) network() Network {
	name := p.prefix.String()
	if p.gateway.IsValid() {
		name += " via " + p.gateway.String()
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s", p.prefix, p.gateway, p.hardware))
	return Network{ID: hex.EncodeToString(sum[:16]), Name: name}
}

// interfaceOf is the interface that has an address, and the address' prefix.
func interfaceOf(at netip.Addr) (name string, prefix netip.Prefix, err error) {
	all, err := net.Interfaces()
	if err != nil {
		return "", netip.Prefix{}, fmt.Errorf("nat: cannot list the network interfaces: %w", err)
	}
	for _, i := range all {
		addrs, _ := i.Addrs() // of one that is gone meanwhile
		for _, a := range addrs {
			p, err := netip.ParsePrefix(a.String())
			if err == nil && p.Addr().Unmap() == at.WithZone("") {
				return i.Name, p.Masked(), nil
			}
		}
	}
	return "", netip.Prefix{}, fmt.Errorf("nat: no network interface has the address %v", at)
}

// defaultGateway is the gateway of the default route with the lowest metric through an interface,
// in a text like /proc/net/route.
func defaultGateway(routes []byte, name string) (gateway netip.Addr) {
	best := ""
	for lines := bufio.NewScanner(bytes.NewReader(routes)); lines.Scan(); {
		f := strings.Fields(lines.Text()) // Iface Destination Gateway Flags RefCnt Use Metric Mask …
		if len(f) < 8 || f[0] != name || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		addr, err := hex.DecodeString(f[2]) // in the byte order of this machine
		if err != nil || len(addr) != 4 || f[2] == "00000000" {
			continue
		}
		metric := fmt.Sprintf("%10s", f[6])
		if best == "" || metric < best {
			best = metric
			var b [4]byte
			binary.NativeEndian.PutUint32(b[:], binary.BigEndian.Uint32(addr))
			gateway = netip.AddrFrom4(b)
		}
	}
	return gateway
}

// hardwareOf is the hardware address of a neighbour, in a text like /proc/net/arp; empty: it is not
// known.
func hardwareOf(neighbours []byte, at netip.Addr, name string) string {
	for lines := bufio.NewScanner(bytes.NewReader(neighbours)); lines.Scan(); {
		f := strings.Fields(lines.Text()) // IP address, HW type, Flags, HW address, Mask, Device
		if len(f) >= 6 && f[0] == at.String() && f[5] == name && f[3] != "00:00:00:00:00:00" {
			return f[3]
		}
	}
	return ""
}
