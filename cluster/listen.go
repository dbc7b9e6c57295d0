package cluster

import (
	"fmt"
	"log"
	"net"
	"strings"

	"github.com/hashicorp/memberlist"
)

// listen opens the sockets of a node and returns the address that others reach it at.
func listen(p *prepared, logger *log.Logger) (*memberlist.NetTransport, hostPort, error) {
	var nt *memberlist.NetTransport
	var err error
	tries := 1
	if p.bind.port == 0 {
		tries = 10 // the free port is chosen for TCP, and may be taken for UDP
	}
	for range tries {
		nt, err = memberlist.NewNetTransport(&memberlist.NetTransportConfig{
			BindAddrs: []string{p.bind.host}, BindPort: p.bind.port, Logger: logger,
		})
		if err == nil || !strings.Contains(err.Error(), "address already in use") {
			break
		}
	}
	if err != nil {
		return nil, hostPort{}, fmt.Errorf("cluster: Bind: cannot listen on %v: %w", p.bind, err)
	}
	port := p.bind.port
	if port == 0 {
		port = nt.GetAutoBindPort()
	}
	adv := p.adv
	if adv.port == 0 {
		adv.port = port
	}
	if adv.host == "" {
		if adv.host, err = reachable(p.bind.host); err != nil {
			nt.Shutdown()
			return nil, hostPort{}, err
		}
	}
	return nt, adv, nil
}

// reachable returns the address that others probably reach a socket on bind at: bind itself, or where that is 0.0.0.0 or ::,
// the first private address of this machine, else the first public one, else loopback. It is always set explicitly:
// memberlist's own choice for 0.0.0.0 can be an IPv6 address that nothing listens on.
func reachable(bind string) (string, error) {
	ip := net.ParseIP(bind)
	if !ip.IsUnspecified() {
		return bind, nil
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "", fmt.Errorf("cluster: Advertise: empty, and the addresses of this machine are not known: %w", err)
	}
	v4 := ip.To4() != nil
	var public, loopback string
	for _, a := range addrs {
		n, ok := a.(*net.IPNet)
		if !ok || v4 != (n.IP.To4() != nil) {
			continue
		}
		switch {
		case n.IP.IsLoopback():
			loopback = n.IP.String()
		case n.IP.IsPrivate():
			return n.IP.String(), nil
		case n.IP.IsGlobalUnicast() && public == "":
			public = n.IP.String()
		}
	}
	for _, found := range []string{public, loopback} {
		if found != "" {
			return found, nil
		}
	}
	return "", fmt.Errorf("cluster: Advertise: empty, and this machine has no address to advertise for Bind %q", bind)
}
