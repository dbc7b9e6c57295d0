package cluster

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// families are the address families that a node's sockets can send to.
type families struct{ v4, v6 bool }

func (f families) has(ip netip.Addr) bool { return ip.Is4() && f.v4 || ip.Is6() && f.v6 }

// familiesOf tells what a socket on bind can do. One on 0.0.0.0 or [::] speaks both, where the system lets it.
func familiesOf(bind string) families {
	ip := netip.MustParseAddr(bind).Unmap()
	if !ip.IsUnspecified() {
		return families{ip.Is4(), ip.Is6()}
	}
	// Where the system lets Go, it opens one socket for both, also for 0.0.0.0 (see net.ListenUDP), and says so in the address.
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4zero})
	if err != nil {
		return families{ip.Is4(), ip.Is6()}
	}
	defer c.Close()
	if c.LocalAddr().(*net.UDPAddr).IP.To4() == nil {
		return families{true, true}
	}
	return families{ip.Is4(), ip.Is6()}
}

func familyName(ip netip.Addr) string {
	if ip.Is4() {
		return "IPv4"
	}
	return "IPv6"
}

// host is what is asked of the machine.
type host struct {
	interfaces func() ([]netInterface, error)
	source     func(to netip.Addr) (netip.Addr, error) // of the route there
}

// netInterface is one that is up.
type netInterface struct {
	name     string
	loopback bool
	bridge   bool // between containers or virtual machines, mostly, and with the same address on each host
	addrs    []netip.Addr
}

var thisHost = host{
	interfaces: func() ([]netInterface, error) {
		all, err := net.Interfaces()
		if err != nil {
			return nil, err
		}
		var up []netInterface
		for _, i := range all {
			addrs, err := i.Addrs()
			if err != nil || i.Flags&net.FlagUp == 0 {
				continue
			}
			found := netInterface{name: i.Name, loopback: i.Flags&net.FlagLoopback != 0, bridge: isBridge(i.Name)}
			for _, a := range addrs {
				if n, ok := a.(*net.IPNet); ok {
					ip, _ := netip.AddrFromSlice(n.IP)
					found.addrs = append(found.addrs, ip.Unmap())
				}
			}
			up = append(up, found)
		}
		return up, nil
	},
	source: func(to netip.Addr) (netip.Addr, error) {
		c, err := net.Dial("udp", netip.AddrPortFrom(to, 9).String()) // which sends nothing
		if err != nil {
			return netip.Addr{}, err
		}
		defer c.Close()
		return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
	},
}

// isBridge tells a bridge by what Linux says of it, and elsewhere by the names that container engines give.
func isBridge(name string) bool {
	if _, err := os.Stat(filepath.Join("/sys/class/net", name, "bridge")); err == nil {
		return true
	}
	return slices.ContainsFunc([]string{"docker", "br-", "virbr", "cni", "podman", "lxcbr", "bridge"}, func(prefix string) bool {
		return strings.HasPrefix(name, prefix)
	})
}

// guessed is the address to advertise, and what else there was to choose from.
type guessed struct {
	addr   netip.Addr
	why    string
	others []netip.Addr
}

var errNoRoute = errors.New("there is no route to any seed")

// Addresses for documentation (RFC 5737, RFC 3849), which are nobody's: the way there is the default route.
var (
	anywhere4 = netip.MustParseAddr("192.0.2.1")
	anywhere6 = netip.MustParseAddr("2001:db8::1")
)

// usable tells whether others may reach ip at all. Link-local IPv6 addresses need a zone, which memberlist has no room for.
func usable(ip netip.Addr) bool { return ip.IsGlobalUnicast() }

func (h host) has(ip netip.Addr) (bool, error) {
	interfaces, err := h.interfaces()
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(interfaces, func(i netInterface) bool { return slices.Contains(i.addrs, ip) }), nil
}
