package cluster_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"go.uber.org/goleak"

	"github.com/pulsering/pulsering/cluster"
)

// The few tests that need real sockets. Whatever happens in them, no goroutine and no socket is left.

// noneLeft fails the test if a goroutine is left. A probe of memberlist's that is under way runs out by itself.
func noneLeft(t *testing.T, before goleak.Option) {
	t.Helper()
	goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"))
}

// freeAddr is a loopback address whose port was free just now.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// mute is a seed that accepts connections and says nothing.
func mute(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var open []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				for _, c := range open {
					c.Close()
				}
				return
			}
			open = append(open, c)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func TestFailedJoinLeavesNothing(t *testing.T) {
	refuses, hangs := freeAddr(t), mute(t)
	for name, tt := range map[string]struct {
		seeds []string
		want  []string
	}{
		"refuses":          {[]string{refuses}, []string{"seed " + refuses, "refused"}},
		"hangs":            {[]string{hangs}, []string{"seed " + hangs, "no answer yet"}},
		"does not resolve": {[]string{"nobody.invalid:7946"}, []string{"seed nobody.invalid:7946", "nobody.invalid"}},
		"all of them": {[]string{refuses, hangs, "nobody.invalid:7946"},
			[]string{"seed " + refuses, "seed " + hangs, "seed nobody.invalid:7946"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			bind := freeAddr(t)
			_, err := cluster.Join(ctx, cluster.Config{Name: "a", Bind: bind, Seeds: tt.seeds})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("Join: %v, want the deadline's error", err)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error does not say %q: %v", part, err)
				}
			}
			l, err := net.Listen("tcp", bind)
			if err != nil {
				t.Errorf("Join left its socket open: %v", err)
			} else {
				l.Close()
			}
			noneLeft(t, before)
		})
	}
}

func TestAddressInUse(t *testing.T) {
	before := goleak.IgnoreCurrent()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = cluster.Join(t.Context(), cluster.Config{Name: "a", Bind: l.Addr().String()})
	if err == nil || !strings.Contains(err.Error(), "Bind") || !strings.Contains(err.Error(), l.Addr().String()) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("Join: %v, want the field, the address and that it is in use", err)
	}
	noneLeft(t, before)
}

// A transport on all addresses of a dual-stack host says that [::] is where it can be reached; memberlist's own does.
func TestTransportThatNobodyCanReach(t *testing.T) {
	before := goleak.IgnoreCurrent()
	inner, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{BindAddrs: []string{"::"}, Logger: log.New(io.Discard, "", 0)})
	if err != nil {
		t.Skip("no IPv6 here: ", err)
	}
	_, err = cluster.Join(t.Context(), cluster.Config{Name: "a", Transport: inner})
	if err == nil || !strings.Contains(err.Error(), "Transport") || !strings.Contains(err.Error(), "[::]:") {
		t.Errorf("Join: %v, want the field, the address and what is wrong with it", err)
	}
	noneLeft(t, before)
}

func TestCloseLeavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	var nodes []*cluster.Node
	for _, name := range []string{"a", "b", "c"} {
		cfg := cluster.Config{Name: name, Bind: "127.0.0.1:0", Keys: [][]byte{[]byte("0123456789abcdef")}, Label: "test"}
		for _, n := range nodes {
			cfg.Seeds = append(cfg.Seeds, n.Self().Addr)
		}
		n, err := cluster.Join(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, n)
	}
	if got := len(nodes[2].Members()); got != 3 {
		t.Errorf("c sees %d members after Join, want 3", got)
	}
	for e := range nodes[0].Events(t.Context()) { // a learns of c by gossip
		if e.Member.Name == "c" && e.Kind == cluster.Up {
			break
		}
	}
	if err := nodes[1].Leave(t.Context()); err != nil {
		t.Errorf("Leave: %v", err)
	}
	for _, n := range nodes {
		if err := n.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := n.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	}
	noneLeft(t, before)
}
