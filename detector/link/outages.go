package link

import (
	"net/netip"
	"sync"
	"time"
)

// An Outage is many sessions that fell silent together: what they have in common failed, a network, a proxy, or a card of this host.
type Outage struct {
	// Network is the IPv4 /24 or IPv6 /64 of their addresses; "all" where they are of many, with few each.
	Network string `json:"network"`
	// Silent of so many Sessions are silent now.
	Silent   int `json:"silent"`
	Sessions int `json:"sessions"`
	// Over: most of those that were silent are heard again, or Gone.
	Over bool `json:"over"`
}

// outages count the silent sessions of each network. Many that fall silent together are told of as one: during an outage nobody is
// told that a session of that network is Suspect or Away, only that it is back or Gone; and after it what is left of that.
type outages struct {
	mu       sync.Mutex
	together time.Duration // how far apart the sessions of a network that is cut fall silent
	all      *network
	networks map[netip.Prefix]*network
	over     []*network // whose outage is over, and whose sessions are not told of yet
	wake     chan struct{}
}

// network is sessions that are not Gone, and share a path. Its fields are guarded by outages.mu.
type network struct {
	prefix           netip.Prefix // the zero one: all sessions
	sessions, silent int
	fell             [2]int // how many fell silent in the present span of together, and in the one before
	span             int64
	out              bool // it has an outage, of which is told
	peak             int  // how many were silent at most during it
}

const (
	// fewestOut is how many sessions have to fall silent together for an outage, and outShare which part of those that were heard:
	// sessions of a large network come and go all the time.
	fewestOut = 8
	outShare  = 16
	// overShare is which part of them may still be silent when it is over: clients come back at moments that are spread.
	overShare = 8
	// ipv4Bits and ipv6Bits are how much of two addresses is equal in one network.
	ipv4Bits = 24
	ipv6Bits = 64
)

func (o *outages) init(every time.Duration) {
	o.together = 2 * every
	o.all = &network{}
	o.networks = map[netip.Prefix]*network{}
	o.wake = make(chan struct{}, 1)
}

// of returns the network of an address with a port; nil for what is none.
func (o *outages) of(remote string) *network {
	prefix, ok := prefixOf(remote)
	if !ok {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.networks[prefix]
	if n == nil {
		n = &network{prefix: prefix}
		o.networks[prefix] = n
	}
	return n
}

func prefixOf(remote string) (prefix netip.Prefix, ok bool) {
	a, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}, false
	}
	ip, bits := a.Addr().Unmap().WithZone(""), ipv6Bits
	if ip.Is4() {
		bits = ipv4Bits
	}
	prefix, err = ip.Prefix(bits)
	return prefix, err == nil
}

// standing is what a session is to its network.
type standing uint8

const (
	absent standing = iota // not there yet, or Gone
	heard
	unheard
)

func standingOf(s State, cause Cause) standing {
	switch {
	case s == 0 || s == Gone:
		return absent
	case s == Up || cause == Clean || cause == Local:
		return heard
	}
	return unheard
}

// move notes that a session stood so in one network, and stands so in another or the same; nil: in none. It returns what is to be
// told, and whether that is instead of the session itself.
func (o *outages) move(from, to *network, before, after standing, now time.Time) (news []Outage, hush bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	span := now.UnixNano() / int64(o.together)
	step := func(n *network, before, after standing) {
		n.roll(span)
		n.count(before, -1)
		n.count(after, 1)
		falls := after == unheard && before != unheard && (n != o.all || to == nil || !to.out)
		if falls {
			n.fell[0]++
		}
		n.peak = max(n.peak, n.silent)
		switch fell := n.fell[0] + n.fell[1]; {
		case !n.out && falls && fell >= max(fewestOut, (n.sessions-n.silent+fell)/outShare):
			n.out, n.peak = true, n.silent
			if n != o.all { // what it explains is no sign of more
				o.all.roll(span)
				o.all.fell[0] = max(0, o.all.fell[0]-n.fell[0])
				o.all.fell[1] = max(0, o.all.fell[1]-n.fell[1])
			}
		case n.out && overShare*n.silent <= n.peak:
			n.out = false
			o.over = append(o.over, n)
			select {
			case o.wake <- struct{}{}:
			default:
			}
		default:
			return
		}
		news = append(news, Outage{n.name(), n.silent, n.sessions, !n.out})
	}
	switch {
	case from == to && to != nil:
		step(to, before, after)
	case from != to:
		if from != nil {
			step(from, before, absent)
		}
		if to != nil {
			step(to, absent, after)
		}
	}
	step(o.all, before, after)
	for _, n := range [...]*network{from, to} {
		if n != nil && n.sessions == 0 && o.networks[n.prefix] == n {
			delete(o.networks, n.prefix)
		}
	}
	return news, o.all.out || to != nil && to.out
}

// hushed tells whether there is an outage of a network, or of all.
func (o *outages) hushed(n *network) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.out || n != nil && n.out
}

// takeOver returns the networks whose outage is over, each once.
func (o *outages) takeOver() []*network {
	o.mu.Lock()
	defer o.mu.Unlock()
	over := o.over
	o.over = nil
	return over
}

func (n *network) name() string {
	if !n.prefix.IsValid() {
		return "all"
	}
	return n.prefix.String()
}

func (n *network) count(s standing, by int) {
	if s != absent {
		n.sessions += by
	}
	if s == unheard {
		n.silent += by
	}
}

// roll begins a span.
func (n *network) roll(span int64) {
	switch span - n.span {
	case 0:
	case 1:
		n.fell = [2]int{0, n.fell[0]}
	default:
		n.fell = [2]int{}
	}
	n.span = span
}
