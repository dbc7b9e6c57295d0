//go:build e2e && unix && !solaris && !aix

package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asksSocket is what a node answers on its control socket.
func asksSocket(t *testing.T, socket, method, path, body string) (code int, answer string) {
	t.Helper()
	client := &http.Client{Timeout: patient, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}}
	req, err := http.NewRequest(method, "http://node"+path, strings.NewReader(body))
	must(t, err)
	got, err := client.Do(req)
	must(t, err)
	defer got.Body.Close()
	b, err := io.ReadAll(got.Body)
	must(t, err)
	return got.StatusCode, string(b)
}

// What only the owner of a node may tell it, and only on its socket.
func TestControlSocket(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "control")
	ant := launch(t, "ant", freshAddr(t))
	bee := launch(t, "bee", freshAddr(t), "--join", ant.addr, "--control", socket)
	cat := launch(t, "cat", freshAddr(t), "--join", ant.addr)
	formed([]*member{ant, bee, cat})
	if info, err := os.Lstat(socket); err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if code, _, stderr := command(t, "node", "--name", "dog", "--bind", freshAddr(t), "--control", socket); code != 1 ||
		!strings.Contains(stderr, "--control") || !strings.Contains(stderr, "another process listens") {
		t.Errorf("a second node on it: %d %s", code, stderr)
	}
	if code, _, stderr := command(t, "node", "--control", filepath.Join(dir, strings.Repeat("x", 110))); code != exitUsage || !strings.Contains(stderr, "at most 103") {
		t.Errorf("a long path: %d %s", code, stderr)
	}
	cat.kill()
	bee.expect("down", "cat")
	ant.expect("down", "cat")
	for _, test := range []struct {
		method, path, body string
		code               int
		says               string
	}{
		{"GET", "/v1/members", "", 200, `"name":"cat"`},
		{"POST", "/v1/members/ant/ping", "", 200, `"rtt_ms":`},
		{"POST", "/v1/members/ant/forget", "", 409, "only a member that is down"},
		{"POST", "/v1/members/cat/forget", "", 200, `"forgotten"`},
		{"GET", "/v1/keys", "", 200, `"member":"ant"`},
		{"POST", "/v1/keys", `{"action":"add","key":"MDEyMzQ1Njc4OWFiY2RlZg=="}`, 409, "not encrypted"},
		{"PUT", "/v1/log-level", `{"level":"warn"}`, 200, `"warn"`},
		{"GET", "/v1/log-level", "", 200, `"warn"`},
		{"PUT", "/v1/log-level", `{"level":"info"}`, 200, `"info"`},
	} {
		if code, body := asksSocket(t, socket, test.method, test.path, test.body); code != test.code || !strings.Contains(body, test.says) {
			t.Errorf("%s %s: %d %s; want %d and %s", test.method, test.path, code, body, test.code, test.says)
		}
	}
	if states := ant.states(); states["cat"] != "" {
		t.Errorf("ant still knows cat: %v", states)
	}

	t.Log("a crash leaves the socket behind, and the next one takes it over")
	bee.kill()
	if _, err := os.Lstat(socket); err != nil {
		t.Fatal(err)
	}
	bee = launch(t, "bee", freshAddr(t), "--join", ant.addr, "--control", socket)
	bee.expect("joined", "bee")
	fromHere([]*member{ant})
	if code, body := asksSocket(t, socket, "POST", "/v1/leave", ""); code != 200 || !strings.Contains(body, `"left"`) {
		t.Errorf("%d %s", code, body)
	}
	ant.expect("left", "bee")
	bee.exits(0, "told to leave", "told to by a client")
	if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
	if code, body := ant.answered("POST", "/v1/leave"); code != 403 {
		t.Errorf("over HTTP without a token: %d %s", code, body)
	}
}

// An address of this machine that others reach, where there is one.
func openIP(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	must(t, err)
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() {
			return p.Addr().String()
		}
	}
	t.Skip("this machine has no address beside loopback")
	return ""
}

// Whom a node answers that others reach, and that its token is the one of the moment.
func TestTokensEndToEnd(t *testing.T) {
	ip := openIP(t)
	file := filepath.Join(t.TempDir(), "token")
	const first, second = "first-0123456789", "second-0123456789"
	must(t, os.WriteFile(file, []byte(first+"\n"), 0o600))
	ant := town(t, []string{"ant"})[0]
	_, port, err := net.SplitHostPort(freshAddr(t))
	must(t, err)
	bee := launchBy(t, binary, "bee", freshAddr(t), net.JoinHostPort("0.0.0.0", port), "--join", ant.addr, "--http-token-file", file)
	bee.expect("joined", "bee")
	bee.logs("serving the dashboard")
	near, far := net.JoinHostPort("127.0.0.1", port), net.JoinHostPort(ip, port)
	for _, test := range []struct {
		at, method, path, token string
		code                    int
		says                    string
	}{
		{near, "GET", "/v1/members", "", 200, `"bee"`},
		{far, "GET", "/v1/members", "", 401, "Authorization: Bearer"},
		{far, "GET", "/v1/events", "", 401, "Authorization: Bearer"},
		{far, "GET", "/metrics", "", 401, "Authorization: Bearer"},
		{far, "GET", "/livez", "", 200, "ok"},
		{far, "GET", "/readyz", "", 200, "ok"},
		{far, "GET", "/", "", 200, "<html"},
		{far, "GET", "/v1/members", second, 401, "wrong"},
		{far, "GET", "/v1/members", first[:10], 401, "10 characters"},
		{far, "GET", "/v1/members", first, 200, `"bee"`},
		{far, "GET", "/metrics", first, 200, "pulsering_members"},
		{near, "POST", "/v1/members/ant/ping", "", 401, "Authorization: Bearer"},
		{near, "POST", "/v1/members/ant/ping", second, 401, "wrong"},
		{far, "POST", "/v1/members/ant/ping", first, 200, `"rtt_ms"`},
	} {
		bee.http = test.at
		var headers []string
		if test.token != "" {
			headers = []string{"Authorization: Bearer " + test.token}
		}
		if code, body := bee.answered(test.method, test.path, headers...); code != test.code || !strings.Contains(body, test.says) {
			t.Errorf("%s %s %s with %q: %d %.300s; want %d and %s", test.method, test.at, test.path, test.token, code, body, test.code, test.says)
		}
	}

	heeds(t, syscall.SIGHUP)
	must(t, os.WriteFile(file, []byte(second), 0o600))
	must(t, bee.cmd.Process.Signal(syscall.SIGHUP))
	bee.logs("http-token-file: changed")
	if code, body := bee.answered("POST", "/v1/members/ant/ping", "Authorization: Bearer "+first); code != 401 {
		t.Errorf("with the old token: %d %s", code, body)
	}
	began := time.Now()
	if code, body := bee.answered("POST", "/v1/leave", "Authorization: Bearer "+second); code != 200 {
		t.Errorf("with the new token: %d %s", code, body)
	}
	ant.expect("left", "bee")
	bee.exits(0, "told to leave", "HTTP from "+ip)
	t.Logf("left after %v", time.Since(began).Round(time.Millisecond))
	if log := bee.lastLog(1000); strings.Contains(log, first) || strings.Contains(log, second) {
		t.Error("a token is in the log")
	}
}
