package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/go-hclog"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/pulsering/pulsering/cluster"
)

// The document of the API is what clients are written by, so all that the tests of this package ask and are answered is held
// against it, and all that it promises has to be seen.

// document is what the tests need of it.
type document struct {
	Paths map[string]map[string]operation
}

type operation struct {
	OperationID string
	Security    *[]map[string][]string
	Parameters  []struct{ Name, In string }
	Responses   map[string]json.RawMessage
}

type response struct {
	Ref     string `json:"$ref"`
	Content map[string]json.RawMessage
}

// specification is the document, and a compiler of its schemas.
type specification struct {
	document
	schemas *jsonschema.Compiler
	mu      sync.Mutex // the compiler's
}

var parsed = sync.OnceValue(func() *specification {
	spec := &specification{}
	if err := json.Unmarshal(openAPI, &spec.document); err != nil {
		panic(err)
	}
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(openAPI))
	if err != nil {
		panic(err)
	}
	strict(whole)
	spec.schemas = jsonschema.NewCompiler()
	spec.schemas.DefaultDraft(jsonschema.Draft2020)
	spec.schemas.AssertFormat()
	if err := spec.schemas.AddResource("api.json", whole); err != nil {
		panic(err)
	}
	return spec
})

// strict forbids fields that the document does not tell of. Clients have to put up with them, the server has not to send them.
func strict(schema any) {
	switch s := schema.(type) {
	case map[string]any:
		if _, closed := s["additionalProperties"]; s["type"] == "object" && s["properties"] != nil && !closed {
			s["additionalProperties"] = false
		}
		for _, inner := range s {
			strict(inner)
		}
	case []any:
		for _, inner := range s {
			strict(inner)
		}
	}
}

// pointer escapes a part of a JSON pointer in the fragment of a URL.
func pointer(s string) string {
	return url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(s))
}

// find returns the operation that a request is, by its path in the document.
func (d document) find(method, path string) (template string, op operation, ok bool) {
	path, _, _ = strings.Cut(path, "?")
	parts := strings.Split(path, "/")
	for template, ops := range d.Paths {
		names := strings.Split(template, "/")
		if !slices.EqualFunc(names, parts, func(name, part string) bool { return name == part || strings.HasPrefix(name, "{") && part != "" }) {
			continue
		}
		if method == http.MethodHead {
			method = http.MethodGet
		}
		for name, op := range ops { // methods are case-sensitive: RFC 9110, section 9.1
			if strings.ToUpper(name) == method {
				return template, op, true
			}
		}
		return template, operation{}, false
	}
	return "", operation{}, false
}

// conforms checks an answer against the document.
func conforms(t testing.TB, q question, w *httptest.ResponseRecorder) {
	t.Helper()
	store := "no-store"
	if w.Header().Get("ETag") != "" { // a file of the page, which says nothing of the cluster: kept, and asked for each time
		store = "no-cache"
	}
	for name, want := range map[string]string{"Cache-Control": store, "X-Content-Type-Options": "nosniff", "Access-Control-Allow-Origin": ""} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s %s: %s: %q; want %q", q.method, q.path, name, got, want)
		}
	}
	if !strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("%s %s: no policy: %v", q.method, q.path, w.Header())
	}
	kind, _, err := mime.ParseMediaType(w.Header().Get("Content-Type"))
	if err != nil {
		t.Errorf("%s %s: %v", q.method, q.path, err)
	}
	if w.Code >= 400 && (kind != "application/json" || errorOf(w) == "") {
		t.Errorf("%s %s: %d %q: %.200s; want an error in JSON", q.method, q.path, w.Code, kind, w.Body)
	}
	template, op, ok := parsed().find(q.method, q.path)
	if !ok {
		if w.Code < 400 && template == "" && w.Header().Get("ETag") == "" {
			t.Errorf("%s %s: %d, of which the document does not tell", q.method, q.path, w.Code)
		}
		return
	}
	at := fmt.Sprintf("/paths/%s/%s/responses/%d", pointer(template), strings.ToLower(strings.Replace(q.method, http.MethodHead, http.MethodGet, 1)), w.Code)
	raw, ok := op.Responses[fmt.Sprint(w.Code)]
	if !ok {
		t.Errorf("%s %s: %d, of which the document does not tell: %.200s", q.method, q.path, w.Code, w.Body)
		return
	}
	var told response
	if err := json.Unmarshal(raw, &told); err != nil {
		t.Fatal(err)
	}
	if told.Ref != "" {
		at = strings.TrimPrefix(told.Ref, "#")
		told = component(t, told.Ref)
	}
	if _, ok := told.Content[kind]; !ok {
		t.Errorf("%s %s: %d is %s, of which the document does not tell", q.method, q.path, w.Code, kind)
		return
	}
	bodies := [][]byte{w.Body.Bytes()}
	switch {
	case q.method == http.MethodHead:
		return
	case kind == jsonLines:
		bodies = bytes.Split(bytes.TrimSpace(w.Body.Bytes()), []byte("\n"))
	case kind != "application/json":
		return
	}
	for _, body := range bodies {
		if len(body) > 0 {
			fits(t, at+"/content/"+pointer(kind)+"/schema", body)
		}
	}
}

func component(t testing.TB, ref string) response {
	t.Helper()
	var whole struct {
		Components struct{ Responses map[string]response }
	}
	if err := json.Unmarshal(openAPI, &whole); err != nil {
		t.Fatal(err)
	}
	return whole.Components.Responses[ref[strings.LastIndex(ref, "/")+1:]]
}

// fits checks JSON against a schema of the document.
func fits(t testing.TB, at string, body []byte) {
	t.Helper()
	spec := parsed()
	spec.mu.Lock()
	schema, err := spec.schemas.Compile("api.json#" + at)
	spec.mu.Unlock()
	if err != nil {
		t.Fatalf("%s: %v", at, err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Errorf("%.200s: %v", body, err)
		return
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%.300s is not as the document says: %v", body, err)
	}
}

// The document tells of what the handlers answer, and of nothing else.
func TestOpenAPIRoutes(t *testing.T) {
	want := map[string]bool{"GET /": true}
	for _, r := range routes {
		want[r.method+" "+r.path] = true
		op, ok := parsed().Paths[r.path][strings.ToLower(r.method)]
		if !ok {
			t.Errorf("%s %s is not in the document", r.method, r.path)
			continue
		}
		var query []string
		for _, p := range op.Parameters {
			if p.In == "query" {
				query = append(query, p.Name)
			}
		}
		if !slices.Equal(query, r.query) {
			t.Errorf("%s %s knows the parameters %q, and the document %q", r.method, r.path, r.query, query)
		}
		if op.Security == nil {
			t.Errorf("%s %s: the document does not tell what it takes", r.method, r.path)
			continue
		}
		security := map[int]access{0: asking, 1: changing, 2: reading}[len(*op.Security)]
		if security != r.needs {
			t.Errorf("%s %s takes %v, and by the document %v", r.method, r.path, r.needs, security)
		}
	}
	for path, ops := range parsed().Paths {
		for method := range ops {
			if !want[strings.ToUpper(method)+" "+path] {
				t.Errorf("%s %s is in the document only", method, path)
			}
		}
	}
}

// Each answer that the document promises is given.
func TestOpenAPIAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("ant", "bee", "a/b")
		f.answers = []cluster.Answer{{Member: "self", Keys: []string{"k1", "k2"}}, {Member: "ant", Err: errNoAnswer}}
		metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			io.WriteString(w, "pulsering_members 1\n")
		})
		token := goodToken
		opts := Options{Token: func() string { return token }, Metrics: metrics, Logger: hclog.NewNullLogger(), Streams: 1}
		s := serve(t, f, opts)
		bare := serve(t, newFake(), Options{})
		defer bare.Close()
		joining := New(opts)
		over := serve(t, newFake(), opts)
		over.joined.Load().Node.(*fakeNode).close()
		synctest.Wait()

		seen := map[string]bool{}
		ask := func(s *Server, q question, want int) {
			t.Helper()
			template, _, ok := parsed().find(q.method, q.path)
			if !ok {
				t.Fatalf("%s %s is not in the document", q.method, q.path)
			}
			ctx, stop := context.WithTimeout(t.Context(), orderTime+1)
			defer stop()
			q.end = ctx
			if w := q.answers(t, s); w.Code != want {
				t.Errorf("%s %s: %d %.200s; want %d", q.method, q.path, w.Code, w.Body, want)
			}
			seen[fmt.Sprintf("%s %s %d", strings.ToLower(q.method), template, want)] = true
		}
		const key = `"` + "MDEyMzQ1Njc4OWFiY2RlZg==" + `"`
		good := map[string]string{
			"PUT /v1/log-level": `{"level":"debug"}`,
			"POST /v1/keys":     `{"action":"add","key":` + key + `}`,
		}
		for _, r := range append(routes, route{method: "GET", path: "/", early: true}) {
			path := strings.Replace(r.path, "{name}", "ant", 1)
			q := question{method: r.method, path: path, body: good[r.method+" "+path], at: open, header: withToken(goodToken)}
			ask(s, q, http.StatusOK)

			stranger := q // refused for its host, its token, its parameters
			stranger.header, stranger.host = nil, "evil.example"
			ask(s, stranger, http.StatusForbidden)
			if r.needs > asking {
				unknown := q
				unknown.header = nil
				ask(s, unknown, http.StatusUnauthorized)
			}
			if r.path != "/" {
				odd := q
				odd.path += "?what=ever"
				ask(s, odd, http.StatusBadRequest)
			}
			if !r.early {
				ask(joining, q, http.StatusServiceUnavailable)
			}
			if strings.Contains(r.path, "{name}") {
				f.orderErr = fmt.Errorf("%w: nobody", cluster.ErrNoMember)
				nobody := q
				nobody.path = strings.Replace(r.path, "{name}", "nobody", 1)
				ask(s, nobody, http.StatusNotFound)
				f.orderErr = nil
			}
			if r.method == "POST" && r.path != "/v1/members/{name}/ping" || r.path == "/v1/keys" {
				f.orderErr = errors.New("cluster: some did not")
				ask(s, q, http.StatusConflict)
				f.answers, f.orderErr = nil, context.DeadlineExceeded
				if r.path == "/v1/leave" {
					ask(s, q, http.StatusOK) // the goodbye is sent all the same
				} else {
					ask(s, q, http.StatusGatewayTimeout)
				}
				f.answers, f.orderErr = []cluster.Answer{{Member: "self", Keys: []string{"k1", "k2"}}, {Member: "ant", Err: errNoAnswer}}, nil
			}
			if r.method == "PUT" || r.path == "/v1/keys" && r.method == "POST" {
				large := q
				large.body = `{"level":"` + strings.Repeat("x", mostBody) + `"}`
				ask(s, large, http.StatusRequestEntityTooLarge)
			}
		}
		f.orderErr = errNoAnswer
		ask(s, question{method: "POST", path: "/v1/members/ant/ping", header: withToken(goodToken)}, http.StatusGatewayTimeout)
		ask(over, question{method: "GET", path: "/livez"}, http.StatusServiceUnavailable)
		ask(joining, question{method: "GET", path: "/readyz?verbose"}, http.StatusServiceUnavailable)
		ask(bare, question{method: "GET", path: "/metrics"}, http.StatusNotFound)
		ask(bare, question{method: "GET", path: "/v1/log-level", control: true}, http.StatusNotFound)
		ask(bare, question{method: "PUT", path: "/v1/log-level", control: true}, http.StatusNotFound)
		ask(s, question{method: "GET", path: "/v1/events", header: map[string]string{"Accept": "image/png"}}, http.StatusNotAcceptable)

		for path, ops := range parsed().Paths {
			for method, op := range ops {
				for status := range op.Responses {
					if !seen[method+" "+path+" "+status] {
						t.Errorf("the document promises an answer that was not seen: %s %s %s", method, path, status)
					}
				}
			}
		}
	})
}
