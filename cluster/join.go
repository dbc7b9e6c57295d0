package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
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
	for name, g := range n.core.namesakes {
		if m, err := decodeMeta(g.meta); err == nil && m.Boot != 0 { // asked in vain
			n.core.who.replaced(time.Time{}, name)
		}
	}
	n.core.assume(max(uint64(time.Now().UnixMicro()), n.core.before+1))
	n.perform()
	if member != "" {
		// Once more, now under our boot: whoever joins through that member next shall find us there. If it fails, gossip will do.
		if _, err := n.exchange(ctx, member, dialTimeout); err != nil {
			n.cfg.log.Debug("seed did not answer again", "addr", member, "error", err)
		}
		n.meet(ctx)
	}

	n.mu.Lock()
	n.background(n.heal)
	if n.reach.guessed {
		n.background(n.watchAddress)
	}
	n.mu.Unlock()
	return n.meetAll(ctx)
}

// expectEvery is how often a node looks whether as many members have met as Config.Expect says.
const expectEvery = 50 * time.Millisecond

// meetAll waits until as many members have met as Config.Expect says.
func (n *Node) meetAll(ctx context.Context) error {
	met := func() int {
		n.mu.Lock()
		defer n.mu.Unlock()
		return 1 + len(n.core.members)
	}
	said := time.Now()
	for met() < n.cfg.Expect {
		if time.Since(said) >= seedPatience {
			said = time.Now()
			n.cfg.log.Warn("waiting for the members that Expect says", "met", met(), "expected", n.cfg.Expect)
		}
		if !pause(ctx, expectEvery) {
			err := fmt.Errorf("cluster: Expect: %d of %d members have met: %w", met(), n.cfg.Expect, context.Cause(ctx))
			goodbye, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWait)
			defer cancel()
			return errors.Join(err, n.Leave(goodbye)) // the others have met this one
		}
		if n.ctx.Err() != nil {
			return n.Err()
		}
	}
	return nil
}

// companyTime is how long Join waits for a member to be there whose boot it has not heard yet.
const companyTime = time.Second

// meet waits a moment until another member is there: whoever answered may have been joining itself, as all do that start at one instant,
// and Join would return with nobody but this node.
func (n *Node) meet(ctx context.Context) {
	for began := time.Now(); time.Since(began) < companyTime; {
		n.mu.Lock()
		alone := len(n.core.members) == 0
		n.mu.Unlock()
		if !alone || !pause(ctx, companyTime/50) {
			return
		}
	}
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

// outcome is what came of one try to join through a seed.
type outcome struct {
	member string // the address that a member answered at
	self   bool   // nobody but this node is there
	sure   bool   // and nobody else can be: the address is one of this host's
	err    error  // nil where one of those holds
}

const (
	// seedPatience is how often the log says that no seed answers.
	seedPatience = 10 * time.Second
	// selfTries is how often in a row a seed that is no address of this host, but that of a load balancer, may lead back to this node
	// before it counts as nobody else. They take four seconds. Of three members that start at one instant behind one, each begins
	// alone one time in 59,000 (3^-10), and heal goes on trying.
	selfTries    = 10
	selfPause    = 100 * time.Millisecond
	maxSelfPause = time.Second
)

// joinSeeds returns the address of the first member that has answered, or "" where every seed is this node itself.
func (n *Node) joinSeeds(ctx context.Context) (member string, err error) {
	if n.seedCount() == 0 && n.cfg.Discover == nil {
		return "", nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.mu.Lock()
	wanted, last := n.seeds.all(), maps.Clone(n.seeds.last)
	n.mu.Unlock()

	tries := map[hostPort]*seedTry{}
	reports := make(chan seedReport)
	look := make(chan discovery)
	begin := func(seed hostPort, name string) {
		if tries[seed] == nil {
			tries[seed] = &seedTry{last: errors.New("no answer yet"), hint: name != ""}
			n.keepTrying(ctx, seed, name, reports)
		}
	}
	for _, seed := range wanted {
		begin(seed, "")
	}
	for seed, name := range last {
		begin(seed, name)
	}
	var undiscovered error
	if n.cfg.Discover != nil {
		undiscovered = errors.New("nothing found yet")
		n.mu.Lock()
		n.background(func() { n.keepDiscovering(ctx, look) })
		n.mu.Unlock()
	}
	// alone tells whether nothing is left to wait for.
	alone := func() bool {
		for seed, t := range tries {
			if !t.alone && (t.hint || slices.Contains(wanted, seed)) {
				return false
			}
		}
		return undiscovered == nil
	}
	patience := time.NewTicker(seedPatience)
	defer patience.Stop()
	for {
		select {
		case <-patience.C:
			n.cfg.log.Warn("no seed answers yet; still trying", "seeds", n.seedNames(), "last", errors.Join(append(lastErrors(tries), undiscovered)...))
		case f := <-look:
			if undiscovered = f.err; f.err == nil || len(f.seeds) > 0 {
				n.takeFound(f.seeds)
				n.mu.Lock()
				wanted = n.seeds.all()
				n.mu.Unlock()
				for _, seed := range wanted {
					begin(seed, "")
				}
			}
			if alone() {
				n.beginAlone()
				return "", nil
			}
		case r := <-reports:
			if r.member != "" {
				return r.member, nil
			}
			t := tries[r.seed]
			t.last, t.alone = r.err, r.alone
			if r.self {
				t.last = errors.New("leads back to this node itself")
				if r.sure && net.ParseIP(r.seed.host) != nil {
					n.mu.Lock()
					n.selves[r.seed] = true
					n.mu.Unlock()
				}
			}
			n.cfg.log.Debug("seed is no other member", "seed", r.seed.String(), "error", t.last)
			if alone() {
				n.beginAlone()
				return "", nil
			}
		case <-ctx.Done():
			errs := append([]error{context.Cause(ctx)}, lastErrors(tries)...)
			return "", fmt.Errorf("cluster: Join: no seed answered: %w", errors.Join(append(errs, undiscovered)...))
		}
	}
}

// seedTry is what is known of one seed while a node joins.
type seedTry struct {
	last  error // of the last try
	alone bool  // it is nobody but this node, or a hint that leads nowhere
	hint  bool  // a member of an earlier run
}

// lastErrors are those of the seeds, sorted by seed.
func lastErrors(tries map[hostPort]*seedTry) []error {
	var errs []error
	seeds := slices.SortedFunc(maps.Keys(tries), func(a, b hostPort) int { return strings.Compare(a.String(), b.String()) })
	for _, seed := range seeds[:min(len(seeds), 2*maxTold)] {
		errs = append(errs, fmt.Errorf("seed %s: %w", seed, tries[seed].last))
	}
	return errs
}

// seedReport is what came of a try at one seed.
type seedReport struct {
	seed hostPort
	outcome
	alone bool // see seedTry
}

// hintTries is how often a member of an earlier run is tried before Join goes on without it.
const hintTries = 3

// keepTrying tries a seed until it answers, and reports each try. With a name it is that of the member that has to be there.
func (n *Node) keepTrying(ctx context.Context, seed hostPort, name string, reports chan<- seedReport) {
	var allowed func(context.Context, string) error
	if name != "" {
		allowed = func(ctx context.Context, addr string) error { return n.expectName(ctx, addr, name) }
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.background(func() {
		retry := backoff.NewExponentialBackOff() // 0.5 s, growing by half, half of it jitter
		retry.MaxInterval = 5 * time.Second
		again := backoff.NewExponentialBackOff()
		again.InitialInterval, again.MaxInterval = selfPause, maxSelfPause
		selves := 0
		for tried := 1; ; tried++ {
			o := n.trySeed(ctx, seed, allowed)
			if !o.self {
				selves = 0
				again.Reset()
			} else {
				selves++
			}
			alone := o.self && (o.sure || selves >= selfTries) || name != "" && tried >= hintTries
			select {
			case reports <- seedReport{seed, o, alone}:
			case <-ctx.Done():
				return
			}
			wait := retry.NextBackOff()
			if o.self && !o.sure {
				wait = again.NextBackOff()
			}
			if o.member != "" || !pause(ctx, wait) {
				return
			}
		}
	})
}

// discovery is what Config.Discover said.
type discovery struct {
	seeds []hostPort
	err   error
}

// keepDiscovering asks Config.Discover again and again. What it said before the node was started comes first.
func (n *Node) keepDiscovering(ctx context.Context, found chan<- discovery) {
	retry := backoff.NewExponentialBackOff()
	retry.MaxInterval = 5 * time.Second
	d := discovery{n.cfg.found, n.cfg.unfound}
	for {
		select {
		case found <- d:
		case <-ctx.Done():
			return
		}
		if !pause(ctx, retry.NextBackOff()) {
			return
		}
		d.seeds, d.err = n.cfg.discover(ctx)
	}
}

// beginAlone says that there are seeds and nobody is there. The first member of a list that names all of them is so started; whose
// seeds are 127.0.0.1 or an address that every host has never meets the others.
func (n *Node) beginAlone() {
	n.mu.Lock()
	wanted, hints := n.seeds.all(), len(n.seeds.last)
	n.mu.Unlock()
	for _, seed := range wanted {
		if seed.String() != n.core.addr {
			n.cfg.log.Warn("every seed leads back to this node: it begins a cluster of its own, and goes on trying",
				"seed", seed.String(), "addr", n.core.addr)
			return
		}
	}
	if hints > 0 {
		n.cfg.log.Warn("none of the members of the last run answers: this node begins a cluster of its own, and goes on trying", "members", hints)
	}
}

const (
	// attemptEvery is the time between the first tries at two addresses of one seed (RFC 8305, section 5, Connection Attempt Delay).
	attemptEvery = 250 * time.Millisecond
	// attemptsWithin is how long it takes at most until all of maxAttempts addresses are being tried.
	attemptsWithin = 1500 * time.Millisecond
	// maxAttempts is how many dials and exchanges of one node are under way at one time.
	maxAttempts = 16
	// dialTimeout is for one address, and crowdedDialTimeout where others wait for their turn.
	dialTimeout        = 5 * time.Second
	crowdedDialTimeout = 1500 * time.Millisecond
	// exchangeTimeout is memberlist's for an exchange of tables, its LAN default.
	exchangeTimeout = 10 * time.Second
)

// trySeed exchanges states with the first of the members that a seed's name stands for. Each address is a try of its own, in random
// order, and begins when the one before it has failed or after a moment: most of the addresses of a name may be of members that are
// gone, whose hosts say nothing. allowed, where it is not nil, keeps addresses out.
func (n *Node) trySeed(ctx context.Context, seed hostPort, allowed func(ctx context.Context, addr string) error) outcome {
	addrs, err := n.resolve(ctx, seed)
	if err != nil {
		return outcome{err: err}
	}
	others := slices.DeleteFunc(slices.Clone(addrs), func(addr string) bool { return addr == n.core.addr })
	if len(others) == 0 {
		return outcome{self: true, sure: true}
	}
	rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	timeout := dialTimeout
	if len(others)+n.seedCount() > maxAttempts {
		timeout = crowdedDialTimeout
	}
	outcomes := make(chan outcome, len(others))
	try := func(addr string) {
		n.mu.Lock()
		started := n.background(func() {
			select {
			case n.attempts <- struct{}{}:
				defer func() { <-n.attempts }()
			case <-ctx.Done():
				outcomes <- outcome{err: ctx.Err()}
				return
			}
			if allowed != nil {
				if err := allowed(ctx, addr); err != nil {
					outcomes <- outcome{err: fmt.Errorf("%s: %w", addr, err)}
					return
				}
			}
			self, err := n.exchange(ctx, addr, timeout)
			switch {
			case err != nil:
				outcomes <- outcome{err: n.explain(err)}
			case self:
				outcomes <- outcome{self: true, sure: n.isLocal(addr)}
			default:
				outcomes <- outcome{member: addr}
			}
		})
		n.mu.Unlock()
		if !started {
			outcomes <- outcome{err: ErrClosed}
		}
	}
	next := time.NewTicker(min(attemptEvery, attemptsWithin/time.Duration(len(others))))
	defer next.Stop()
	result := outcome{self: true, sure: true}
	var errs []error
	for waiting := 0; waiting > 0 || len(others) > 0; {
		var turn <-chan time.Time
		if len(others) > 0 {
			turn = next.C
			if waiting == 0 { // the first, or all before have failed
				try(others[0])
				others = others[1:]
				waiting++
				continue
			}
		}
		select {
		case <-turn:
			try(others[0])
			others = others[1:]
			waiting++
		case o := <-outcomes:
			waiting--
			switch {
			case o.member != "":
				return o
			case o.err != nil:
				errs = append(errs, o.err)
			default:
				result.sure = result.sure && o.sure
			}
		case <-ctx.Done():
			return outcome{err: errors.Join(append(errs, ctx.Err())...)}
		}
	}
	if len(errs) > 0 {
		return outcome{err: errors.Join(errs[:min(len(errs), maxTold)]...)}
	}
	return result
}

// maxTold is how many of the errors of one seed's addresses are told.
const maxTold = 4

// exchange exchanges states with the member at addr (memberlist's push/pull), no longer than ctx lasts, and tells whether that was
// this node itself.
func (n *Node) exchange(ctx context.Context, addr string, timeout time.Duration) (self bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		self bool
		err  error
	}
	done := make(chan result, 1)
	n.mu.Lock()
	started := n.background(func() {
		c, target := n.transport.begin(ctx, addr, timeout)
		_, err := n.ml.Join([]string{target})
		self := n.transport.finish(c, target)
		var several interface{ WrappedErrors() []error } // memberlist's list, of one here, which takes three lines to print
		if errors.As(err, &several) && len(several.WrappedErrors()) == 1 {
			err = several.WrappedErrors()[0]
		}
		if err == nil && !self {
			n.checkGuess(c.local)
		}
		done <- result{self, err}
	})
	n.mu.Unlock()
	if !started {
		return false, ErrClosed
	}
	select {
	case r := <-done:
		return r.self, r.err
	case <-ctx.Done():
		return false, ctx.Err()
	}
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
