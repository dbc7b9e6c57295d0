package nat

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

const someNeighbours = `IP address       HW type     Flags       HW address            Mask     Device
192.0.2.1        0x1         0x2         02:fc:00:00:00:05     *        eth0
192.0.2.1        0x1         0x2         02:fc:00:00:00:06     *        eth1
192.0.2.9        0x1         0x0         00:00:00:00:00:00     *        eth0
`

// someRoutes is as a machine of this byte order prints it.
func someRoutes() string {
	one, nine := "010200C0", "090200C0"
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		one, nine = "C0000201", "C0000209"
	}
	return `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	` + nine + `	0003	0	0	600	00000000	0	0	0
eth0	00000000	` + one + `	0003	0	0	100	00000000	0	0	0
tun0	00000000	00000000	0001	0	0	50	00000000	0	0	0
eth0	000200C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
short	line
`
}

func TestDefaultGateway(t *testing.T) {
	for name, want := range map[string]string{"eth0": "192.0.2.1", "tun0": "invalid IP", "eth7": "invalid IP"} {
		if got := defaultGateway([]byte(someRoutes()), name); got.String() != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	for _, bad := range []string{"", "\n", "eth0\t00000000\tzz\t0003\t0\t0\t0\t00000000\t0\t0\t0", "eth0\t00000000\t01\t0003\t0\t0\t0\t00000000"} {
		if got := defaultGateway([]byte(bad), "eth0"); got.IsValid() {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func TestHardwareOf(t *testing.T) {
	for _, test := range []struct{ ip, name, want string }{
		{"192.0.2.1", "eth0", "02:fc:00:00:00:05"}, {"192.0.2.1", "eth1", "02:fc:00:00:00:06"}, {"192.0.2.9", "eth0", ""}, {"192.0.2.8", "eth0", ""},
	} {
		if got := hardwareOf([]byte(someNeighbours), netip.MustParseAddr(test.ip), test.name); got != test.want {
			t.Errorf("%v: %q", test, got)
		}
	}
}

// Two homes with the same prefix and the same gateway are two networks. The ID tells none of it.
func TestNetworksDiffer(t *testing.T) {
	home := place{netip.MustParsePrefix("192.168.1.0/24"), netip.MustParseAddr("192.168.1.1"), "02:00:00:00:00:01"}
	seen := map[string]bool{home.network().ID: true}
	if n := home.network(); n != home.network() || n.Name != "192.168.1.0/24 via 192.168.1.1" || len(n.ID) != 32 {
		t.Errorf("%+v", n)
	}
	for _, change := range []func(*place){
		func(p *place) { p.hardware = "02:00:00:00:00:02" },
		func(p *place) { p.gateway = netip.Addr{} },
		func(p *place) { p.prefix = netip.MustParsePrefix("192.168.0.0/16") },
	} {
		other := home
		change(&other)
		if id := other.network().ID; seen[id] {
			t.Errorf("%+v is the same", other)
		} else {
			seen[id] = true
		}
	}
}

func TestHere(t *testing.T) {
	for server, want := range map[string]string{"127.0.0.1:9": "127.0.0.0/8", "127.0.0.7:1": "127.0.0.0/8"} {
		got, err := Here(t.Context(), server)
		if err != nil || got.Name != want || got.ID == "" {
			t.Errorf("%s: %+v, %v", server, got, err)
		}
	}
	for _, bad := range []string{"", "127.0.0.1", "no.such.host.invalid:1"} {
		if got, err := Here(t.Context(), bad); err == nil || got.ID != "" {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}
