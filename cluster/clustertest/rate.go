package clustertest

import (
	"fmt"
	"time"
)

const (
	// What a line carries besides the bytes that it was given: the headers of
	// IPv4 and UDP (RFC 791, RFC 768), and of IPv4 and TCP (RFC 9293).
	udpHeader = 20 + 8
	tcpHeader = 20 + 20

	// segmentSize is what one packet of a stream takes along: an Ethernet's
	// 1500 bytes less the headers.
	segmentSize = 1500 - tcpHeader

	// leastQueue is what a line holds at least by default: two full packets.
	leastQueue = 2 * 1500

	maxRate      = 1_000_000_000 // a byte takes a nanosecond
	maxRateQueue = 1 << 29
)

// A Rate is how fast one direction of a line is. The zero value has no limit.
//
// A packet of n bytes occupies the line for (n + 28)/BytesPerSecond seconds, with
// the headers of IPv4 and UDP, and goes when all that came before it has gone:
// exactly, in virtual time, and in its order.
type Rate struct {
	// BytesPerSecond is from 0, no limit, to 1e9. A line of 16 kbit/s has 2000.
	BytesPerSecond int

	// Queue is how many bytes, headers included, the line holds at most: those
	// that wait, and what has not left yet of the packet that is on it. A packet
	// that would make them more is dropped and counted as Tail. One that finds
	// nothing there goes, whatever its size. At most 536870912; 0 means what the
	// line carries in a second, 3000 at least.
	Queue int
}

func (r Rate) validate(name string) error {
	if r.BytesPerSecond < 0 || r.BytesPerSecond > maxRate {
		return fmt.Errorf("clustertest: %s.BytesPerSecond = %d: must be 0 (no limit) to %d", name, r.BytesPerSecond, maxRate)
	}
	if r.Queue < 0 || r.Queue > maxRateQueue {
		return fmt.Errorf("clustertest: %s.Queue = %d: must be 0 (for what a second carries) to %d", name, r.Queue, maxRateQueue)
	}
	return nil
}

// takes is how long the line is busy with so many bytes, rounded up to a
// nanosecond.
func (r Rate) takes(bytes int) time.Duration {
	rate := int64(r.BytesPerSecond)
	return time.Duration((int64(bytes)*int64(time.Second) + rate - 1) / rate)
}

func (r Rate) queue() int {
	if r.Queue > 0 {
		return r.Queue
	}
	return min(max(r.BytesPerSecond, leastQueue), maxRateQueue)
}

// SetRate gives each of addrs a line of its own, like the access line of a
// host: up is the rate of what it sends to others, down of what others send to
// it. [Everyone] stands for all addresses, those to come included. Zero rates
// lift the limit. What an address sends to itself crosses no line. What is in
// a line when its rate changes leaves as it would have.
//
// A packet crosses the sender's line, then the path with its [Link] and cuts,
// then the receiver's line. A stream has one packet of at most 1460 bytes in
// the sender's line at a time, each with 40 bytes of headers. One that does not
// fit is sent again, as if the path had lost it. It takes its place in the
// receiver's line when it is sent. Acknowledgements cost nothing.
//
// A call about the same addresses as an earlier one replaces it, as with
// [Network.SetLink].
func (n *Network) SetRate(addrs []string, up, down Rate) error {
	if err := up.validate("up"); err != nil {
		return err
	}
	if err := down.validate("down"); err != nil {
		return err
	}
	return n.change(addrs, []string{Everyone}, func(c *conditions, p pair) {
		c.rates = append(without(c.rates, p), rateRule{p, up, down})
		// To lift a limit means something only after a limit.
		for len(c.rates) > 0 && c.rates[0].up.BytesPerSecond == 0 && c.rates[0].down.BytesPerSecond == 0 {
			c.rates = c.rates[1:]
		}
	})
}

// rateRule is about the addresses of pair.from.
type rateRule struct {
	pair
	up, down Rate
}

// rate returns what holds for the line of one address, up and down.
func (c *conditions) rate(id int) (up, down Rate) {
	for i := len(c.rates) - 1; i >= 0; i-- {
		if r := &c.rates[i]; r.from.has(id) {
			return r.up, r.down
		}
	}
	return Rate{}, Rate{}
}

// line is one direction of an address's line.
type line struct {
	free time.Time // when all that was put on it has left
}

// carry puts so many bytes on the line at a time. It returns when they have
// left it, or false where they do not fit. Times may not go back.
func (l *line) carry(r Rate, bytes int, now time.Time) (left time.Time, ok bool) {
	if r.BytesPerSecond == 0 {
		if l.free.After(now) { // behind what is left of a slower time
			return l.free, true
		}
		return now, true
	}
	takes := r.takes(bytes)
	if !l.free.After(now) {
		l.free = now.Add(takes)
		return l.free, true
	}
	if l.free.Sub(now)+takes > r.takes(r.queue()) {
		return time.Time{}, false
	}
	l.free = l.free.Add(takes)
	return l.free, true
}
