package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/hashicorp/memberlist"
)

// enter takes a started node into the cluster of its seeds, under a boot of its own.
func (n *Node) enter(ctx context.Context) error {
	member, err := n.joinSeeds(ctx)
	if err != nil {
		return err
	}
	if err := n.settle(ctx); err != nil {
		return err
	}
	if addr := n.holder(ctx); addr != "" {
		return fmt.Errorf("cluster: Name: %q at %s: %w", n.cfg.Name, addr, ErrNameTaken)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cluster: Join: %w", err)
	}

	n.mu.Lock()
	n.core.assume(max(uint64(time.Now().UnixMicro()), n.core.before+1))
	n.perform()
	if member != "" {
		// Once more, now under our boot: whoever joins through that member next shall find us there. If it fails, gossip will do.
		if err := n.exchange(ctx, member); err != nil {
			n.cfg.log.Debug("seed did not answer again", "addr", member, "error", err)
		}
	}

	n.mu.Lock()
	defer n.mu.Unlock()
	n.background(n.heal)
	return nil
}

// settle waits until the inbox is empty: what the seeds told has been taken in.
func (n *Node) settle(ctx context.Context) error {
	done := make(chan struct{})
	n.inbox.put(func() { close(done) })
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("cluster: Join: %w", ctx.Err())
	}
}

// joinSeeds returns the address of the first member that has answered, or "" where every seed is this node itself.
func (n *Node) joinSeeds(ctx context.Context) (member string, err error) {
	if len(n.cfg.seeds) == 0 {
		return "", nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	type report struct {
		seed   int
		member string
		err    error
	}
	reports := make(chan report)
	n.mu.Lock()
	for i, seed := range n.cfg.seeds {
		n.background(func() {
			retry := backoff.NewExponentialBackOff() // 0.5 s, growing by half, half of it jitter
			retry.MaxInterval = 5 * time.Second
			for {
				member, err := n.trySeed(ctx, seed)
				select {
				case reports <- report{i, member, err}:
				case <-ctx.Done():
					return
				}
				if err == nil || !pause(ctx, retry.NextBackOff()) {
					return
				}
			}
		})
	}
	n.mu.Unlock()

	last := make([]error, len(n.cfg.seeds))
	selves := 0
	patience := time.NewTicker(seedPatience)
	defer patience.Stop()
	for {
		select {
		case <-patience.C:
			n.cfg.log.Warn("no seed answers yet; still trying", "seeds", n.cfg.Seeds, "last", errors.Join(last...))
		case r := <-reports:
			switch {
			case r.err != nil:
				last[r.seed] = r.err
				n.cfg.log.Debug("seed did not answer", "seed", n.cfg.Seeds[r.seed], "error", r.err)
			case r.member != "":
				return r.member, nil
			default:
				if selves++; selves == len(last) {
					return "", nil
				}
			}
		case <-ctx.Done():
			for i, err := range last {
				if err == nil {
					err = errors.New("no answer yet")
				}
				last[i] = fmt.Errorf("seed %s: %w", n.cfg.Seeds[i], err)
			}
			return "", fmt.Errorf("cluster: Join: no seed answered: %w", errors.Join(append([]error{context.Cause(ctx)}, last...)...))
		}
	}
}

// seedPatience is how often the log says that no seed answers.
const seedPatience = 10 * time.Second

// trySeed exchanges states with the first of the members that a seed's name stands for, and returns its address, or "" if they
// are all this node.
func (n *Node) trySeed(ctx context.Context, seed hostPort) (member string, err error) {
	addrs, err := resolve(ctx, seed)
	if err != nil {
		return "", err
	}
	var errs []error
	for _, addr := range addrs {
		if addr == n.core.addr {
			continue
		}
		if err := n.exchange(ctx, addr); err != nil {
			errs = append(errs, err)
			continue
		}
		return addr, nil
	}
	return "", errors.Join(errs...)
}

// exchange exchanges states with the member at addr (memberlist's push/pull, up to 10 s), no longer than ctx lasts.
func (n *Node) exchange(ctx context.Context, addr string) error {
	result := make(chan error, 1)
	n.mu.Lock()
	started := n.background(func() {
		_, err := n.ml.Join([]string{addr})
		var several interface{ WrappedErrors() []error } // memberlist's list, of one here, which takes three lines to print
		if errors.As(err, &several) && len(several.WrappedErrors()) == 1 {
			err = several.WrappedErrors()[0]
		}
		result <- err
	})
	n.mu.Unlock()
	if !started {
		return ErrClosed
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// resolve returns the "ip:port" addresses of a seed. The pure Go resolver keeps to the context; the C library's does not.
func resolve(ctx context.Context, seed hostPort) ([]string, error) {
	if ip := net.ParseIP(seed.host); ip != nil {
		return []string{hostPort{ip.String(), seed.port}.String()}, nil
	}
	r := net.Resolver{PreferGo: true}
	ips, err := r.LookupIPAddr(ctx, seed.host)
	if err != nil {
		return nil, err
	}
	addrs := make([]string, len(ips))
	for i, ip := range ips {
		addrs[i] = net.JoinHostPort(ip.String(), strconv.Itoa(seed.port))
	}
	return addrs, nil
}

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

const (
	// askTries probes of a namesake are sent askSpacing apart, so that a lost packet does not make it look dead.
	askTries   = 5
	askSpacing = 100 * time.Millisecond
)

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
	replies := make(chan bool, askTries)
	n.mu.Lock()
	for i := range askTries {
		ok := n.background(func() {
			if !pause(n.ctx, time.Duration(i)*askSpacing) {
				replies <- false
				return
			}
			_, err := n.ml.Ping(g.name, addr)
			replies <- err == nil
		})
		if !ok {
			replies <- false
		}
	}
	n.mu.Unlock()
	for range askTries {
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

// pause waits for d, and reports false if ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

var _ memberlist.NodeAwareTransport = (*transport)(nil)
