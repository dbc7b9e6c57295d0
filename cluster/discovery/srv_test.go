package discovery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const service = "_pulsering._udp.example."

// zone is a name server on loopback, for UDP and TCP.
type zone struct {
	addr string
	free chan struct{} // closed at the end: nobody waits any more

	mu      sync.Mutex
	records map[string][]dns.RR // by name and type
	mute    map[string]bool     // names that are not answered
}

func newZone(t *testing.T) *zone {
	t.Helper()
	z := &zone{free: make(chan struct{}), mute: map[string]bool{}}
	var udp net.PacketConn
	var tcp net.Listener
	for range 20 { // a port that is free for both
		var err error
		if udp, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if tcp, err = net.Listen("tcp", udp.LocalAddr().String()); err == nil {
			break
		}
		udp.Close()
	}
	if tcp == nil {
		t.Fatal("no port is free for UDP and TCP")
	}
	z.addr = udp.LocalAddr().String()
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: z}, {Listener: tcp, Handler: z}} {
		ready, ended := make(chan struct{}), make(chan struct{})
		s.NotifyStartedFunc = func() { close(ready) }
		go func() {
			defer close(ended)
			s.ActivateAndServe()
		}()
		<-ready
		t.Cleanup(func() {
			s.Shutdown()
			<-ended
		})
	}
	t.Cleanup(func() { close(z.free) }) // before the above
	return z
}

// set replaces all records by those of lines in the form of zone files.
func (z *zone) set(t *testing.T, lines ...string) {
	t.Helper()
	records := map[string][]dns.RR{}
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		key := rr.Header().Name + dns.TypeToString[rr.Header().Rrtype]
		records[key] = append(records[key], rr)
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records = records
}

// silence has a name not answered.
func (z *zone) silence(name string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.mute[name] = true
}

func (z *zone) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	ask := q.Question[0]
	z.mu.Lock()
	answer := new(dns.Msg).SetReply(q)
	answer.RecursionAvailable = true
	answer.Answer = z.records[ask.Name+dns.TypeToString[ask.Qtype]]
	known := strings.Contains(fmt.Sprint(z.records), ask.Name) // with a record of some type
	mute := z.mute[ask.Name]
	z.mu.Unlock()
	if mute {
		<-z.free
		return
	}
	if !known {
		answer.Rcode = dns.RcodeNameError
	}
	if w.LocalAddr().Network() == "udp" {
		answer.Truncate(dns.MinMsgSize)
	}
	w.WriteMsg(answer)
}

// source asks the zone for service, for as long as limit allows.
func (z *zone) source(t *testing.T, limit time.Duration) *srv {
	t.Helper()
	s := parse(t, "dns+srv://"+service+"?resolver="+z.addr).(*srv)
	s.limit = limit
	return s
}

func TestSRV(t *testing.T) {
	z := newZone(t)
	s := z.source(t, limit)
	z.set(t,
		service+" SRV 20 0 7002 b.example.",
		service+" SRV 10 0 7001 a.example.",
		service+" SRV 30 0 7003 c.example.",
		"a.example. A 10.0.0.1", "a.example. A 10.0.0.2", "a.example. AAAA 2001:db8::1",
		"b.example. A 10.0.1.1",
		"c.example. AAAA 2001:db8::3",
	)
	addrs, err := s.Discover(t.Context())
	if err != nil || len(addrs) != 5 {
		t.Fatalf("got %q, %v, want 5 addresses", addrs, err)
	}
	slices.Sort(addrs[:3]) // those of a
	if want := []string{"10.0.0.1:7001", "10.0.0.2:7001", "[2001:db8::1]:7001", "10.0.1.1:7002", "[2001:db8::3]:7003"}; !slices.Equal(addrs, want) {
		t.Errorf("got %q, want %q by priority", addrs, want)
	}

	t.Log("others are there now")
	z.set(t, service+" SRV 10 0 7946 d.example.", "d.example. A 10.0.0.9")
	wantAddrs(t, s, "10.0.0.9:7946")
	t.Log("nobody")
	z.set(t)
	addrs, err = s.Discover(t.Context())
	wantError(t, err, service, "no such host", "on "+z.addr+":")
	if len(addrs) != 0 {
		t.Errorf("got %q", addrs)
	}
}

func TestSRVWeights(t *testing.T) {
	z := newZone(t)
	z.set(t, service+" SRV 1 1 7001 a.example.", service+" SRV 1 20 7002 a.example.", "a.example. A 10.0.0.1")
	first := map[string]int{}
	for range 60 {
		addrs, err := z.source(t, limit).Discover(t.Context())
		if err != nil || len(addrs) != 2 {
			t.Fatalf("got %q, %v", addrs, err)
		}
		first[addrs[0]]++
	}
	if first["10.0.0.1:7002"] < 30 { // 57 are expected
		t.Errorf("the first was %v: want mostly the one of 20 times the weight", first)
	}
}

func TestSRVTargetsThatAreDead(t *testing.T) {
	z := newZone(t)
	z.set(t,
		service+" SRV 1 0 7001 gone.example.",
		service+" SRV 2 0 7002 slow.example.",
		service+" SRV 3 0 7003 a.example.",
		service+" SRV 4 0 0 a.example.",
		service+" SRV 5 0 7005 nowhere.example.",
		service+" SRV 6 0 7006 nobody.example.",
		"a.example. A 10.0.0.1", "nowhere.example. A 0.0.0.0", "nowhere.example. A 10.0.0.5", "nobody.example. A 224.0.0.1",
	)
	z.silence("slow.example.")
	s := z.source(t, 1500*time.Millisecond)
	addrs, err := s.Discover(t.Context())
	if want := []string{"10.0.0.1:7003", "10.0.0.5:7005"}; !slices.Equal(addrs, want) {
		t.Errorf("got %q, want %q", addrs, want)
	}
	wantError(t, err, s.spec, `target "gone.example."`, "no such host", "on "+z.addr+":", `target "slow.example."`, "no answer within 1.5s",
		"port 0", "any address", "and 1 more") // four are told
}

func TestSRVSlowServer(t *testing.T) {
	z := newZone(t)
	z.silence(service)
	began := time.Now()
	_, err := z.source(t, 100*time.Millisecond).Discover(t.Context())
	wantError(t, err, service, "no answer within 100ms")
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("took %v", d)
	}

	t.Log("who asked does not wait any more")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	began = time.Now()
	_, err = z.source(t, limit).Discover(ctx)
	if !errors.Is(err, context.Canceled) || time.Since(began) > 3*time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}

func TestSRVNobodyListens(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.LocalAddr().String()
	l.Close()
	z := &zone{addr: addr}
	_, err = z.source(t, 2*time.Second).Discover(t.Context())
	wantError(t, err, service, addr)
}

func TestSRVServiceIsNotOffered(t *testing.T) {
	z := newZone(t)
	z.set(t, service+" SRV 0 0 0 .")
	addrs, err := z.source(t, limit).Discover(t.Context())
	wantError(t, err, "nobody offers")
	if len(addrs) != 0 {
		t.Errorf("got %q", addrs)
	}
}

// TestSRVMany has an answer that only TCP can carry, and more in it than is taken.
func TestSRVMany(t *testing.T) {
	z := newZone(t)
	var lines []string
	for i := range maxTargets + 6 {
		lines = append(lines, fmt.Sprintf("%s SRV %d 0 7946 m%d.example.", service, i, i))
		for j := range 8 {
			lines = append(lines, fmt.Sprintf("m%d.example. A 10.%d.0.%d", i, i, j))
		}
	}
	z.set(t, lines...)
	addrs, err := z.source(t, limit).Discover(t.Context())
	wantError(t, err, "70 records: the last 6", "512 addresses: the last 256")
	if len(addrs) != maxAddrs || !strings.HasPrefix(addrs[0], "10.0.0.") {
		t.Errorf("%d addresses, %q", len(addrs), addrs[:min(1, len(addrs))])
	}
}

// TestSRVGarbage has a server that answers what is no answer.
func TestSRVGarbage(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	defer func() {
		l.Close()
		<-ended
	}()
	go func() {
		defer close(ended)
		b := make([]byte, 512)
		for {
			n, from, err := l.ReadFrom(b)
			if err != nil {
				return
			}
			for _, garbage := range [][]byte{{}, b[:2], append(b[:n:n], 0xff), []byte(strings.Repeat("\xc0\x0c", 200))} {
				l.WriteTo(garbage, from)
			}
		}
	}()
	z := &zone{addr: l.LocalAddr().String()}
	addrs, err := z.source(t, 200*time.Millisecond).Discover(t.Context())
	wantError(t, err, service)
	if len(addrs) != 0 {
		t.Errorf("got %q", addrs)
	}
}
