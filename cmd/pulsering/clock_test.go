package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/internal/record"
)

// skewed is a node whose clock is ahead of this machine's. It hears of the healthy bee.
func skewed(t *testing.T, ahead time.Duration) (addr string) {
	t.Helper()
	answer := func(w http.ResponseWriter, v any) {
		b, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		w.Write(append(b, '\n'))
	}
	bee := func() cluster.Member {
		now := time.Now().Add(ahead)
		return cluster.Member{Name: "bee", State: cluster.StateUp, Observed: true, Phi: 0.1, LastHeard: now.Add(-3 * time.Second), Since: now.Add(-30 * time.Second)}
	}
	ant := cluster.Member{Name: "ant", State: cluster.StateUp}
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/self", func(w http.ResponseWriter, _ *http.Request) { answer(w, memberLine{Member: ant, Self: true}) })
	mux.HandleFunc("/v1/members", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, []memberLine{{Member: ant, Self: true}, {Member: bee()}})
	})
	mux.HandleFunc("/v1/members/bee", func(w http.ResponseWriter, _ *http.Request) {
		e := doubted(time.Now().Add(ahead))
		e.Member, e.Inquiry, e.Verdict = bee(), nil, nil
		e.Path.LastHeartbeat, e.Path.Overdue = e.Member.LastHeard, e.Member.LastHeard.Add(5*time.Second)
		answer(w, e)
	})
	mux.HandleFunc("/v1/events", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, record.Gap(ant, time.Now().Add(ahead), "there was no event of the last id", 0))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// How long ago something was is told by the clock of the node, whatever this machine's says.
func TestTimesAreTheNodes(t *testing.T) {
	lonely(t)
	for _, ahead := range []time.Duration{0, -5 * time.Second, 5 * time.Second, -time.Hour} {
		addr := skewed(t, ahead)
		code, out, stderr := pulsering(t, "explain", "bee", "--http", addr)
		for _, want := range []string{`bee has been up for 30 s, `, `the last one came 3\.[01] s ago`, `The next one is not overdue: φ is 0\.1`} {
			if code != 0 || !regexp.MustCompile(want).MatchString(out) {
				t.Errorf("%v ahead: %d %s, no %q in\n%s", ahead, code, stderr, want, out)
			}
		}
		if code, out, stderr := pulsering(t, "members", "--http", addr); code != 0 || !regexp.MustCompile(`3\.[01] s ago .* 30 s ago`).MatchString(out) {
			t.Errorf("%v ahead: %d %s\n%s", ahead, code, stderr, out)
		}
	}
}

// A node tells its time to whoever asks for the events after one that never was.
func TestLookAtClock(t *testing.T) {
	lonely(t)
	addr, _ := serve(t, newActingRing())
	node, err := (&askedNode{HTTP: text(addr)}).open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer node.http.CloseIdleConnections()
	if ahead, err := node.lookAtClock(t.Context()); err != nil || ahead.Abs() > 2*time.Second {
		t.Errorf("%v, %v", ahead, err)
	}
	t.Log("and who does not is taken to have this machine's")
	for name, serve := range map[string]http.HandlerFunc{
		"refuses":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"says nothing":  func(http.ResponseWriter, *http.Request) {},
		"says no time":  func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"kind":"gap"}`+"\n") },
		"says too much": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat("x", 2*mostEvent)) },
		"tells of else": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"kind":"up","time":"2000-01-01T00:00:00Z"}`+"\n")
		},
	} {
		server := httptest.NewServer(serve)
		node, err := (&askedNode{HTTP: text(server.Listener.Addr().String())}).open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if ahead := node.ahead(t.Context()); ahead != 0 {
			t.Errorf("%s: %v", name, ahead)
		}
		server.Close()
	}
}

// What top shows of a node that is behind, and what it keeps of φ, is by that node's clock.
func TestTopBesideANodeThatIsBehind(t *testing.T) {
	const behind = 5 * time.Second
	there := morning.Add(-behind)
	l := sixOf(there)
	l.at, l.ahead = morning, -behind
	m := newTop(false, morning).after(ticked(morning), l)
	m = m.after(recalled{"bee", []sample{{Time: there.Add(-2 * time.Second), Phi: 2}}})
	m.width, m.height = 160, 24
	if text := m.text(); !strings.Contains(text, "0.2 s ago") || strings.Contains(text, "5.2 s ago") {
		t.Errorf("\n%s", text)
	}
	if all := m.live.history["bee"]; len(all) != 2 || !all[1].Time.Equal(there) {
		t.Errorf("%v", all)
	}
	e := doubted(there)
	e.Inquiry, e.Verdict, e.Path.Overdue, e.Member.State = nil, nil, there.Add(100*time.Millisecond), cluster.StateUp
	m = m.after("enter")
	m = m.after(explainedMember{name: m.detail, self: m.live.self, why: explanation{Explanation: e}, at: there})
	if text := m.text(); !strings.Contains(text, "The next one is not overdue") {
		t.Errorf("\n%s", text)
	}
}
