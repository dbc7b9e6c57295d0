package cluster

import (
	"context"
	"errors"
	"fmt"
	"log"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/memberlist"
)

// ErrAddressLost is wrapped by Node.Err's error where the node ended because this host has lost the address that it advertised and
// has another one. Join again, or let the supervisor start the process anew.
var ErrAddressLost = errors.New("cluster: this host has lost the address that the node advertised")

// reach is how others reach a node that has sockets of its own.
type reach struct {
	addr     hostPort
	guessed  bool // Advertise was empty
	unsure   bool // and there was more than one address to choose from, or none but loopback
	families families
	host     host
	told     bool // the log says that it may be wrong; under Node.mu
}

// listen opens the sockets of a node and finds the address that others reach it at.
func listen(ctx context.Context, p *prepared, logger *log.Logger) (*memberlist.NetTransport, *reach, error) {
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
		return nil, nil, cannotListen(p.bind, err)
	}
	port := p.bind.port
	if port == 0 {
		port = nt.GetAutoBindPort()
	}
	r := &reach{addr: p.adv, guessed: p.adv.host == "", families: familiesOf(p.bind.host), host: thisHost}
	if r.addr.port == 0 {
		r.addr.port = port
	}
	if r.guessed {
		if err := r.guess(ctx, p); err != nil {
			nt.Shutdown()
			return nil, nil, err
		}
	}
	return nt, r, nil
}

// cannotListen is what memberlist says of an address, which it names twice before it comes to the
// system's reason.
func cannotListen(bind hostPort, err error) error {
	if why := err.Error(); strings.Contains(why, "address already in use") {
		return fmt.Errorf("cluster: Bind: cannot listen on %v: address already in use: "+
			"choose another address, or end what listens there", bind)
	} else if _, reason, ok := strings.Cut(why, ": bind: "); ok {
		return fmt.Errorf("cluster: Bind: cannot listen on %v: %s", bind, reason)
	}
	return fmt.Errorf("cluster: Bind: cannot listen on %v: %w", bind, err)
}

// guess finds the address to advertise where none is set, and waits for one while there is no route to any seed. It is always set
// explicitly: memberlist's own choice for 0.0.0.0 can be an IPv6 address that nothing listens on.
func (r *reach) guess(ctx context.Context, p *prepared) error {
	bind := netip.MustParseAddr(p.bind.host)
	if !bind.IsUnspecified() {
		r.addr.host = p.bind.host
		return nil
	}
	var said time.Time
	for {
		g, err := guess(r.host, r.families, bind.Is6(), r.seedAddrs(ctx, p))
		switch {
		case err == nil:
			r.addr.host, r.unsure = g.addr.String(), len(g.others) > 0 || g.addr.IsLoopback()
			switch {
			case len(g.others) > 0:
				p.log.Warn("this host has several addresses that others may reach it at: set Advertise if this is the wrong one",
					"advertises", g.addr, "because", g.why, "others", g.others)
			case g.addr.IsLoopback():
				p.log.Warn("this host has no network: it advertises loopback, where only nodes on this host reach it; restart it, or set Advertise, once there is one",
					"advertises", g.addr)
			default:
				p.log.Debug("address to advertise", "addr", g.addr, "because", g.why)
			}
			return nil
		case !errors.Is(err, errNoRoute):
			return fmt.Errorf("cluster: Advertise: empty, and %w", err)
		}
		if now := time.Now(); now.Sub(said) >= seedPatience {
			said = now
			p.log.Warn("no route to any seed yet, so the address to advertise is not known: waiting for one, or set Advertise", "seeds", p.Seeds, "error", err)
		}
		if !pause(ctx, routeEvery) {
			return fmt.Errorf("cluster: Advertise: empty, and %w: %w", err, context.Cause(ctx))
		}
	}
}

const (
	// routeEvery is how often a node that waits for a route looks for one.
	routeEvery = 250 * time.Millisecond
	// lookupTime is how long a look for a seed's address may take here. The tries to join look again.
	lookupTime = 5 * time.Second
)

// seedAddrs are the addresses of the seeds, as far as their names resolve.
func (r *reach) seedAddrs(ctx context.Context, p *prepared) (addrs []netip.Addr) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	seeds := slices.Concat(p.seeds, p.found, slices.Collect(maps.Keys(remembered(p.Remembered))))
	found := make([][]netip.Addr, len(seeds))
	done := make(chan struct{})
	for i, s := range seeds {
		go func() {
			found[i], _ = lookup(ctx, s.host)
			done <- struct{}{}
		}()
	}
	for range seeds {
		<-done
	}
	return slices.Concat(found...)
}

// guess chooses the address that others reach this host at: where the kernel sends from to a seed; without seeds elsewhere, where it
// sends from to the world; without such a route an address of an interface that is up, a bridge last; loopback where there is nothing
// else, and no seed elsewhere.
func guess(h host, can families, prefer6 bool, seeds []netip.Addr) (guessed, error) {
	interfaces, err := h.interfaces()
	if err != nil {
		return guessed{}, fmt.Errorf("the addresses of this host are not known: %w", err)
	}
	local := func(ip netip.Addr) bool {
		return ip.IsLoopback() || slices.ContainsFunc(interfaces, func(i netInterface) bool { return slices.Contains(i.addrs, ip) })
	}
	var found guessed
	elsewhere := false
	for _, seed := range seeds {
		if local(seed) || !can.has(seed) {
			continue // this host, or out of reach in any case
		}
		elsewhere = true
		source, err := h.source(seed)
		if err != nil || !usable(source) || source == found.addr || slices.Contains(found.others, source) {
			continue
		}
		if !found.addr.IsValid() {
			found.addr, found.why = source, "route to seed "+seed.String()
		} else {
			found.others = append(found.others, source)
		}
	}
	if found.addr.IsValid() {
		return found, nil
	}
	if elsewhere {
		return guessed{}, errNoRoute
	}

	world := []netip.Addr{anywhere4, anywhere6}
	if prefer6 {
		slices.Reverse(world)
	}
	for _, to := range world {
		if source, err := h.source(to); can.has(to) && err == nil && usable(source) {
			return guessed{addr: source, why: "default route"}, nil
		}
	}
	var best [3][]netip.Addr // of cards, of bridges, of the loopback interface
	for _, i := range interfaces {
		rank := 0
		switch {
		case i.loopback:
			rank = 2
		case i.bridge:
			rank = 1
		}
		for _, ip := range i.addrs {
			if usable(ip) && can.has(ip) {
				best[rank] = append(best[rank], ip)
			}
		}
	}
	for rank, addrs := range best {
		if len(addrs) == 0 {
			continue
		}
		order := func(ip netip.Addr) int { // the family asked for, then private ones
			n := 0
			if ip.Is6() != prefer6 {
				n += 2
			}
			if !ip.IsPrivate() {
				n++
			}
			return n
		}
		slices.SortStableFunc(addrs, func(a, b netip.Addr) int { return order(a) - order(b) })
		others := slices.DeleteFunc(addrs[1:], func(ip netip.Addr) bool { return ip.Is4() != addrs[0].Is4() })
		return guessed{addrs[0], [...]string{"address of this host", "only a bridge has one", "only the loopback interface has one"}[rank], others}, nil
	}
	for _, ip := range []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()} {
		if can.has(ip) && (ip.Is6() == prefer6 || !(can.v4 && can.v6)) {
			return guessed{addr: ip, why: "no network"}, nil
		}
	}
	return guessed{}, errors.New("this host has no address")
}

// isLocal tells whether an "ip:port" address is one of this host.
func (n *Node) isLocal(addr string) bool {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil || n.cfg.Transport != nil {
		return false
	}
	if ap.Addr().IsLoopback() {
		return true
	}
	has, err := n.reach.host.has(ap.Addr())
	return err == nil && has
}

// checkGuess compares the address that a member was reached from with the one that was guessed.
func (n *Node) checkGuess(local net.Addr) {
	tcp, ok := local.(*net.TCPAddr)
	if !ok || n.cfg.Transport != nil || !n.reach.guessed || !net.ParseIP(n.cfg.bind.host).IsUnspecified() {
		return
	}
	ip := tcp.AddrPort().Addr().Unmap()
	n.mu.Lock()
	said := n.reach.told
	n.reach.told = true
	n.mu.Unlock()
	if ip.String() != n.reach.addr.host && !said && !ip.IsLoopback() {
		n.cfg.log.Warn("a member is reached from another address than the one that this node advertises: set Advertise if that is wrong",
			"advertises", n.reach.addr, "from", ip)
	}
}

const (
	// watchEvery is how often a node looks whether its host still has the address that it advertises.
	watchEvery = 2 * time.Second
	// lostTimes is how often in a row it has to be missing while there is another one: an address that is renewed is gone for a moment.
	lostTimes = 3
)

// watchAddress ends the node when its host has lost the address that it advertises and has another one. memberlist cannot announce
// another address for a running process, and without one the others do not reach it: it would be deaf, down for them, and not know why.
// Where there is no other address the network is down, and may come back as it was.
func (n *Node) watchAddress() {
	own, err := netip.ParseAddr(n.reach.addr.host)
	if err != nil {
		return
	}
	bind := netip.MustParseAddr(n.cfg.bind.host)
	missing, warned := 0, false
	for pause(n.ctx, watchEvery) {
		has, err := n.reach.host.has(own)
		if err != nil {
			continue
		}
		if has && !own.IsLoopback() || own.IsLoopback() && !n.reach.unsure {
			missing = 0
			continue
		}
		g, err := guess(n.reach.host, n.reach.families, bind.Is6(), n.reach.seedAddrs(n.ctx, n.cfg))
		found := err == nil && !g.addr.IsLoopback() && g.addr != own
		switch {
		case own.IsLoopback():
			if found && !warned {
				warned = true
				n.cfg.log.Warn("this host has a network now, and this node advertises loopback: restart it, or set Advertise", "advertises", own, "has", g.addr)
			}
			continue
		case !found:
			missing = 0
			if !warned {
				warned = true
				n.cfg.log.Warn("this host has lost the address that this node advertises, and has no other one: waiting for it", "advertises", own)
			}
			continue
		}
		if missing++; missing < lostTimes {
			continue
		}
		why := fmt.Errorf("cluster: Advertise: %w: %v, and has %v now", ErrAddressLost, own, g.addr)
		n.cfg.log.Error("ending: others do not reach this node any more", "advertises", own, "has", g.addr)
		go n.close(why) // close waits for this goroutine
		return
	}
}
