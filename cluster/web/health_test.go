package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/pulsering/pulsering/cluster"
)

func TestHealth(t *testing.T) {
	f := newFake("ant")
	s := New(Options{})
	defer s.Close()
	stages := []struct {
		name        string
		begin       func()
		live, ready int
		status      string
	}{
		{"joining", func() {}, 200, 503, "joining"},
		{"joined", func() { s.Joined(f) }, 200, 200, "ok"},
		{"isolated", func() { f.set(func() { f.isolated = true }) }, 200, 503, "isolated"},
		{"connected", func() { f.set(func() { f.isolated = false }) }, 200, 200, "ok"},
		{"told to leave, in vain", func() {
			f.orderErr = errors.New("no")
			question{method: "POST", path: "/v1/leave", control: true}.answers(t, s)
			f.orderErr = nil
		}, 200, 200, "ok"},
		{"its own service died", func() { f.set(func() { f.self.State = cluster.StateDown }) }, 200, 503, "leaving"},
		{"left by a signal", func() { f.set(func() { f.self.State = cluster.StateLeft }) }, 200, 503, "leaving"},
		{"told to leave", func() {
			f.set(func() { f.self.State = cluster.StateUp })
			question{method: "POST", path: "/v1/leave", control: true}.answers(t, s)
		}, 200, 503, "leaving"},
		{"ended", f.close, 503, 503, "ended"},
	}
	for _, stage := range stages {
		stage.begin()
		var h health
		for _, path := range []string{"/readyz", "/readyz?verbose", "/readyz?verbose=1"} {
			h = health{}
			w := get(t, s, path)
			if err := json.Unmarshal(w.Body.Bytes(), &h); err != nil || w.Code != stage.ready || h.Status != stage.status || (h.Error == "") != (w.Code == 200) {
				t.Errorf("%s: %s: %d %s, %v", stage.name, path, w.Code, w.Body, err)
			}
			if (len(h.Checks) > 0) != strings.Contains(path, "verbose") {
				t.Errorf("%s: %s: %+v", stage.name, path, h)
			}
		}
		if w := get(t, s, "/livez"); w.Code != stage.live {
			t.Errorf("%s: /livez: %d %s", stage.name, w.Code, w.Body)
		}
	}
	if w := get(t, s, "/v1/self"); w.Code != http.StatusOK {
		t.Errorf("of a node that has ended: %d", w.Code)
	}
}

func TestJoining(t *testing.T) {
	s := New(Options{})
	defer s.Close()
	for _, path := range []string{"/v1/self", "/v1/members", "/v1/members/ant", "/v1/events", "/v1/stats"} {
		w := get(t, s, path)
		wants(t, w, http.StatusServiceUnavailable, "joining")
		if w.Header().Get("Retry-After") != "1" || !strings.Contains(w.Body.String(), `"status":"joining"`) {
			t.Errorf("%s: %v %s", path, w.Header(), w.Body)
		}
	}
	wants(t, get(t, s, "/"), 200)
}
