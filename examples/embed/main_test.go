package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

// Three copies: one dies and one leaves, in virtual time.
func TestEmbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, err := clustertest.New(clustertest.Options{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		nodes := make(map[string]*cluster.Node)
		for _, name := range []string{"a", "b", "c"} {
			transport, err := network.Transport("")
			if err != nil {
				t.Fatal(err)
			}
			nodes[name], err = cluster.Join(t.Context(), cluster.Config{
				Name:      name,
				Seeds:     []string{"10.0.0.1:7946"},
				Tags:      map[string]string{"http": name + ".example"},
				Transport: transport,
			})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(37 * time.Millisecond)
		}

		var log journal
		ctx, stop := context.WithCancel(t.Context())
		var followers sync.WaitGroup
		followers.Go(func() { follow(ctx, nodes["a"], log.printf) })

		time.Sleep(5 * time.Second)
		want(t, nodes["a"], "This is a. Up are:\na http://a.example\nb http://b.example\nc http://c.example\n")

		if err := network.Kill("10.0.0.2:7946"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		want(t, nodes["a"], "This is a. Up are:\na http://a.example\nc http://c.example\n")
		if !log.has("b is down") {
			t.Errorf("no word of the crash: %q", log.lines)
		}

		if err := nodes["c"].Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		want(t, nodes["a"], "This is a. Up are:\na http://a.example\n")
		if !log.has("c is left (left)") || log.has("c is down") {
			t.Errorf("a goodbye is no crash: %q", log.lines)
		}

		stop()
		followers.Wait()
		for _, node := range nodes {
			node.Close()
		}
		network.Close()
		time.Sleep(10 * time.Second) // memberlist's last probes
	})
}

func want(t *testing.T, node *cluster.Node, body string) {
	t.Helper()
	answer := httptest.NewRecorder()
	handler(node).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", nil))
	if got := answer.Body.String(); got != body {
		t.Errorf("got\n%swant\n%s", got, body)
	}
}

// journal keeps what is logged.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) printf(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

// has tells whether a line begins like that.
func (j *journal) has(start string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.ContainsFunc(j.lines, func(line string) bool { return len(line) >= len(start) && line[:len(start)] == start })
}
