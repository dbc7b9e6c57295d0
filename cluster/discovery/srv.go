package discovery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"time"
)

const (
	// maxTargets is how many records of a name are resolved, the first ones by priority and weight.
	maxTargets = 64
	// lookups is how many names are looked up side by side.
	lookups = 8
)

// srv is a source that asks for the SRV records of a name, and for the addresses of their targets.
type srv struct {
	spec     string
	name     string
	server   string // the name server that is asked; empty: those of the system
	resolver *net.Resolver
	limit    time.Duration
}

func parseSRV(spec string) (Source, error) {
	const want = "want dns+srv://NAME or dns+srv://NAME?resolver=IP:PORT"
	u, err := url.Parse(spec)
	if err != nil {
		var bad *url.Error
		if errors.As(err, &bad) {
			err = bad.Err
		}
		return nil, fmt.Errorf("%w: %s", err, want)
	}
	switch why := badName(u.Host); {
	case u.Opaque != "" || u.Host == "":
		return nil, errors.New("has no name: " + want)
	case u.Port() != "":
		return nil, errors.New("has a port, which the records say: " + want)
	case u.User != nil || u.Path != "" || u.Fragment != "":
		return nil, errors.New("has more than a name: " + want)
	case why != "":
		return nil, fmt.Errorf("the name %s: %s", why, want)
	}
	options, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, want)
	}
	s := &srv{spec: spec, name: u.Host, limit: limit}
	for key, values := range options {
		if key != "resolver" || len(values) != 1 {
			return nil, fmt.Errorf("option %q is unknown or given twice: %s", key, want)
		}
		if s.server, err = parseServer(values[0]); err != nil {
			return nil, err
		}
	}
	s.resolver = &net.Resolver{PreferGo: true, Dial: s.dial} // the C library's keeps to no context
	return s, nil
}

// dial connects to a name server, and has a read end with ctx: by itself the resolver goes on to
// its own time limit.
func (s *srv) dial(ctx context.Context, network, server string) (net.Conn, error) {
	if s.server != "" {
		server = s.server
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, server)
	if err == nil {
		context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	}
	return conn, err
}

// parseServer reads IP or IP:PORT of a name server.
func parseServer(s string) (string, error) {
	addr, err := netip.ParseAddrPort(s)
	if err != nil {
		var ip netip.Addr
		if ip, err = netip.ParseAddr(s); err == nil {
			addr = netip.AddrPortFrom(ip, 53)
		}
	}
	if err != nil || addr.Port() == 0 || badIP(addr.Addr()) != "" {
		return "", fmt.Errorf("resolver %q is no name server: want IP or IP:PORT", s)
	}
	return addr.String(), nil
}

func (s *srv) String() string { return s.spec }

// Discover asks for the records, and then for the addresses of all targets side by side.
func (s *srv) Discover(ctx context.Context) ([]string, error) {
	// A deadline instead would pass in the dialer a moment before ctx tells the cause.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer time.AfterFunc(s.limit, func() { cancel(fmt.Errorf("no answer within %v", s.limit)) }).Stop()
	_, records, err := s.resolver.LookupSRV(ctx, "", "", s.name) // in the order of RFC 2782
	var errs []error
	if err != nil {
		errs = append(errs, s.explain(ctx, err)) // beside records where some are malformed
	}
	if len(records) == 1 && records[0].Target == "." {
		return nil, told(s, []error{errors.New("the record says that nobody offers the service there (RFC 2782)")})
	}
	if more := len(records) - maxTargets; more > 0 {
		errs = append(errs, fmt.Errorf("%d records: the last %d are left out", len(records), more))
		records = records[:maxTargets]
	}

	found := make([][]string, len(records))
	failed := make([]error, len(records))
	turn := make(chan struct{}, lookups)
	var asked sync.WaitGroup
	for i, r := range records {
		asked.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			found[i], failed[i] = s.target(ctx, r)
		})
	}
	asked.Wait()

	var addrs []string
	for i := range records {
		addrs = append(addrs, found[i]...)
		if failed[i] != nil {
			errs = append(errs, failed[i])
		}
	}
	if more := len(addrs) - maxAddrs; more > 0 {
		errs = append(errs, fmt.Errorf("%d addresses: the last %d are left out", len(addrs), more))
		addrs = addrs[:maxAddrs]
	}
	return addrs, told(s, errs)
}

// target returns all addresses of a record's target, with the record's port.
func (s *srv) target(ctx context.Context, r *net.SRV) ([]string, error) {
	if r.Port == 0 {
		return nil, fmt.Errorf("target %q has port 0: want 1 to 65535", r.Target)
	}
	ips, err := s.resolver.LookupNetIP(ctx, "ip", r.Target)
	if err != nil {
		return nil, fmt.Errorf("target %q: %w", r.Target, s.explain(ctx, err))
	}
	var addrs []string
	for _, ip := range ips {
		if why := badIP(ip); why != "" {
			err = fmt.Errorf("target %q: %v %s", r.Target, ip, why)
			continue
		}
		addrs = append(addrs, net.JoinHostPort(ip.Unmap().String(), strconv.Itoa(int(r.Port))))
	}
	return addrs, err
}

// explain makes an error of the resolver say which server was asked, where the resolver, which
// does not know of another Dial, names one of the system's, and that the time was up.
func (s *srv) explain(ctx context.Context, err error) error {
	var bad *net.DNSError
	if errors.As(err, &bad) {
		told := *bad
		if s.server != "" && told.Server != "" {
			told.Server = s.server
		}
		err = &told
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return err
}
