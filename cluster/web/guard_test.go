package web

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Who may do what, by where the request came to and what it brings.
func TestAccess(t *testing.T) {
	token := ""
	s := serve(t, newFake("ant"), Options{Token: func() string { return token }})
	const other = "fedcba9876543210"
	for _, test := range []struct {
		name, token  string
		at           question
		read, change int
		says         string
	}{
		{"no token, same machine", "", question{}, 200, 403, "control socket"},
		{"no token, another machine", "", question{at: open}, 200, 403, "--http-token-file"},
		{"no token, but one is sent", "", question{at: open, header: withToken("")}, 200, 403, "given none"},
		{"a token, same machine, none sent", goodToken, question{}, 200, 401, "Authorization: Bearer"},
		{"a token, another machine, none sent", goodToken, question{at: open}, 401, 401, "Authorization: Bearer"},
		{"the right one", goodToken, question{at: open, header: withToken(goodToken)}, 200, 200, ""},
		{"in small letters", goodToken, question{at: open, header: map[string]string{"Authorization": "bearer " + goodToken}}, 200, 200, ""},
		{"a wrong one", goodToken, question{at: open, header: withToken(other)}, 401, 401, "wrong"},
		{"half of it", goodToken, question{at: open, header: withToken(goodToken[:8])}, 401, 401, "8 characters"},
		{"an empty one", goodToken, question{at: open, header: withToken("")}, 401, 401, "0 characters"},
		{"more than it", goodToken, question{at: open, header: withToken(goodToken + "0")}, 401, 401, "wrong"},
		{"another scheme", goodToken, question{at: open, header: map[string]string{"Authorization": "Basic " + goodToken}}, 401, 401, "Bearer"},
		{"a short one is none", "short", question{at: open, header: withToken("short")}, 403, 403, "5 characters"},
		{"a short one, same machine", "short", question{header: withToken("short")}, 200, 403, "at least 16"},
		{"control", "", question{control: true, at: open}, 200, 200, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			token = test.token
			q := test.at
			q.method, q.path = "GET", "/v1/members"
			says := []string{test.says}
			if test.read == 200 {
				says = nil
			}
			wants(t, q.answers(t, s), test.read, says...)
			q.method, q.path = "POST", "/v1/leave"
			w := q.answers(t, s)
			says = []string{test.says}
			if test.change == 200 {
				says = nil
			}
			wants(t, w, test.change, says...)
			if w.Code == 401 && !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("nothing says which scheme: %v", w.Header())
			}
			q.method = "GET"
			for _, path := range []string{"/", "/livez", "/v1/openapi.json"} {
				q.path = path
				wants(t, q.answers(t, s), 200)
			}
		})
	}
}

// A browser that was led here by a name of somebody else's is turned away.
func TestHosts(t *testing.T) {
	s := serve(t, newFake("ant"), Options{Token: func() string { return goodToken }, Hosts: []string{"node.example"}})
	for host, want := range map[string]int{
		"localhost": 200, "localhost:80": 200, "LOCALHOST.": 200, "a.localhost:1": 200, "127.0.0.1:8080": 200, "[::1]:8080": 200, "[::1]": 200,
		"10.1.2.3": 200, "node.example:8080": 200, "Node.Example.": 200, "[fe80::1%25eth0]:1": 200,
		"evil.example": 403, "node.example.evil.example": 403, "127.0.0.1.evil.example:8080": 403, "notlocalhost": 403, "evil.example:8080": 403,
		"localhost:8080:1": 403, "127.0.0.1@evil.example": 403, "127.1": 403, " ": 403,
	} {
		for _, path := range []string{"/", "/v1/members", "/livez", "/nothing"} {
			q := question{method: "GET", path: path, host: host}
			want := want
			if path == "/nothing" && want == 200 {
				want = 404
			}
			if w := q.answers(t, s); w.Code != want {
				t.Errorf("%q %s: %d %s; want %d", host, path, w.Code, w.Body, want)
			}
		}
	}
	for _, q := range []question{
		{header: withToken(goodToken), host: "prometheus-finds-it.example"},
		{control: true, host: "evil.example"},
	} {
		q.method, q.path = "GET", "/v1/members"
		wants(t, q.answers(t, s), 200)
	}
}

// A page of another origin can neither read nor change anything, with the token or without.
func TestOrigins(t *testing.T) {
	s := serve(t, newFake("ant"), Options{Token: func() string { return goodToken }})
	for _, test := range []struct {
		name   string
		header map[string]string
		want   int
	}{
		{"no browser", nil, 200},
		{"our page", map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost:8080"}, 200},
		{"typed in", map[string]string{"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 200},
		{"our page in an old browser", map[string]string{"Origin": "http://localhost:8080"}, 200},
		{"another site", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"}, 403},
		{"another site's image", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, 403},
		{"another port of this machine", map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"}, 403},
		{"another site in an old browser", map[string]string{"Origin": "http://evil.example"}, 403},
		{"another port in an old browser", map[string]string{"Origin": "http://localhost:3000"}, 403},
		{"a file or a sandbox", map[string]string{"Origin": "null"}, 403},
		{"a frame in another site", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403},
	} {
		for _, q := range []question{{method: "GET", path: "/v1/members"}, {method: "GET", path: "/"}, {method: "POST", path: "/v1/leave"}, {method: "GET", path: "/v1/events"}} {
			q.header = withToken(goodToken)
			for name, value := range test.header {
				q.header[name] = value
			}
			if q.path == "/v1/events" {
				if test.want == 200 {
					continue
				}
			}
			if w := q.answers(t, s); w.Code != test.want {
				t.Errorf("%s: %s %s: %d %s; want %d", test.name, q.method, q.path, w.Code, w.Body, test.want)
			}
		}
	}
	link := map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
	wants(t, question{method: "GET", path: "/", header: link}.answers(t, s), 200)
	form := map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Origin": "http://evil.example"}
	form["Authorization"] = "Bearer " + goodToken
	wants(t, question{method: "POST", path: "/v1/leave", header: form}.answers(t, s), 403, "another origin")
}

func TestPaths(t *testing.T) {
	s := serve(t, newFake("ant", "a/b", "..", "a%b", "ü"), Options{})
	for path, want := range map[string]int{
		"/v1/members/ant": 200, "/v1/members/a%2Fb": 200, "/v1/members/%2e%2e": 200, "/v1/members/a%25b": 200, "/v1/members/%C3%BC": 200,
		"/v1/members/": 404, "/v1//members": 404, "//v1/members": 404, "/v1/members/..": 404, "/v1/members/../members": 404, "/v1/./members": 404,
		"/members": 404, "/events": 404, "/stats": 404, "/healthz": 404, "/v1": 404, "/v2/members": 404, "/index.html": 404, "/page.go": 404,
		"/v1/members/a/b": 404, "/v1/members/%00": 404, "/v1/members/%0d%0aX:%20y": 404, "/favicon.ico": 404, "/../etc/passwd": 404, "/%2e%2e/etc": 404,
	} {
		if w := get(t, s, path); w.Code != want {
			t.Errorf("%s: %d %s; want %d", path, w.Code, w.Body, want)
		}
	}
	wants(t, get(t, s, "/v1/members/%3Cscript%3E"), 404, "<script>")
	if w := get(t, s, "/v1/members/%3Cscript%3E"); strings.Contains(w.Body.String(), "<script>") {
		t.Errorf("not escaped: %s", w.Body)
	}
}

func TestMethods(t *testing.T) {
	s := serve(t, newFake("ant"), Options{})
	for _, test := range []struct{ method, path, allow string }{
		{"POST", "/v1/members", "GET, HEAD"}, {"DELETE", "/v1/members/ant", "GET, HEAD"}, {"GET", "/v1/leave", "POST"},
		{"OPTIONS", "/v1/keys", "GET, HEAD, POST"}, {"PATCH", "/v1/log-level", "GET, HEAD, PUT"}, {"POST", "/", "GET, HEAD"},
		{"PUT", "/app.js", "GET, HEAD"},
		{"BREW", "/livez", "GET, HEAD"}, {"get", "/livez", "GET, HEAD"},
	} {
		w := question{method: test.method, path: test.path}.answers(t, s)
		wants(t, w, http.StatusMethodNotAllowed, test.method)
		if got := w.Header().Get("Allow"); got != test.allow {
			t.Errorf("%s %s: Allow: %q; want %q", test.method, test.path, got, test.allow)
		}
	}
	for _, path := range []string{"/v1/members", "/", "/app.js"} {
		if w := (question{method: "HEAD", path: path}).answers(t, s); w.Code != 200 {
			t.Errorf("HEAD %s: %d", path, w.Code)
		}
	}
}

// Whatever is asked is answered, in JSON where it is refused.
func FuzzAsk(f *testing.F) {
	f.Add("GET", "/v1/members", "state=up&tag=zone=a", "localhost", "")
	f.Add("GET", "/v1/members/a%2Fb", "", "[::1]:1", "")
	f.Add("POST", "/v1/keys", "", "evil", `{"action":"add","key":"MDEyMzQ1Njc4OWFiY2RlZg=="}`)
	f.Add("PUT", "/v1/log-level", "a;b=%zz", "localhost", `{"level":1}{}`)
	f.Add("POST", "/v1/members/x/forget", "verbose", ":", "[]")
	f.Add("GET", "/readyz", "verbose=%00", "a.localhost.", "")
	f.Add("gET", "/", "", "localhost", "")
	node := newFake("ant", "a/b")
	s := serve(f, node, Options{})
	f.Fuzz(func(t *testing.T, method, path, query, host, body string) {
		if _, err := url.Parse("http://h" + path); err != nil || path == "/v1/events" || !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "?#") || strings.ContainsAny(method, " \x00") || method == "" {
			t.Skip()
		}
		for _, control := range []bool{false, true} {
			q := question{method: method, path: path + "?" + query, host: host, body: body, control: control}
			if w := q.answers(t, s); w.Code >= 500 && w.Code != http.StatusServiceUnavailable {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
	})
}
