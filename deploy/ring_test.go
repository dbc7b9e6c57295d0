//go:build e2e && linux

package deploy

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// patient is how long a test waits for what should happen: far longer than anything takes, since the machine may have other things to do.
const patient = 60 * time.Second

// ring is five containers on a private network. They find each other by the name that all of them have.
type ring struct {
	*engine
	network string
	prefix  netip.Prefix
	flags   []string // of docker run, for each of them
	all     []*container
}

// container is a node, and the test's view of what it prints.
type container struct {
	ring     *ring
	name, id string
	addr     string // without the port
}

// event is a line of "pulsering node --json".
type event struct {
	Time         time.Time
	Kind, Member string
	Addr, Reason string
	Boot         string
	By           []string
	Tags         map[string]string
}

// newRing starts five nodes, and waits until each has seen all others up. More flags of docker run go to each.
func (e *engine) newRing(t *testing.T, flags ...string) *ring {
	t.Helper()
	own := *e
	own.t = t
	r := &ring{engine: &own, network: e.name, flags: flags}
	t.Cleanup(func() {
		for _, c := range r.all {
			if t.Failed() {
				t.Logf("%s printed:\n%s", c.name, c.tail())
			}
			r.docker("rm", "-f", "-v", c.id)
		}
		r.docker("network", "rm", r.network)
	})
	// Addresses can be chosen only where the subnet was: the engine says which one is free.
	label := "pulsering-test=" + e.name
	r.docker("network", "create", "--internal", "--label", label, r.network)
	subnet := r.docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", r.network)
	r.docker("network", "rm", r.network)
	r.docker("network", "create", "--internal", "--label", label, "--subnet", subnet, r.network)
	var err error
	r.prefix, err = netip.ParsePrefix(subnet)
	must(t, err)
	for i, name := range []string{"ant", "bee", "cat", "dog", "elk"} {
		c := &container{ring: r, name: name, addr: r.host(10 + i)}
		r.all = append(r.all, c)
		c.start()
	}
	for _, c := range r.all {
		c.seesAllUp(time.Time{})
	}
	return r
}

// host is the n-th address of the network.
func (r *ring) host(n int) string {
	addr := r.prefix.Addr()
	for range n {
		addr = addr.Next()
	}
	return addr.String()
}

// start runs a new container at the node's address.
func (c *container) start() {
	c.ring.t.Helper()
	args := []string{"run", "-d", "--label", "pulsering-test=" + c.ring.engine.name, "--hostname", c.name, "--read-only", "--cap-drop", "ALL",
		"--tmpfs", "/var/lib/pulsering:uid=65532,gid=65532,mode=0700",
		"--network", c.ring.network, "--network-alias", "node", "--ip", c.addr}
	args = append(append(args, c.ring.flags...), c.ring.engine.name, "node", "--join", "node", "--expect", "3", "--json")
	c.id = c.ring.docker(args...)
}

// others are all but one.
func (r *ring) others(one *container) []*container {
	return slices.DeleteFunc(slices.Clone(r.all), func(c *container) bool { return c == one })
}

// events are those that the container has printed since an instant.
func (c *container) events(since time.Time) (events []event) {
	c.ring.t.Helper()
	for line := range strings.Lines(c.ring.docker("logs", c.id)) {
		var e event
		if json.Unmarshal([]byte(line), &e) == nil && !e.Time.Before(since) {
			events = append(events, e)
		}
	}
	return events
}

// tail is the end of what the container has printed and logged.
func (c *container) tail() string {
	events := c.events(time.Time{})
	var text strings.Builder
	for _, e := range events[max(0, len(events)-20):] {
		line, _ := json.Marshal(e)
		text.WriteString("    " + string(line) + "\n")
	}
	return text.String()
}

// expect waits until the container has printed, since an instant, an event of a kind about a member for which all conditions hold.
func (c *container) expect(since time.Time, kind, member string, conditions ...func(event) bool) event {
	c.ring.t.Helper()
	for deadline := time.Now().Add(patient); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		for _, e := range c.events(since) {
			if e.Kind == kind && e.Member == member && !slices.ContainsFunc(conditions, func(ok func(event) bool) bool { return !ok(e) }) {
				return e
			}
		}
	}
	c.ring.t.Fatalf("%s did not print %q about %s", c.name, kind, member)
	return event{}
}

// seesAllUp waits until the container has told of each of the others that it is up.
func (c *container) seesAllUp(since time.Time) {
	c.ring.t.Helper()
	for _, other := range c.ring.others(c) {
		c.expect(since, "up", other.name)
	}
}

// healthy waits until the engine says that the container is.
func (c *container) healthy() {
	c.ring.t.Helper()
	for deadline := time.Now().Add(patient); time.Now().Before(deadline); time.Sleep(500 * time.Millisecond) {
		if c.ring.docker("inspect", "--format", "{{.State.Health.Status}}", c.id) == "healthy" {
			return
		}
	}
	c.ring.t.Errorf("%s is not healthy: %s", c.name, c.ring.docker("inspect", "--format", "{{json .State.Health}}", c.id))
}
