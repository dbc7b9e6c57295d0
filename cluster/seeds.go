package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// seeds are the addresses that a node joins through, and tries for as long as it lives. They are guarded by Node.mu.
type seeds struct {
	fixed []hostPort // Config.Seeds, SetSeeds
	found []hostPort // what Config.Discover said last
	// last are the members of an earlier run (Config.Remembered), by address. An address is no identity: they are exchanged with
	// only where a member of that name answers there.
	last map[hostPort]string
}

// all are the seeds that an operator wants, each once.
func (s *seeds) all() []hostPort {
	all := slices.Clone(s.fixed)
	for _, hp := range s.found {
		if !slices.Contains(all, hp) {
			all = append(all, hp)
		}
	}
	return all
}

func (s *seeds) has(hp hostPort) bool {
	return slices.Contains(s.fixed, hp) || slices.Contains(s.found, hp)
}

// seedCount is for a rough look at how many there are.
func (n *Node) seedCount() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.seeds.fixed) + len(n.seeds.found) + len(n.seeds.last)
}

func (n *Node) seedNames() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var names []string
	for _, s := range n.seeds.all() {
		names = append(names, s.String())
	}
	return names
}

// parseSeeds reads "host:port" addresses; the error names each that is none, as an element of field.
func parseSeeds(field string, list []string) (seeds []hostPort, err error) {
	var errs []error
	for i, s := range list {
		hp, err := parseHostPort(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("cluster: %s[%d]: %.300q %w", field, i, s, err))
		} else if !slices.Contains(seeds, hp) {
			seeds = append(seeds, hp)
		}
	}
	return seeds, errors.Join(errs...)
}

// SetSeeds replaces Config.Seeds: the addresses that this node tries from now on where no member that is up has them. An address
// that is none is an error (ErrConfig), and nothing is changed.
func (n *Node) SetSeeds(list []string) error {
	parsed, err := parseSeeds("Seeds", list)
	if err != nil {
		return refused{err}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gone {
		return ErrClosed
	}
	n.seeds.fixed = parsed
	n.core.noteSeeds(parsed)
	return nil
}

// noteSeeds has the core remember who is at these addresses.
func (c *core) noteSeeds(list []hostPort) {
	for _, s := range list {
		if _, ok := c.atSeed[s.String()]; !ok {
			c.atSeed[s.String()] = c.lastAt(s.String(), nil)
		}
	}
}

const (
	// discoverTime is how long Config.Discover may take.
	discoverTime = 10 * time.Second
	// mostFound bounds what it may say.
	mostFound = 1024
	// rediscoverEvery is how often a node asks Config.Discover that is a member already, and aloneEvery how often while it knows of no
	// other member that is up.
	rediscoverEvery = time.Minute
	aloneEvery      = 5 * time.Second
)

// discover asks Config.Discover where other members may be. What it found holds also where there is an error.
func (p *prepared) discover(ctx context.Context) ([]hostPort, error) {
	ctx, cancel := context.WithTimeout(ctx, discoverTime)
	defer cancel()
	list, err := p.Discover(ctx)
	if err != nil {
		err = fmt.Errorf("cluster: Discover: %w", err)
	}
	if len(list) > mostFound {
		err = errors.Join(err, fmt.Errorf("cluster: Discover: %d addresses: want at most %d", len(list), mostFound))
		list = list[:mostFound]
	}
	found, wrong := parseSeeds("Discover", list)
	return found, errors.Join(err, wrong)
}

// takeFound takes what Config.Discover said.
func (n *Node) takeFound(found []hostPort) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seeds.found = found
	n.core.noteSeeds(found)
}

// rediscover asks Config.Discover again, if it is time to. asked is when that was last.
func (n *Node) rediscover(asked time.Time) time.Time {
	every := rediscoverEvery
	if n.alone() {
		every = aloneEvery
	}
	if n.cfg.Discover == nil || time.Since(asked) < every {
		return asked
	}
	found, err := n.cfg.discover(n.ctx)
	if err == nil || len(found) > 0 {
		n.takeFound(found)
	}
	if err != nil && n.ctx.Err() == nil {
		n.cfg.log.Debug("looking for seeds failed", "error", err)
	}
	return time.Now()
}

// remembered reads Config.Remembered. An address that is none is left out: the list comes from an earlier run.
func remembered(members []Member) map[hostPort]string {
	last := map[hostPort]string{}
	for _, m := range members {
		ap, err := netip.ParseAddrPort(m.Addr)
		if err == nil && ap.Port() != 0 && wire.BadName(m.Name) == "" && m.Name != "" && len(last) < mostFound {
			last[hostPort{ap.Addr().Unmap().String(), int(ap.Port())}] = m.Name
		}
	}
	return last
}

// expectName tells whether the member of that name answers at an address.
func (n *Node) expectName(ctx context.Context, addr, name string) error {
	h := n.whoIs(ctx, addr)
	switch {
	case h == nil:
		return errNobody
	case h.Name != name:
		return fmt.Errorf("%w, and %s is there", errStranger, h.Name)
	}
	return nil
}
