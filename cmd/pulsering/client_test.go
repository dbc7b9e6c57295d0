package main

import (
	"bufio"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/cluster"
)

// actingRing is a fakeRing that does as it is told.
type actingRing struct {
	*fakeRing
	members []cluster.Member
	explain func(name string) (cluster.Explanation, bool)
	ping    func(name string) (time.Duration, error)
	answers []cluster.Answer
	refuses error // what changes end with

	mu  sync.Mutex
	did []string
}

func newActingRing() *actingRing {
	return &actingRing{fakeRing: newFakeRing(), members: []cluster.Member{{Name: "a", Addr: "10.0.0.1:7946"}, {Name: "b", Addr: "10.0.0.2:7946"}}}
}

func (r *actingRing) note(format string, args ...any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.did = append(r.did, fmt.Sprintf(format, args...))
	return r.refuses
}

func (r *actingRing) Members() []cluster.Member { return r.members }
func (r *actingRing) Self() cluster.Member      { return r.members[0] }
func (r *actingRing) Member(name string) (cluster.Member, bool) {
	for _, m := range r.members {
		if m.Name == name {
			return m, true
		}
	}
	return cluster.Member{}, false
}
func (r *actingRing) Explain(name string) (cluster.Explanation, bool) {
	if r.explain != nil {
		return r.explain(name)
	}
	m, ok := r.Member(name)
	return cluster.Explanation{Member: m, Threshold: 8, StallThreshold: 4}, ok
}
func (r *actingRing) Leave(context.Context) error { return r.note("leave") }
func (r *actingRing) Forget(_ context.Context, name string) error {
	return r.note("forget %q", name)
}
func (r *actingRing) Ping(_ context.Context, name string) (time.Duration, error) {
	r.note("ping %q", name)
	return r.ping(name)
}
func (r *actingRing) Keys(context.Context) ([]cluster.Answer, error) {
	return r.answers, r.note("keys")
}
func (r *actingRing) AddKey(_ context.Context, key []byte) ([]cluster.Answer, error) {
	return r.answers, r.note("add %x", key)
}
func (r *actingRing) UseKey(_ context.Context, key []byte) ([]cluster.Answer, error) {
	return r.answers, r.note("use %x", key)
}
func (r *actingRing) RemoveKey(_ context.Context, key []byte) ([]cluster.Answer, error) {
	return r.answers, r.note("remove %x", key)
}

// serveToken serves the ring over HTTP with a token, and returns the flags to ask it with.
func serveToken(t *testing.T, r *actingRing) []string {
	t.Helper()
	file := tempFile(t, "token", someToken+"\n")
	guard, err := newGuard(httpFlags{HTTP: "127.0.0.1:0", HTTPTokenFile: tokenFile{file, someToken}})
	if err != nil {
		t.Fatal(err)
	}
	on, err := serving{http: "127.0.0.1:0", guard: guard}.start(hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(on.close)
	on.web.Joined(r)
	return []string{"--http", on.http.String(), "--http-token-file", file}
}

func tempFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// lonely makes sure that no node of this machine is found.
func lonely(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"PULSERING_STATE_DIR", "RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR", "PULSERING_CONTROL"} {
		t.Setenv(name, "")
	}
	t.Setenv("XDG_STATE_HOME", dir)
	t.Setenv("HOME", dir)
	return dir
}

func TestNodeURL(t *testing.T) {
	for at, want := range map[string]string{
		"127.0.0.1:8080":          "http://127.0.0.1:8080",
		"[::1]:8080":              "http://[::1]:8080",
		"http://node:1":           "http://node:1",
		"https://node":            "https://node",
		"https://node:8443/":      "https://node:8443",
		"node":                    "",
		"node:0":                  "",
		":8080":                   "",
		"ftp://node":              "",
		"https://":                "",
		"https://u:secret@node":   "",
		"https://node/v1":         "",
		"https://node?x=1":        "",
		"https://node:1/\x1b]0;x": "",
		"http://node:1\r\nX-Y: z": "",
	} {
		got, err := nodeURL(at)
		if want == "" && err == nil || want != "" && got != want {
			t.Errorf("%q: %q, %v", at, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", at, err)
		}
	}
}

// What changes something takes the token, and each way to go wrong with it says what to do.
func TestTokens(t *testing.T) {
	lonely(t)
	r := newActingRing()
	r.members[1].State = cluster.StateDown
	good := serveToken(t, r)
	at := good[1]
	if code, out, stderr := pulsering(t, append([]string{"forget", "b"}, good...)...); code != 0 || out != "b is forgotten by all members\n" || stderr != "" {
		t.Errorf("with the token: %d %q %q", code, out, stderr)
	}
	for _, test := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no token", nil, exitFailed, "asks for its token: give --http-token-file FILE"},
		{"another token", []string{"--http-token-file", tempFile(t, "t", "fedcba9876543210")}, exitFailed, "does not take the token"},
		{"no file", []string{"--http-token-file", "/nowhere"}, exitUsage, "--http-token-file: open /nowhere"},
		{"a directory", []string{"--http-token-file", t.TempDir()}, exitUsage, "is a directory"},
		{"an empty file", []string{"--http-token-file", tempFile(t, "t", "\n")}, exitUsage, "0 characters long"},
		{"a binary", []string{"--http-token-file", tempFile(t, "t", "\x00\x01\x02"+someToken)}, exitUsage, "character 1 is"},
		{"two lines", []string{"--http-token-file", tempFile(t, "t", someToken+"\n"+someToken)}, exitUsage, "character 17 is"},
		{"a long file", []string{"--http-token-file", tempFile(t, "t", strings.Repeat("a", 1025))}, exitUsage, "is longer than 1024"},
		{"no flag's value", []string{"--http-token-file", ""}, exitUsage, "--http-token-file: is empty"},
		{"two nodes", []string{"--control", "/tmp/x.sock"}, exitUsage, "--http and --control"},
		{"a certificate without TLS", []string{"--http-ca", "/x"}, exitUsage, "--http-ca: is for --http https://"},
	} {
		code, out, stderr := pulsering(t, append([]string{"forget", "b", "--http", at}, test.args...)...)
		if code != test.code || out != "" || !strings.Contains(stderr, test.want) || strings.Contains(stderr, someToken) {
			t.Errorf("%s: %d %q %q", test.name, code, out, stderr)
		}
	}
	t.Setenv("PULSERING_HTTP_TOKEN_FILE", good[3])
	if code, _, stderr := pulsering(t, "forget", "b", "--http", at); code != 0 {
		t.Errorf("with the token by the environment: %d %q", code, stderr)
	}
}

// The token is for a node that was named: at the address where nodes are by custom anybody may listen.
func TestTokenIsForANamedNode(t *testing.T) {
	lonely(t)
	file := tempFile(t, "token", someToken)
	t.Setenv("PULSERING_HTTP_TOKEN_FILE", file)
	for at, want := range map[text]string{"": "", "127.0.0.1:1": someToken} {
		node, err := (&askedNode{HTTP: at}).open(t.Context())
		if err != nil || node.token != want {
			t.Errorf("%q: %+v, %v", at, node, err)
		}
	}
	code, _, stderr := pulsering(t, "members", "--http-token-file", file)
	if code != exitUsage || !strings.Contains(stderr, "--http-token-file: is for the node that --http names") {
		t.Errorf("%d %q", code, stderr)
	}
	refused := (&asked{where: customaryHTTP}).refusal(&http.Response{StatusCode: http.StatusUnauthorized}, []byte(`{"error":"who?"}`))
	if refused == nil || !strings.Contains(refused.Error(), "give --http "+customaryHTTP+" and --http-token-file FILE") {
		t.Error(refused)
	}
}

func TestHTTPS(t *testing.T) {
	lonely(t)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "[]") }))
	server.Config.ErrorLog = hclog.NewNullLogger().StandardLogger(nil)
	defer server.Close()
	ca := tempFile(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	if code, _, stderr := pulsering(t, "members", "--http", server.URL, "--http-ca", ca); code != 0 {
		t.Errorf("trusted: %d %q", code, stderr)
	}
	if code, _, stderr := pulsering(t, "members", "--http", server.URL); code != exitFailed || !strings.Contains(stderr, "certificate") {
		t.Errorf("not trusted: %d %q", code, stderr)
	}
	if code, _, stderr := pulsering(t, "members", "--http", server.URL, "--http-ca", tempFile(t, "x", "no PEM")); code != exitFailed || !strings.Contains(stderr, "no certificate in PEM") {
		t.Errorf("no certificate: %d %q", code, stderr)
	}
}

// What is no node, or a hostile one, gets neither the token to take elsewhere nor the terminal.
func TestStrangeServers(t *testing.T) {
	lonely(t)
	var elsewhere []string
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		elsewhere = append(elsewhere, r.URL.Path+r.Header.Get("Authorization"))
	}))
	defer other.Close()
	for name, serve := range map[string]http.HandlerFunc{
		"leads elsewhere": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) },
		"a page":          func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>\x1b[2J") },
		"nothing":         func(http.ResponseWriter, *http.Request) {},
		"an object":       func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"a":1}`) },
		"an error": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			io.WriteString(w, `{"error":"no\u001b[2J\u202e"}`)
		},
		"half": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, `[`)
		},
	} {
		server := httptest.NewServer(serve)
		server.Config.ErrorLog = hclog.NewNullLogger().StandardLogger(nil)
		for _, command := range []string{"members", "leave", "events"} {
			code, out, stderr := pulsering(t, command, "--http", server.Listener.Addr().String(), "--http-token-file", tempFile(t, "t", someToken))
			if code != exitFailed || out != "" || strings.ContainsAny(stderr, "\x1b\u202e") || strings.Count(stderr, "error: ") != 1 {
				t.Errorf("%s, %s: %d %q %q", name, command, code, out, stderr)
			}
		}
		server.Close()
	}
	if elsewhere != nil {
		t.Errorf("asked elsewhere: %v", elsewhere)
	}
}

// A node is found by its socket; of several none is guessed at.
func TestFindsSocket(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("nodes have no control sockets there")
	}
	lonely(t)
	dir, err := os.MkdirTemp("", "p") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	t.Setenv("XDG_RUNTIME_DIR", dir)
	own := filepath.Join(dir, "pulsering")
	if socketDirs()[0] != own {
		t.Errorf("sockets are looked for in %q", socketDirs())
	}
	if err := os.MkdirAll(filepath.Join(own, "bee"), 0o700); err != nil {
		t.Fatal(err)
	}
	ant, beeAt := filepath.Join(own, "control.sock"), filepath.Join(own, "bee", "control.sock")
	if path, err := onlySocket([]string{own, "/nowhere"}); path != "" || err != nil {
		t.Errorf("none: %q, %v", path, err)
	}
	start := func(name, path string) *served {
		on, err := serving{control: path}.start(hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(on.close)
		r := newActingRing()
		r.members[0].Name = name
		on.web.Joined(r)
		return on
	}
	stale, err := net.Listen("unix", filepath.Join(own, "stale.sock"))
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	stale.Close()
	if err := os.WriteFile(filepath.Join(own, "file.sock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	start("ant", ant)
	if code, out, stderr := pulsering(t, "members"); code != 0 || !strings.HasPrefix(out, "as ant sees them") {
		t.Errorf("one: %d %q %q", code, out, stderr)
	}
	if code, out, _ := pulsering(t, "complete-names"); code != 0 || out != "ant\nb\n" {
		t.Errorf("names: %d %q", code, out)
	}
	bee := start("bee", beeAt)
	code, out, stderr := pulsering(t, "members")
	if code != exitFailed || out != "" || !strings.Contains(stderr, "2 nodes run on this machine") ||
		!strings.Contains(stderr, "--control "+ant) || !strings.Contains(stderr, "--control "+beeAt) {
		t.Errorf("two: %d %q %q", code, out, stderr)
	}
	if code, out, stderr := pulsering(t, "members", "--control", beeAt); code != 0 || !strings.HasPrefix(out, "as bee sees them") {
		t.Errorf("named: %d %q %q", code, out, stderr)
	}
	bee.close()
	if code, _, stderr := pulsering(t, "members", "--control", beeAt); code != exitFailed || !strings.Contains(stderr, "no node listens on") {
		t.Errorf("ended: %d %q", code, stderr)
	}
	if code, out, _ := pulsering(t, "members"); code != 0 || !strings.HasPrefix(out, "as ant sees them") {
		t.Errorf("one again: %d %q", code, out)
	}
}

func TestNoNode(t *testing.T) {
	lonely(t)
	if conn, err := net.Dial("tcp", customaryHTTP); err == nil {
		conn.Close()
		t.Skip("something listens on " + customaryHTTP)
	}
	if path, err := onlySocket(socketDirs()); path != "" || err != nil {
		t.Skipf("a node runs on this machine: %q %v", path, err)
	}
	if code, _, stderr := pulsering(t, "members"); code != exitFailed || !strings.Contains(stderr, "no node found on this machine") {
		t.Errorf("%d %q", code, stderr)
	}
}

// A node that accepts and says nothing is said to be stopped, when the time is over.
func TestSilentNode(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	node, err := (&askedNode{HTTP: text(listener.Addr().String())}).open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer node.http.CloseIdleConnections()
	if err := node.get(ctx, "/v1/self", nil); err == nil || !strings.Contains(err.Error(), "it took too long: is the node stopped") {
		t.Error(err)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	stop(signalled{os.Interrupt})
	if err := node.get(ctx, "/v1/self", nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A node that begins to refuse a stream, and does not come to the end, is not waited for.
func TestRefusalWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			http.ReadRequest(bufio.NewReader(there))
			io.WriteString(there, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 100\r\n\r\n{")
			io.Copy(io.Discard, there) // until this end gives up
		}()
		node := &asked{where: "a", base: "http://a", http: &http.Client{Transport: &http.Transport{
			DialContext: func(context.Context, string, string) (net.Conn, error) { return here, nil }}}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begun := time.Now()
		_, err := node.follow(ctx, "/v1/events", "text/event-stream", nil)
		if took := time.Since(begun); err == nil || !strings.Contains(err.Error(), "it took too long") || took != readLimit {
			t.Errorf("after %v: %v", took, err)
		}
	})
}
