//go:build e2e && linux

package page_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/web"
)

// Three real members: one dies, and the page of another one tells who doubted it.
func TestRealNodes(t *testing.T) {
	var nodes []*cluster.Node
	for _, name := range []string{"a", "b", "c"} {
		cfg := cluster.Config{Name: name, Bind: "127.0.0.1:0"}
		if len(nodes) > 0 {
			cfg.Seeds = []string{nodes[0].Self().Addr}
		}
		node, err := cluster.Join(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { node.Close() })
		nodes = append(nodes, node)
	}
	api := web.New(web.Options{})
	api.Joined(nodes[0])
	server := httptest.NewServer(api.Handler())
	t.Cleanup(func() {
		api.Close()
		server.CloseClientConnections()
		server.Close()
	})
	b := launch(t, server.URL, 1280, 800)
	b.until(says("#headline", "All 3 members are up"))
	b.until(`document.querySelectorAll("#ring .edge").length === 3`)
	time.Sleep(2 * time.Second) // for the detectors to learn of the beats
	nodes[2].Close()
	t.Logf("told after %v", b.until(says("#headline", "1 down of 3 members")))
	b.until(says("#attention-list", "c down"))
	b.Eval(`location.hash = "#/member/c"`)
	b.until(says("#member", "It was called down", "The latest sign of life that anybody here knows of"))
}
