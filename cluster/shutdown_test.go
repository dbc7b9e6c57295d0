package cluster

import (
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
)

// A transport ends though others go on calling and sending at that very moment, and nobody takes it any more.
func TestShutdownAmongCallers(t *testing.T) {
	for _, network := range []string{"tcp", "udp"} {
		inner, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{BindAddrs: []string{"127.0.0.1"}})
		if err != nil {
			t.Fatal(err)
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(inner.GetAutoBindPort()))
		tr := wrapTransport(inner, newCounters())
		for range 20 {
			conn, err := net.Dial(network, addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := conn.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(50 * time.Millisecond) // the listener has one in its hands, which nothing shows
		done := make(chan struct{})
		go func() { tr.Shutdown(); close(done) }()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: Shutdown waits for ever", network)
		}
	}
}
