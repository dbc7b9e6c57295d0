package web

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/internal/record"
)

func TestMembers(t *testing.T) {
	f := newFake("ant", "bee", "cat")
	for name, state := range map[string]cluster.State{"bee": cluster.StateDown, "cat": cluster.StateSuspect} {
		m := f.others[name]
		m.State = state
		f.others[name] = m
	}
	m := f.others["cat"]
	m.Tags = map[string]string{"zone": "a", "k=v": "x=y", "empty": ""}
	f.others["cat"] = m
	s := serve(t, f, Options{})
	for query, want := range map[string]string{
		"":                              "ant bee cat self",
		"?":                             "ant bee cat self",
		"?state=up":                     "ant self",
		"?state=suspect,down":           "bee cat",
		"?state=suspect&state=down":     "bee cat",
		"?state=left":                   "",
		"?tag=zone=a":                   "ant cat",
		"?tag=zone=a&tag=zone=b":        "",
		"?tag=zone=a&state=suspect":     "cat",
		"?tag=empty=":                   "cat",
		"?tag=nope=":                    "",
		"?tag=k%3Dv=x":                  "",
		"?tag=zone%3Da&state=up%2Cdown": "ant",
	} {
		w := get(t, s, "/v1/members"+query)
		if got := namesIn(t, w); w.Code != 200 || got != want {
			t.Errorf("%q: %d %q; want %q", query, w.Code, got, want)
		}
	}
	for query, says := range map[string]string{
		"?state=dead": `"dead"`, "?state=": `state: ""`, "?state=unknown": "want up, suspect, down or left", "?state=up,": `""`, "?state=UP": `"UP"`,
		"?tag=zone": "KEY=VALUE", "?tag==a": "KEY=VALUE", "?tag=": `tag: ""`,
		"?stat=up": `"stat": want state or tag`, "?state=up&x": `"x"`, "?%zz": "%XX", "?a;b": "%XX", "?state=" + strings.Repeat("y", 5000): "yyy",
	} {
		w := get(t, s, "/v1/members"+query)
		wants(t, w, 400, says)
		if w.Body.Len() > 600 {
			t.Errorf("%d bytes of error", w.Body.Len())
		}
	}
	var self record.Member
	if w := get(t, s, "/v1/self"); json.Unmarshal(w.Body.Bytes(), &self) != nil || self.Name != "self" || !self.Self || self.Isolated {
		t.Errorf("/v1/self: %s", w.Body)
	}
	if body := get(t, s, "/v1/members").Body.String(); strings.Count(body, `"self":true`) != 1 {
		t.Errorf("%s", body)
	}
	if body := get(t, s, "/v1/stats").Body.String(); !strings.HasPrefix(body, `{"sent":{},"received":{},"dropped":{"malformed":3},"packets":7,`) {
		t.Errorf("/v1/stats: %s", body)
	}
}

// The history takes the members that others were answered with a moment ago.
func TestHistoryReadsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("ant")
		v, h := &view{node: f}, newHistory()
		v.members()
		h.look(v)
		if names := h.names(); f.reads != 1 || len(names) != 1 {
			t.Errorf("%q after %d reads of all members, want ant after 1", names, f.reads)
		}
	})
}

// However many ask, the node is asked now and then, and at once after an event.
func TestMembersAreReadSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("ant")
		s := serve(t, f, Options{})
		synctest.Wait()
		f.set(func() { f.reads = 0 })
		began := time.Now()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for range 100 {
					get(t, s, "/v1/members")
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		wg.Wait()
		if most := int(time.Since(began)/viewAge) + 2; f.reads > most || f.reads < most/2 {
			t.Errorf("2,000 questions in %v read the members %d times; want %d at most", time.Since(began), f.reads, most)
		}
		for _, kind := range []cluster.Kind{cluster.Down, cluster.Up, cluster.Suspect} {
			f.tell(kind, "ant")
			synctest.Wait()
			if got := namesIn(t, get(t, s, "/v1/members?state="+kind.String())); !strings.Contains(got, "ant") {
				t.Errorf("right after %q: %q", kind, got)
			}
		}
		f.forget("ant")
		question{method: "POST", path: "/v1/members/ant/forget", control: true}.answers(t, s)
		if got := namesIn(t, get(t, s, "/v1/members")); got != "self" {
			t.Errorf("right after ant was forgotten: %q", got)
		}
	})
}

// φ of observed members is kept for a minute, of as many as there may be, and of none that are gone.
func TestPhiHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("ant", "bee")
		m := f.others["bee"]
		m.Observed = false
		f.others["bee"] = m
		s := serve(t, f, Options{})
		of := func(name string) []record.Sample {
			var e struct {
				History []record.Sample `json:"phi_history"`
			}
			w := get(t, s, "/v1/members/"+name)
			if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.History == nil {
				t.Fatalf("%v: %s", err, w.Body)
			}
			return e.History
		}
		set := func(name string, phi float64) {
			f.mu.Lock()
			defer f.mu.Unlock()
			m := f.others[name]
			m.Name, m.Observed, m.Phi = name, true, phi
			f.others[name] = m
		}
		time.Sleep(10*sampleEvery + time.Millisecond)
		if got := of("ant"); len(got) != 11 || got[10].Time.Sub(got[0].Time) != 10*sampleEvery || got[0].Phi != 0.25 {
			t.Errorf("after five seconds: %v", got)
		}
		if got := of("bee"); len(got) != 0 {
			t.Errorf("of one that is not observed: %v", got)
		}
		set("ant", 7)
		set("bee", 1)
		time.Sleep(lookAround * sampleEvery)
		if got := of("ant"); got[len(got)-1].Phi != 7 {
			t.Errorf("%v", got)
		}
		if got := of("bee"); len(got) == 0 {
			t.Error("nothing of a newly observed member within five seconds")
		}
		f.tell(cluster.Up, "cat")
		time.Sleep(2 * sampleEvery)
		if got := of("cat"); len(got) == 0 {
			t.Error("nothing of a newcomer within a second")
		}
		time.Sleep(time.Hour)
		if got := of("ant"); len(got) != samplesKept || time.Since(got[0].Time) > time.Minute || got[len(got)-1].Time.Before(got[0].Time) {
			t.Errorf("after an hour: %d from %v", len(got), got[0].Time)
		}
		f.forget("ant")
		time.Sleep(sampleEvery)
		for range 300 {
			set("crowd"+strings.Repeat("x", len(f.others)), 1)
		}
		time.Sleep(lookAround * sampleEvery)
		h := s.joined.Load().history
		if n := len(h.names()); n != mostSampled {
			t.Errorf("%d members are sampled", n)
		}
		if len(h.of("ant")) != 0 {
			t.Error("the history of one that was forgotten is kept")
		}
	})
}
