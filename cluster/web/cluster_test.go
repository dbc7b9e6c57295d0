package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
	"github.com/pulsering/pulsering/internal/record"
)

// inTown runs a story with three real nodes on a network in memory, and with the server of the first one.
func inTown(t *testing.T, keys [][]byte, story func(t *testing.T, s *Server, nodes []*cluster.Node, crash func(i int))) {
	synctest.Test(t, func(t *testing.T) {
		network, err := clustertest.New(clustertest.Options{Seed: 3, Link: clustertest.Link{Delay: clustertest.Constant(time.Millisecond)}})
		if err != nil {
			t.Fatal(err)
		}
		defer time.Sleep(time.Minute) // for what memberlist has under way
		defer network.Close()
		s := New(Options{Token: func() string { return goodToken }})
		var nodes []*cluster.Node
		for i := range 3 {
			addr := fmt.Sprintf("10.0.0.%d:7946", i+1)
			transport, err := network.Transport(addr)
			if err != nil {
				t.Fatal(err)
			}
			cfg := cluster.Config{Name: fmt.Sprintf("n%d", i), Transport: transport, Keys: keys, Tags: map[string]string{"i": fmt.Sprint(i)}}
			if i > 0 {
				cfg.Seeds = []string{"10.0.0.1:7946"}
			}
			n, err := cluster.Join(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			nodes = append(nodes, n)
			time.Sleep(37 * time.Millisecond)
		}
		s.Joined(nodes[0])
		defer s.Close()
		time.Sleep(10 * time.Second)
		story(t, s, nodes, func(i int) {
			network.Kill(fmt.Sprintf("10.0.0.%d:7946", i+1))
			nodes[i].Close()
		})
	})
}

// What a real node knows is served as the document says, before a crash and after.
func TestRealNodes(t *testing.T) {
	inTown(t, nil, func(t *testing.T, s *Server, nodes []*cluster.Node, crash func(int)) {
		for _, path := range []string{"/v1/self", "/v1/stats", "/v1/members/n0", "/v1/members/n1", "/readyz"} {
			if w := get(t, s, path); w.Code != 200 {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
		}
		if got := namesIn(t, get(t, s, "/v1/members?state=up&tag=i=1")); got != "n1" {
			t.Errorf("%q", got)
		}
		crash(2)
		time.Sleep(2 * time.Second)
		if got := namesIn(t, get(t, s, "/v1/members?state=down")); got != "n2" {
			t.Errorf("down: %q", got)
		}
		var e struct {
			Verdict struct{ By []string }
			History []record.Sample `json:"phi_history"`
		}
		w := get(t, s, "/v1/members/n2")
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || len(e.Verdict.By) == 0 || len(e.History) == 0 || e.History[len(e.History)-1].Phi < 3 {
			t.Errorf("%v %s", err, w.Body)
		}
		change := func(method, path, body string) (int, string) {
			w := question{method: method, path: path, body: body, at: open, header: withToken(goodToken)}.answers(t, s)
			return w.Code, w.Body.String()
		}
		if code, body := change("POST", "/v1/members/n1/ping", ""); code != 200 || !strings.Contains(body, `"rtt_ms":2`) {
			t.Errorf("ping: %d %s", code, body)
		}
		if code, body := change("POST", "/v1/members/n2/ping", ""); code != 504 {
			t.Errorf("ping of the dead: %d %s", code, body)
		}
		if code, body := change("POST", "/v1/members/n1/forget", ""); code != 409 || !strings.Contains(body, "only a member that is down") {
			t.Errorf("forget of the living: %d %s", code, body)
		}
		if code, body := change("POST", "/v1/members/nobody/forget", ""); code != 404 {
			t.Errorf("forget of nobody: %d %s", code, body)
		}
		if code, body := change("POST", "/v1/members/n2/forget", ""); code != 200 {
			t.Errorf("forget: %d %s", code, body)
		}
		if got := namesIn(t, get(t, s, "/v1/members")); got != "n0 n1" {
			t.Errorf("after forget: %q", got)
		}
		if code, body := change("GET", "/v1/keys", ""); code != 200 && code != 409 {
			t.Errorf("keys of a cluster without: %d %s", code, body)
		}
		if code, body := change("POST", "/v1/leave", ""); code != 200 {
			t.Errorf("leave: %d %s", code, body)
		}
		wants(t, get(t, s, "/readyz"), 503, "leaving")
		if m, _ := nodes[1].Member("n0"); m.State != cluster.StateLeft {
			t.Errorf("n1 has n0 as %v", m.State)
		}
		nodes[0].Close()
		wants(t, get(t, s, "/livez"), 503, "ended")
		if code, body := change("POST", "/v1/leave", ""); code != 503 {
			t.Errorf("leave after the end: %d %s", code, body)
		}
	})
}

// A key is changed from one node for all, in the order that loses nobody.
func TestRealKeys(t *testing.T) {
	old := []byte("0123456789abcdef")
	inTown(t, [][]byte{old}, func(t *testing.T, s *Server, nodes []*cluster.Node, _ func(int)) {
		const key = "ZmVkY2JhOTg3NjU0MzIxMA=="
		do := func(action, key string) (int, keyRing) {
			w := question{method: "POST", path: "/v1/keys", body: `{"action":"` + action + `","key":"` + key + `"}`, control: true}.answers(t, s)
			var ring keyRing
			if err := json.Unmarshal(w.Body.Bytes(), &ring); err != nil {
				t.Errorf("%v: %s", err, w.Body)
			}
			return w.Code, ring
		}
		if code, ring := do("use", key); code != http.StatusConflict || !strings.Contains(ring.Error, "add it first") {
			t.Errorf("a key that nobody has: %d %+v", code, ring)
		}
		for _, action := range []string{"add", "use"} {
			if code, ring := do(action, key); code != 200 || len(ring.Members) != 3 {
				t.Errorf("%s: %d %+v", action, code, ring)
			}
		}
		if code, ring := do("remove", key); code != http.StatusConflict || !strings.Contains(ring.Error, "encrypt with key") {
			t.Errorf("remove of the key in use: %d %+v", code, ring)
		}
		if code, ring := do("remove", "MDEyMzQ1Njc4OWFiY2RlZg=="); code != 200 {
			t.Errorf("remove: %d %+v", code, ring)
		}
		w := question{method: "GET", path: "/v1/keys", control: true}.answers(t, s)
		want := `{"keys":[{"id":"` + cluster.KeyID([]byte("fedcba9876543210")) + `","have":3,"using":3}],`
		if !strings.HasPrefix(w.Body.String(), want) {
			t.Errorf("%s", w.Body)
		}
		for _, m := range nodes[1].Members() {
			if m.State != cluster.StateUp {
				t.Errorf("%s is %v", m.Name, m.State)
			}
		}
	})
}

// The server's goroutines end with the node, without Close, and those of a server whose node goes on with Close.
func TestGoroutinesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("ant")
		s := New(Options{})
		s.Joined(f)
		s.Joined(f) // once is enough
		time.Sleep(time.Second)
		f.close()
	}) // which fails where one is left
	synctest.Test(t, func(t *testing.T) {
		f := newFake("ant")
		s := New(Options{})
		s.Joined(f)
		s.Close()
		s.Close()
		late := New(Options{})
		late.Close()
		late.Joined(f)
		f.tell(cluster.Down, "ant")
		time.Sleep(viewAge) // no event tells it that what it saw last is stale
		if got := namesIn(t, get(t, s, "/v1/members?state=down")); got != "ant" {
			t.Errorf("of a server that is closed: %q", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if w := (question{method: "GET", path: "/v1/events", end: ctx}).answers(t, s); ctx.Err() != nil || !strings.Contains(w.Body.String(), "retry") {
			t.Errorf("%v %s", ctx.Err(), w.Body)
		}
	})
}
