package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// namesakes are the other processes in the cluster that run under this node's name, or are about to, as memberlist knows them.
func (n *Node) namesakes() []gossipMember {
	n.mu.Lock()
	defer n.mu.Unlock()
	own := n.core.gossipName
	var found []gossipMember
	for _, g := range n.core.namesakes {
		if g.addr == n.core.addr {
			continue // at our own address only we can be
		}
		m, err := decodeMeta(g.meta)
		if err != nil || m.Boot == 0 && g.name > own {
			continue // of two that join at one time, the one that started first goes on
		}
		found = append(found, g)
	}
	return found
}

// holder asks all namesakes at once, and returns the address of one that answers, or "".
func (n *Node) holder(ctx context.Context) (addr string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	namesakes := n.namesakes()
	answers := make(chan string, len(namesakes))
	for _, g := range namesakes {
		go func() {
			if n.answers(ctx, g) {
				answers <- g.addr
			} else {
				answers <- ""
			}
		}()
	}
	for range namesakes { // all of them, so that none is left when Join returns; one answer ends the wait for the others
		if a := <-answers; a != "" {
			addr = a
			cancel()
		}
	}
	return addr
}

// answers tells whether a process runs at a member's address under that very name and boot. Memberlist's ping names whom it
// means, and each try waits half a second at most (its LAN ProbeTimeout). A host that refuses a connection to the port says
// at once that nobody is there, which is what a process that was killed leaves behind.
func (n *Node) answers(ctx context.Context, g gossipMember) bool {
	conn, err := n.transport.DialTimeout(g.addr, askTries*askSpacing)
	if err == nil {
		conn.Close()
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		return false
	}
	addr, err := net.ResolveUDPAddr("udp", g.addr) // an IP address: nothing is looked up
	if err != nil {
		return false
	}
	replies := make(chan bool, askTries+1)
	try := func(answered func() bool) {
		if !n.background(func() { replies <- answered() }) {
			replies <- false
		}
	}
	n.mu.Lock()
	for i := range askTries {
		try(func() bool {
			if !pause(n.ctx, time.Duration(i)*askSpacing) {
				return false
			}
			_, err := n.ml.Ping(g.name, addr)
			return err == nil
		})
	}
	try(func() bool { // one that took this node's name sends it nothing of memberlist's any more, but answers this
		h := n.whoIs(ctx, g.addr)
		return h != nil && h.Process == g.name
	})
	n.mu.Unlock()
	for range askTries + 1 {
		select {
		case ok := <-replies:
			if ok {
				return true
			}
		case <-ctx.Done():
			return false
		}
	}
	return false
}

// contest settles who holds this node's name when a member with a higher boot appears under it. If that one answers, it is
// the incumbent for everybody else, and this node ends. If not, the boot was a ghost's, and this node goes above it.
// It needs n.mu.
func (n *Node) contest(g gossipMember) {
	m, err := decodeMeta(g.meta)
	if err != nil || n.contests[g.name] {
		return
	}
	n.contests[g.name] = true
	first := m.Boot == n.core.boot && n.core.gossipName < g.name // of two with one boot the one that started first goes on, above it
	n.background(func() {
		taken := !first && g.addr != n.core.addr && n.answers(n.ctx, g)
		n.mu.Lock()
		delete(n.contests, g.name)
		if n.ctx.Err() != nil || n.core.left {
			n.mu.Unlock()
			return
		}
		if taken {
			n.mu.Unlock()
			n.cfg.log.Error("another process took this node's name; ending", "name", n.cfg.Name, "addr", g.addr)
			go n.close(fmt.Errorf("cluster: Name: %q at %s: %w", n.cfg.Name, g.addr, ErrNameTaken)) // close waits for this goroutine
			return
		}
		if m.Boot >= n.core.boot {
			n.core.assume(m.Boot + 1)
		}
		n.perform()
	})
}

const (
	// askTries probes of a namesake are sent askSpacing apart, so that a lost packet does not make it look dead.
	askTries   = 5
	askSpacing = 100 * time.Millisecond
)
