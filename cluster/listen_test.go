package cluster

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"
)

// A host's routes and interfaces decide which address it advertises.
func TestGuess(t *testing.T) {
	ip := netip.MustParseAddr
	eth0 := netInterface{name: "eth0", addrs: []netip.Addr{ip("203.0.113.1"), ip("fe80::1")}}
	six := netInterface{name: "eth0", addrs: []netip.Addr{ip("2001:db8:1::1"), ip("fe80::1")}}
	lan := netInterface{name: "eth1", addrs: []netip.Addr{ip("10.9.0.1")}}
	docker := netInterface{name: "docker0", bridge: true, addrs: []netip.Addr{ip("172.17.0.1")}}
	lo := netInterface{name: "lo", loopback: true, addrs: []netip.Addr{ip("127.0.0.1"), ip("::1")}}
	vip := netInterface{name: "lo", loopback: true, addrs: []netip.Addr{ip("127.0.0.1"), ip("::1"), ip("10.96.0.10")}}
	both, v4, v6 := families{true, true}, families{v4: true}, families{v6: true}

	for name, tt := range map[string]struct {
		interfaces []netInterface
		routes     map[string]string // prefix → source
		can        families
		prefer6    bool
		seeds      []string
		want       string // empty: no route
		others     int
	}{
		"seed's route, not docker's":        {[]netInterface{lo, docker, eth0}, map[string]string{"203.0.113.0/24": "203.0.113.1"}, both, false, []string{"203.0.113.9"}, "203.0.113.1", 0},
		"no seed, default route":            {[]netInterface{lo, docker, lan, eth0}, map[string]string{"0.0.0.0/0": "203.0.113.1"}, both, false, nil, "203.0.113.1", 0},
		"no seed, no default route":         {[]netInterface{lo, docker, eth0}, nil, both, false, nil, "203.0.113.1", 0},
		"no seed, two cards":                {[]netInterface{lo, docker, eth0, lan}, nil, both, false, nil, "10.9.0.1", 1},
		"a bridge alone":                    {[]netInterface{lo, docker}, nil, both, false, nil, "172.17.0.1", 0},
		"nothing but loopback":              {[]netInterface{lo}, nil, both, false, nil, "127.0.0.1", 0},
		"nothing but loopback, six":         {[]netInterface{lo}, nil, both, true, nil, "::1", 0},
		"nothing but loopback, six alone":   {[]netInterface{lo}, nil, v6, true, nil, "::1", 0},
		"loopback, and seeds":               {[]netInterface{lo}, nil, both, false, []string{"10.9.0.1"}, "", 0},
		"loopback, and a seed there":        {[]netInterface{lo}, nil, both, false, []string{"127.0.0.1"}, "127.0.0.1", 0},
		"a seed on loopback, and a card":    {[]netInterface{lo, lan}, map[string]string{"127.0.0.0/8": "127.0.0.1"}, both, false, []string{"127.0.0.1"}, "10.9.0.1", 0},
		"a VIP on lo that is the seed":      {[]netInterface{vip, lan}, map[string]string{"10.96.0.10/32": "10.96.0.10"}, both, false, []string{"10.96.0.10"}, "10.9.0.1", 0},
		"a VIP on lo, no seed":              {[]netInterface{vip, eth0}, nil, both, false, nil, "203.0.113.1", 0},
		"a host's address on lo":            {[]netInterface{vip}, map[string]string{"0.0.0.0/0": "10.96.0.10"}, both, false, []string{"10.1.0.1"}, "10.96.0.10", 0},
		"its own address among the seeds":   {[]netInterface{lo, lan}, map[string]string{"10.9.0.0/24": "10.9.0.1"}, both, false, []string{"10.9.0.1", "10.9.0.2"}, "10.9.0.1", 0},
		"seeds on two networks":             {[]netInterface{lo, lan, eth0}, map[string]string{"10.9.0.0/24": "10.9.0.1", "203.0.113.0/24": "203.0.113.1"}, both, false, []string{"203.0.113.9", "10.9.0.9"}, "203.0.113.1", 1},
		"one seed of two has a route":       {[]netInterface{lo, lan}, map[string]string{"10.9.0.0/24": "10.9.0.1"}, both, false, []string{"203.0.113.9", "10.9.0.9"}, "10.9.0.1", 0},
		"[::], IPv4 and link-local":         {[]netInterface{lo, lan, {name: "eth0", addrs: []netip.Addr{ip("fe80::1")}}}, nil, both, true, nil, "10.9.0.1", 0},
		"[::], seed has IPv4":               {[]netInterface{lo, lan, six}, map[string]string{"10.9.0.0/24": "10.9.0.1", "2000::/3": "2001:db8:1::1"}, both, true, []string{"10.9.0.2"}, "10.9.0.1", 0},
		"0.0.0.0, seed has IPv6":            {[]netInterface{lo, lan, six}, map[string]string{"2000::/3": "2001:db8:1::1"}, both, false, []string{"2001:db8:1::2"}, "2001:db8:1::1", 0},
		"no IPv6 socket, seed has both":     {[]netInterface{lo, lan, six}, map[string]string{"10.9.0.0/24": "10.9.0.1", "2000::/3": "2001:db8:1::1"}, v4, false, []string{"2001:db8:1::2", "10.9.0.2"}, "10.9.0.1", 0},
		"[::] without seeds":                {[]netInterface{lo, lan, six}, map[string]string{"0.0.0.0/0": "10.9.0.1", "2000::/3": "2001:db8:1::1"}, both, true, nil, "2001:db8:1::1", 0},
		"loopback for the route's source":   {[]netInterface{lo, lan}, map[string]string{"0.0.0.0/0": "127.0.0.1"}, both, false, []string{"10.1.0.1"}, "", 0},
		"link-local for the route's source": {[]netInterface{lo, six}, map[string]string{"2000::/3": "fe80::1"}, both, false, []string{"2001:db8:1::2"}, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := host{
				interfaces: func() ([]netInterface, error) { return tt.interfaces, nil },
				source: func(to netip.Addr) (netip.Addr, error) {
					best, source := -1, ""
					for prefix, s := range tt.routes {
						if p := netip.MustParsePrefix(prefix); p.Contains(to) && p.Bits() > best {
							best, source = p.Bits(), s
						}
					}
					if best < 0 {
						return netip.Addr{}, errors.New("network is unreachable")
					}
					return ip(source), nil
				},
			}
			var seeds []netip.Addr
			for _, s := range tt.seeds {
				seeds = append(seeds, ip(s))
			}
			got, err := guess(h, tt.can, tt.prefer6, seeds)
			switch {
			case tt.want == "":
				if !errors.Is(err, errNoRoute) {
					t.Errorf("guessed %v, %v, want errNoRoute", got, err)
				}
			case err != nil || got.addr != ip(tt.want) || len(got.others) != tt.others:
				t.Errorf("guessed %+v, %v, want %v and %d others", got, err, tt.want, tt.others)
			}
			if slices.Contains(got.others, got.addr) {
				t.Errorf("%v is among the others", got.addr)
			}
		})
	}
}

// An address that is taken is said in one line, with what to do, and named once.
func TestListenErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	_, err = Join(t.Context(), Config{Name: "a", Bind: addr})
	if want := "cluster: Bind: cannot listen on " + addr + ": address already in use: choose another address, or end what listens there"; runtime.GOOS != "windows" &&
		(err == nil || err.Error() != want) {
		t.Errorf("%v; want %s", err, want)
	}
	err = cannotListen(hostPort{"192.0.2.1", 7946}, errors.New(
		`failed to start TCP listener on "192.0.2.1" port 7946: listen tcp 192.0.2.1:7946: bind: cannot assign requested address`))
	if want := "cluster: Bind: cannot listen on 192.0.2.1:7946: cannot assign requested address"; err.Error() != want {
		t.Errorf("%v; want %s", err, want)
	}
}
