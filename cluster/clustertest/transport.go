package clustertest

import (
	"net"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

// maxPacket is what fits into a UDP datagram over IPv4 (RFC 768, RFC 791):
// 65535 bytes less 20 of IP and 8 of UDP header.
const maxPacket = 65507

// A Transport is one node's access to its [Network]. It is what
// memberlist.Config.Transport takes.
type Transport struct {
	at      *endpoint
	packets chan *memberlist.Packet
	streams chan net.Conn
	done    chan struct{} // closed by Shutdown and Kill

	shut bool // by Shutdown; guarded by at.mu
}

var _ memberlist.NodeAwareTransport = (*Transport)(nil)

// Addr is the address of the transport, such as "10.0.0.7:7946".
func (t *Transport) Addr() string { return t.at.name }

// FinalAdvertiseAddr returns the address of the transport, whatever it is
// given: 4 bytes for IPv4, as memberlist compares addresses byte by byte.
func (t *Transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	ip := t.at.addr.AddrPort().Addr().AsSlice()
	return ip, t.at.addr.Port, nil
}

// WriteTo sends a copy of b as one packet to addr and returns the time. It
// never blocks but while the node is stalled. As with UDP, an error means that
// the packet could not be sent at all: an address that does not parse, more than 65507 bytes, a transport
// that was shut down. A transport that was killed sends nothing and gives no
// error, so that what is left of its node makes no noise.
func (t *Transport) WriteTo(b []byte, addr string) (time.Time, error) {
	to, err := t.at.net.endpoint(addr)
	if err != nil {
		return time.Time{}, err
	}
	if len(b) > maxPacket {
		return time.Time{}, t.packetError(to, syscall.EMSGSIZE)
	}
	t.at.still(t)
	now := time.Now()
	if err := t.at.send(t, to, b, now); err != nil {
		return time.Time{}, t.packetError(to, err)
	}
	return now, nil
}

// WriteToAddress is WriteTo; the node's name is not used.
func (t *Transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return t.WriteTo(b, a.Addr)
}

// PacketCh is where the packets to this transport arrive. Its reader owns them.
func (t *Transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh is where the streams that others dialled arrive.
func (t *Transport) StreamCh() <-chan net.Conn { return t.streams }

// Shutdown gives up the address and closes the streams of this transport; what
// was written to them before still arrives. Shutdown again, or after a kill,
// does nothing.
func (t *Transport) Shutdown() error {
	for _, p := range t.at.vacate(t, true) {
		p.close()
	}
	return nil
}

func (t *Transport) packetError(to *endpoint, err error) error {
	return &net.OpError{Op: "write", Net: "udp", Source: t.at.addr, Addr: to.addr, Err: err}
}

// Kill crashes the nodes at addrs, all at one instant: from now on nothing
// goes in or out. What they had sent is on its way and arrives; packets to them
// are lost; their streams are reset at the other end, one delay later, or once
// what was sent before has arrived. Loss or a cut may take the reset: then the
// other end hears nothing until something that it writes, or has written, gets
// through and is answered by another. With Options.SilentDead there are no
// resets. The node's own goroutines do not stop: shut it down some time. Its
// address may be taken by another transport. It is an error, and nobody is
// killed, if one has no live transport.
func (n *Network) Kill(addrs ...string) error {
	es, err := n.live(addrs)
	if err != nil {
		return err
	}
	for _, e := range es {
		if t := e.current(); t != nil {
			for _, p := range e.vacate(t, false) {
				p.kill()
			}
		}
	}
	return nil
}
