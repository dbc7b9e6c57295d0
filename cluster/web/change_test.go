package web

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/cluster"
)

func control(t testing.TB, s *Server, method, path, body string) (int, string) {
	t.Helper()
	w := question{method: method, path: path, body: body, control: true}.answers(t, s)
	return w.Code, w.Body.String()
}

func TestChanges(t *testing.T) {
	f := newFake("ant")
	var log strings.Builder
	left := 0
	s := serve(t, f, Options{Left: func() { left++ }, Logger: hclog.New(&hclog.LoggerOptions{Output: &log})})
	key := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef"))
	f.answers = []cluster.Answer{{Member: "ant", Keys: []string{"b", "a"}}, {Member: "self", Keys: []string{"a", "b"}}, {Member: "x", Err: errNoAnswer}}
	for _, test := range []struct{ method, path, body, did, answer string }{
		{"POST", "/v1/members/ant/forget", "", "forget ant", `{"status":"forgotten"}`},
		{"POST", "/v1/members/a%2Fb/forget", "", "forget a/b", `{"status":"forgotten"}`},
		{"POST", "/v1/members/ant/ping", "", "ping ant", `{"member":"ant","rtt_ms":1.5}`},
		{"GET", "/v1/keys", "", "keys", `{"keys":[{"id":"a","have":2,"using":1},{"id":"b","have":2,"using":1}],` +
			`"members":[{"member":"ant","keys":["b","a"]},{"member":"self","keys":["a","b"]},{"member":"x","keys":[],"error":"no answer"}]}`},
		{"POST", "/v1/keys", `{"action":"add","key":"` + key + `"}`, "add 30313233343536373839616263646566", ""},
		{"POST", "/v1/keys", `{"action":"use","key":" ` + key + `\n"}`, "use 30313233343536373839616263646566", ""},
		{"POST", "/v1/keys", `{"action":"remove","key":"` + key + `"}`, "remove 30313233343536373839616263646566", ""},
		{"GET", "/v1/log-level", "", "", `{"level":"info"}`},
		{"PUT", "/v1/log-level", `{"level":"trace"}`, "", `{"level":"trace"}`},
		{"GET", "/v1/log-level", "", "", `{"level":"trace"}`},
		{"POST", "/v1/leave", "", "leave", `{"status":"left"}`},
	} {
		f.did = nil
		code, body := control(t, s, test.method, test.path, test.body)
		if code != 200 || test.answer != "" && body != test.answer+"\n" || strings.Join(f.did, " ") != test.did {
			t.Errorf("%s %s: %d %s, did %q", test.method, test.path, code, body, f.did)
		}
	}
	if left != 1 {
		t.Errorf("told %d times that the node has left", left)
	}
	for _, line := range []string{`told to leave: by="the control socket"`, "log level changed", "action=use", "member forgotten: member=a/b"} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("not logged: %q\n%s", line, log.String())
		}
	}
	if strings.Contains(log.String(), key) || strings.Contains(log.String(), "0123456789abcdef") {
		t.Errorf("the key is logged: %s", log.String())
	}
}

func TestBadBodies(t *testing.T) {
	f := newFake()
	s := serve(t, f, Options{Logger: hclog.NewNullLogger()})
	secret := strings.Repeat("secret", 3)
	for _, test := range []struct {
		path, body string
		code       int
		says       string
	}{
		{"/v1/keys", "", 400, "such as"},
		{"/v1/keys", "null", 400, "action"},
		{"/v1/keys", "[]", 400, "such as"},
		{"/v1/keys", `{"action":"add"`, 400, "such as"},
		{"/v1/keys", `{"action":"add","key":"x","more":1}`, 400, "more"},
		{"/v1/keys", `{"action":"add","key":"x"} {}`, 400, "more follows"},
		{"/v1/keys", `{"action":"burn","key":"x"}`, 400, `"burn"`},
		{"/v1/keys", `{"action":"add","key":"` + secret + `"}`, 400, "18 characters"},
		{"/v1/keys", `{"action":"add","key":""}`, 400, "keygen"},
		{"/v1/keys", `{"action":1,"key":""}`, 400, "such as"},
		{"/v1/keys", "\xff\xfe", 400, "such as"},
		{"/v1/keys", strings.Repeat(" ", mostBody+1), 413, "16384 bytes"},
		{"/v1/keys", strings.Repeat("[", mostBody-1), 400, "such as"},
		{"/v1/log-level", `{"level":"loud"}`, 400, `"loud": `[:6]},
		{"/v1/log-level", `{}`, 400, "want trace, debug"},
		{"/v1/log-level", `{"level":"DEBUG"}`, 400, "want trace, debug"},
	} {
		method := map[string]string{"/v1/keys": "POST", "/v1/log-level": "PUT"}[test.path]
		w := question{method: method, path: test.path, body: test.body, control: true}.answers(t, s)
		wants(t, w, test.code, test.says)
		if strings.Contains(w.Body.String(), secret) {
			t.Errorf("shows the key: %s", w.Body)
		}
	}
	if len(f.did) > 0 {
		t.Errorf("did %q", f.did)
	}
}

func TestNodeErrors(t *testing.T) {
	f := newFake("ant")
	s := serve(t, f, Options{})
	for _, test := range []struct {
		err  error
		code int
	}{
		{fmt.Errorf("%w: %q", cluster.ErrNoMember, "ant"), 404},
		{cluster.ErrClosed, 503},
		{fmt.Errorf("cluster: Forget: %w", context.DeadlineExceeded), 504},
		{errors.New("cluster: Forget: ant is up: only a member that is down or has left can be forgotten"), 409},
	} {
		f.orderErr = test.err
		w := question{method: "POST", path: "/v1/members/ant/forget", control: true}.answers(t, s)
		wants(t, w, test.code)
		if e := errorOf(w); strings.Contains(e, "cluster:") {
			t.Errorf("%q", e)
		}
	}
	f.orderErr, f.answers = errors.New("cluster: some did not"), []cluster.Answer{{Member: "ant", Err: errNoAnswer}}
	w := question{method: "GET", path: "/v1/keys", control: true}.answers(t, s)
	wants(t, w, http.StatusConflict, "some did not")
	if !strings.Contains(w.Body.String(), `"member":"ant"`) {
		t.Errorf("does not say who: %s", w.Body)
	}
}

// slowNode takes its time for an order.
type slowNode struct {
	*fakeNode
	take time.Duration
	mu   sync.Mutex
	now  int
	most int
	late []error // how the contexts were when it was done
}

func (n *slowNode) Forget(ctx context.Context, name string) error {
	n.mu.Lock()
	n.now++
	n.most = max(n.most, n.now)
	n.mu.Unlock()
	time.Sleep(n.take)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now--
	n.late = append(n.late, ctx.Err())
	return nil
}

// A few changes are under way at a time, whoever asks for how many, and those that have begun are carried out though the client is gone.
func TestChangesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &slowNode{fakeNode: newFake("ant"), take: 5 * time.Second}
		s := New(Options{})
		s.Joined(n)
		defer s.Close()
		var wg sync.WaitGroup
		var mu sync.Mutex
		codes := map[int]int{}
		for i := range 20 {
			wg.Go(func() {
				ctx, gone := context.WithTimeout(t.Context(), map[bool]time.Duration{true: time.Second, false: time.Hour}[i < 2])
				defer gone()
				time.Sleep(time.Duration(i) * time.Millisecond)
				w := question{method: "POST", path: "/v1/members/ant/forget", control: true, end: ctx}.answers(t, s)
				mu.Lock()
				defer mu.Unlock()
				codes[w.Code]++
			})
		}
		wg.Wait()
		if n.most != 4 || codes[200]+codes[503] != 20 || codes[200] != 12 {
			t.Errorf("%d at a time, %v", n.most, codes)
		}
		if slices.ContainsFunc(n.late, func(err error) bool { return err != nil }) {
			t.Errorf("given up: %v", n.late)
		}
	})
}

func TestNoLog(t *testing.T) {
	s := serve(t, newFake(), Options{})
	for _, method := range []string{"GET", "PUT"} {
		if code, body := control(t, s, method, "/v1/log-level", `{"level":"debug"}`); code != 404 || !json.Valid([]byte(body)) {
			t.Errorf("%d %s", code, body)
		}
	}
}
