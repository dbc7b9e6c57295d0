package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/memberlist"

	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// Defaults of Config, and the limits that Join checks.
const (
	DefaultBind            = "0.0.0.0:7946"
	DefaultBeat            = 125 * time.Millisecond
	DefaultStallAllowance  = 400 * time.Millisecond
	DefaultFalseAlarmEvery = 30 * 24 * time.Hour
	DefaultForgetAfter     = 24 * time.Hour
	DefaultObservers       = 8

	// DefaultIsolatedDownAfter is the IsolatedDownAfter that zero means.
	DefaultIsolatedDownAfter = 30 * time.Second

	minStall, maxStall           = time.Millisecond, time.Minute
	minFalseAlarm, maxFalseAlarm = time.Minute, 100 * 365 * 24 * time.Hour
	minForget, maxForget         = time.Minute, 10 * 365 * 24 * time.Hour
	minObservers, maxObservers   = 2, 64
	minIsolated, maxIsolated     = time.Second, 30 * 24 * time.Hour
	maxExpect                    = 10_000
)

// Heartbeats selects what φ listens to.
type Heartbeats uint8

const (
	// Ring, the default: every member beats to its observers at a constant rate.
	Ring Heartbeats = iota
	// Probes: no heartbeats of our own. φ runs on the inter-arrival times of memberlist's acknowledged probes, and
	// memberlist's own verdict counts beside it. One member hears a given other one about every (N−1) × 1 s, so this is
	// for small clusters that can wait: about 4 s at two members, 6 s at three. There are no Isolated and Connected events, and no
	// deafness; a node without an acknowledged probe for five seconds judges nobody all the same.
	Probes
)

// String returns "ring" or "probes".
func (h Heartbeats) String() string {
	switch h {
	case Ring:
		return "ring"
	case Probes:
		return "probes"
	}
	return fmt.Sprintf("Heartbeats(%d)", uint8(h))
}

// Config says how a node takes part in a cluster. The zero value is a cluster of one that others can join, under the
// host's name. Join copies what it needs.
type Config struct {
	// Name identifies the member, unique in the cluster: 1 to 128 bytes of printable UTF-8 without spaces.
	// Empty: the host name.
	Name string
	// Bind is the "ip:port" to listen on, TCP and UDP. Port 0 takes a free one. Empty: "0.0.0.0:7946".
	Bind string
	// Advertise is the "ip:port" that others reach this node at. Empty: Bind's address, or where that is 0.0.0.0 or
	// [::], the address that this host sends from to the seeds, or without seeds elsewhere to the world. Join waits for a
	// route, and a node whose host loses the address ends (ErrAddressLost). Port 0 means Bind's.
	Advertise string
	// Label keeps clusters on one network apart: packets of another label are dropped. Up to 255 bytes. Not a secret.
	Label string
	// Seeds are "host:port" addresses of members to join through; any one is enough. Names are resolved at every try, and all
	// their addresses tried side by side. Seeds of two clusters make them one.
	Seeds []string
	// Discover returns more seeds, in the same form: where a directory, a file or a command says where the members are (see
	// package discovery). Join calls it until a member answers, every half to five seconds, and the node every five seconds while
	// it knows no member that is up, every minute later, one call at a time. It has to return when its context ends, after ten
	// seconds at most. An error is logged and means that there may be more than what was returned with it, so that a node does not
	// begin a cluster of its own; an empty list without one means that there is nobody. Nil: Seeds are all.
	Discover func(ctx context.Context) ([]string, error)
	// Remembered are members that an earlier run of this node knew last: only Name and Addr count. They are tried too, for four to five
	// seconds where nothing else is left, and exchanged with only where a member of that name answers at that address.
	Remembered []Member
	// LastBoot is the boot that this member had last, where that is known: the new one is higher, whatever the clock says. A boot that
	// no member takes by itself is passed over, with a warning: somebody made it up. Zero: not known.
	LastBoot uint64
	// Expect is how many members, itself included, have to have met before Join returns, so that no silent islands begin where
	// seeds name only this node for the first seconds. Members that are down or have left count: it is about beginnings. 0 to
	// 10,000; 0 and 1: this node is enough.
	Expect int
	// Tags are labels that the others see in Member. Encoded they share memberlist's 512 bytes of metadata.
	Tags map[string]string

	// Beat is the time between two heartbeats of this node, which go to its observers in turn: the one dial between
	// traffic and speed. 5 ms to 10 s; zero: 125 ms.
	Beat time.Duration
	// StallAllowance is how long a member may stall (garbage collection, a busy machine) and never be called down for
	// it. 1 ms to 1 min; zero: 400 ms. It adds to the detection time.
	StallAllowance time.Duration
	// FalseAlarmEvery is the promise kept per cluster: not more than one false alarm in this time on average. The
	// threshold is φ = log10(members × heartbeats a second × seconds), about 8.3 at 10 members and the default.
	// 1 min to 100 years; zero: 30 days.
	FalseAlarmEvery time.Duration
	// ForgetAfter is how long a member that is down or has left stays in Members: the latest 256 of them, or twice as many as were up
	// at a time. 1 min to 10 years; zero: 24 h.
	ForgetAfter time.Duration
	// IsolatedDownAfter is how long this node may be Isolated before it shows the others as Down
	// (ReasonIsolated), to its own subscribers only: they died, or this node is cut off, which of the
	// two it cannot know. Members whose hosts refuse connections are down at once. 1 s to 30 days;
	// zero: 30 s; negative: never.
	IsolatedDownAfter time.Duration
	// Observers is how many members listen to each member: its successor and predecessor on Observers/2 hashed rings.
	// Even, 2 to 64; zero: 8. All members should have the same.
	Observers int
	// Heartbeats selects Ring or Probes.
	Heartbeats Heartbeats

	// Keys encrypt all traffic (AES-GCM): each of 16, 24 or 32 bytes. The first one encrypts, all of them decrypt.
	// Without keys anyone who can send a packet to a member can declare anyone down.
	Keys [][]byte
	// Transport replaces the network; Bind and Advertise are then ignored. Join owns it from the call on and shuts
	// it down, also where Join fails.
	Transport memberlist.Transport
	// Logger receives the log lines, memberlist's among them, from a goroutine of their own: while it is stuck the node goes on,
	// and lines beyond a few thousand are lost. Close, and a Join that fails, wait for it for a second at most. See Slog for log/slog. Nil: no logs.
	Logger hclog.Logger
}

// Validate reports all that Join would refuse in the configuration, as Join does (ErrConfig), and opens nothing.
func (c Config) Validate() error {
	_, err := c.prepare()
	return err
}

// prepared is a Config whose every field holds a checked value.
type prepared struct {
	Config
	seeds   []hostPort
	found   []hostPort // what Discover said before the node was started
	unfound error      // or why it did not
	bind    hostPort
	adv     hostPort // zero host: to be found
	log     logger   // to Logger
}

type hostPort struct {
	host string
	port int
}

func (h hostPort) String() string { return net.JoinHostPort(h.host, strconv.Itoa(h.port)) }

// prepare fills in the defaults and checks every field; all that is wrong is reported at once.
func (c Config) prepare() (*prepared, error) {
	p := &prepared{Config: c}
	p.Seeds = slices.Clone(c.Seeds)
	p.Tags = maps.Clone(c.Tags)
	p.Keys = make([][]byte, len(c.Keys))
	for i, k := range c.Keys {
		p.Keys[i] = slices.Clone(k)
	}
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("cluster: %s: "+format, append([]any{field}, args...)...))
	}

	if p.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			bad("Name", "empty, and the host name is not known: %w", err)
		} else if host == "" {
			bad("Name", "empty, and so is the host name: set a name of 1 to %d bytes", wire.MaxName)
		}
		p.Name = host
	}
	if p.Name != "" {
		if reason := wire.BadName(p.Name); reason != "" {
			bad("Name", "%q %s", p.Name, reason)
		}
	}

	duration := func(field string, d *time.Duration, def, low, high time.Duration) {
		if *d == 0 {
			*d = def
		}
		if *d < low || *d > high {
			bad(field, "%v is out of range: want %v to %v (zero means %v)", *d, low, high, def)
		}
	}
	duration("Beat", &p.Beat, DefaultBeat, wire.MinBeat, wire.MaxBeat)
	duration("StallAllowance", &p.StallAllowance, DefaultStallAllowance, minStall, maxStall)
	duration("FalseAlarmEvery", &p.FalseAlarmEvery, DefaultFalseAlarmEvery, minFalseAlarm, maxFalseAlarm)
	duration("ForgetAfter", &p.ForgetAfter, DefaultForgetAfter, minForget, maxForget)
	if p.IsolatedDownAfter >= 0 {
		duration("IsolatedDownAfter", &p.IsolatedDownAfter, DefaultIsolatedDownAfter, minIsolated, maxIsolated)
	}
	if p.Observers == 0 {
		p.Observers = DefaultObservers
	}
	if p.Observers < minObservers || p.Observers > maxObservers || p.Observers%2 != 0 {
		bad("Observers", "%d is out of range: want an even number from %d to %d (zero means %d)",
			p.Observers, minObservers, maxObservers, DefaultObservers)
	}
	if p.Heartbeats > Probes {
		bad("Heartbeats", "%v is unknown: want Ring or Probes", p.Heartbeats)
	}
	for i, k := range p.Keys {
		if err := memberlist.ValidateKey(k); err != nil {
			bad(fmt.Sprintf("Keys[%d]", i), "%d bytes long: want 16, 24 or 32", len(k))
		}
	}
	if len(p.Keys) > mostKeys {
		bad("Keys", "%d keys: want at most %d", len(p.Keys), mostKeys)
	}
	if len(p.Label) > memberlist.LabelMaxSize {
		bad("Label", "%d bytes long: want at most %d", len(p.Label), memberlist.LabelMaxSize)
	}

	var err error
	if p.Transport == nil {
		if p.Bind == "" {
			p.Bind = DefaultBind
		}
		if p.bind, err = parseIPPort(p.Bind, true); err != nil {
			bad("Bind", "%q %w", c.Bind, err)
		}
		if p.Advertise != "" {
			if p.adv, err = parseIPPort(p.Advertise, false); err != nil {
				bad("Advertise", "%q %w", c.Advertise, err)
			}
		}
	}
	if p.seeds, err = parseSeeds("Seeds", p.Seeds); err != nil {
		errs = append(errs, err)
	}
	if p.Expect < 0 || p.Expect > maxExpect {
		bad("Expect", "%d is out of range: want 0 to %d", p.Expect, maxExpect)
	}
	if len(errs) == 0 { // the room for tags depends on nothing that may be wrong
		if _, err := encodeMeta(meta{Boot: ^uint64(0), Tags: p.Tags}); err != nil {
			bad("Tags", "%w", err)
		}
	}
	p.log = newLogger(p.Logger)
	if len(errs) > 0 {
		return nil, refused{errors.Join(errs...)}
	}
	return p, nil
}

// refused is what is wrong with a configuration: an ErrConfig that says nothing but that.
type refused struct{ error }

func (r refused) Unwrap() error        { return r.error }
func (r refused) Is(target error) bool { return target == ErrConfig }

func parseHostPort(s string) (hostPort, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return hostPort{}, fmt.Errorf("is no host:port: %w", err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return hostPort{}, fmt.Errorf("has port %q: want 1 to 65535", port)
	}
	if host == "" {
		return hostPort{}, errors.New("has no host: want host:port")
	}
	return hostPort{host, int(n)}, nil
}

// parseIPPort reads "ip:port"; the port may be 0, and with anyHost the host may be empty or unspecified.
func parseIPPort(s string, anyHost bool) (hostPort, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return hostPort{}, fmt.Errorf("is no ip:port: %w", err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return hostPort{}, fmt.Errorf("has port %q: want 0 to 65535", port)
	}
	if host == "" && anyHost {
		host = "0.0.0.0"
	}
	ip := net.ParseIP(host)
	if ip == nil {
		return hostPort{}, fmt.Errorf("has host %q: want an IP address", host)
	}
	if ip.IsUnspecified() && !anyHost {
		return hostPort{}, fmt.Errorf("has host %q: want an address that others can reach", host)
	}
	return hostPort{ip.String(), int(n)}, nil
}
