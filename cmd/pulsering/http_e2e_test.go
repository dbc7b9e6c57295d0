//go:build e2e && unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// answered is what a node answers to a request with headers, each as "Name: value".
func (m *member) answered(method, path string, headers ...string) (code int, body string) {
	m.t.Helper()
	req, err := http.NewRequest(method, "http://"+m.http+path, nil)
	must(m.t, err)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
		if name == "Host" {
			req.Host = value
		}
	}
	answer, err := (&http.Client{Timeout: patient}).Do(req)
	must(m.t, err)
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	must(m.t, err)
	return answer.StatusCode, string(b)
}

// What an operator asks with curl, and what a page of a stranger asks.
func TestAsked(t *testing.T) {
	all := town(t, []string{"ant", "bee", "cat"}, "--tag", "zone=a")
	ant := all[0]
	all[2].kill()
	ant.expect("down", "cat")
	for _, test := range []struct {
		method, path string
		headers      []string
		code         int
		says         string
	}{
		{"GET", "/", nil, 200, "<html"},
		{"GET", "/livez", nil, 200, `"ok"`},
		{"GET", "/readyz?verbose", nil, 200, `"name":"isolated","ok":true`},
		{"GET", "/v1/self", nil, 200, `"name":"ant"`},
		{"GET", "/v1/members?state=down", nil, 200, `[{"name":"cat"`},
		{"GET", "/v1/members?tag=zone=a&state=up", nil, 200, `"name":"bee"`},
		{"GET", "/v1/members?state=dead", nil, 400, `want up, suspect, down or left`},
		{"GET", "/v1/members/cat", nil, 200, `"verdict":{`},
		{"GET", "/v1/members/dog", nil, 404, `no member \"dog\"`},
		{"GET", "/v1/stats", nil, 200, `"verdicts":`},
		{"GET", "/v1/openapi.json", nil, 200, `"openapi": "3.1`},
		{"GET", "/members", nil, 404, "openapi.json"},
		{"DELETE", "/v1/members", nil, 405, "want GET or HEAD"},
		{"POST", "/v1/leave", nil, 403, "--http-token-file"},
		{"POST", "/v1/leave", []string{"Authorization: Bearer 0123456789abcdef"}, 403, "given none"},
		{"POST", "/v1/members/cat/forget", nil, 403, "control socket"},
		{"GET", "/v1/keys", nil, 403, "control socket"},
		{"GET", "/v1/members", []string{"Host: evil.example"}, 403, "evil.example"},
		{"GET", "/v1/members", []string{"Host: evil.example:80"}, 403, "by its address"},
		{"GET", "/v1/members", []string{"Host: localhost"}, 200, `"ant"`},
		{"GET", "/v1/members", []string{"Origin: http://evil.example"}, 403, "another origin"},
		{"GET", "/v1/members", []string{"Sec-Fetch-Site: cross-site"}, 403, "another origin"},
		{"GET", "/", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, 200, "<html"},
	} {
		if code, body := ant.answered(test.method, test.path, test.headers...); code != test.code || !strings.Contains(body, test.says) {
			t.Errorf("%s %s %q: %d %.300s; want %d and %s", test.method, test.path, test.headers, code, body, test.code, test.says)
		}
	}
	for deadline := time.Now().Add(patient); ; time.Sleep(50 * time.Millisecond) { // φ is kept twice a second
		_, body := ant.answered("GET", "/v1/members/bee")
		if strings.Contains(body, `"phi_history":[{"time"`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no history: %s", body)
		}
	}
}

// sse follows the events of a node, as a browser would: each in a channel, which is closed when the connection is.
func sse(t *testing.T, m *member, lastID string) (events <-chan [2]string, hangUp func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.http+"/v1/events", nil)
	must(t, err)
	req.Header.Set("Accept", "text/event-stream")
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	answer, err := http.DefaultClient.Do(req)
	must(t, err)
	if kind := answer.Header.Get("Content-Type"); answer.StatusCode != 200 || kind != "text/event-stream" {
		t.Fatalf("%s %s", answer.Status, kind)
	}
	ch := make(chan [2]string, 1000)
	go func() {
		defer close(ch)
		defer answer.Body.Close()
		var id, data string
		for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
			switch name, value, _ := strings.Cut(lines.Text(), ": "); name {
			case "id":
				id = value
			case "data":
				data = value
			case "": // the block is over
				if id != "" || data != "" {
					ch <- [2]string{id, data}
				}
				id, data = "", ""
			}
		}
	}()
	return ch, cancel
}

// until returns the first event of a kind about a member, the ids on the way, and all events before it.
func until(t *testing.T, events <-chan [2]string, kind, about string) (lastID string, before []string) {
	t.Helper()
	deadline := time.After(patient)
	for {
		select {
		case e, ok := <-events:
			if !ok {
				t.Fatalf("the connection ended before %s %s, after %q", kind, about, before)
			}
			if e[0] != "" {
				lastID = e[0]
			}
			if e[1] == "" {
				continue
			}
			var line eventLine
			must(t, json.Unmarshal([]byte(e[1]), &line))
			if line.Kind == kind && line.Member == about {
				return lastID, before
			}
			before = append(before, line.Kind+" "+line.Member)
		case <-deadline:
			t.Fatalf("no %s %s, but %q", kind, about, before)
		}
	}
}

// A reader whose connection is lost comes back and finds what happened meanwhile, and nothing twice. Of another process it is told that it
// is one.
func TestEventsResumeAfterALostConnection(t *testing.T) {
	all := town(t, []string{"ant", "bee", "cat"})
	ant := all[0]
	events, hangUp := sse(t, ant, "")
	until(t, events, "up", "cat") // the last of the present states
	must(t, syscall.Kill(all[1].cmd.Process.Pid, syscall.SIGTERM))
	id, _ := until(t, events, "left", "bee")
	if id == "" {
		t.Fatal("an event without an id")
	}
	hangUp()
	all[2].kill()
	ant.expect("down", "cat")

	t.Log("back again")
	events, hangUp = sse(t, ant, id)
	id, before := until(t, events, "down", "cat")
	for _, e := range before {
		if !strings.HasPrefix(e, "suspect cat") {
			t.Errorf("%q before the down: it had been read, or is the present state", before)
		}
	}
	hangUp()

	t.Log("and again, to another process")
	ant.kill()
	again := launchBy(t, binary, "ant", freshAddr(t), ant.http)
	again.expect("joined", "ant")
	events, hangUp = sse(t, again, id)
	defer hangUp()
	if _, before := until(t, events, "gap", "ant"); len(before) > 0 {
		t.Errorf("%q before the gap", before)
	}
}

// Readers that are stopped cost the node nothing, and find all that happened once they go on.
func TestStoppedReaders(t *testing.T) {
	all := town(t, []string{"ant", "bee", "cat"})
	var readers []*exec.Cmd
	var out [5]lockedBuffer
	for i := range out {
		cmd := exec.Command(binary, "events", "--json", "--http", all[0].http)
		cmd.Stdout = &out[i]
		must(t, cmd.Start())
		defer cmd.Process.Kill()
		readers = append(readers, cmd)
		out[i].await(t, `"member":"cat"`)
		must(t, cmd.Process.Signal(syscall.SIGSTOP))
	}
	all[2].kill()
	all[0].expect("down", "cat")
	all[1].expect("down", "cat")
	if code, body := all[0].answered("GET", "/v1/members?state=down"); code != 200 || !strings.Contains(body, `"cat"`) {
		t.Errorf("%d %s", code, body)
	}
	onlyDown(t, all[:2], "cat")
	for i, cmd := range readers {
		must(t, cmd.Process.Signal(syscall.SIGCONT))
		out[i].await(t, `"kind":"down","member":"cat"`)
		must(t, cmd.Process.Signal(syscall.SIGINT))
		if code := ends(cmd); code != 0 {
			t.Errorf("a reader ended with %d", code)
		}
	}
}

// await waits until a process has printed something.
func (l *lockedBuffer) await(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(patient); !strings.Contains(l.String(), text); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %q in\n%s", text, l.String())
		}
	}
}

// A thousand streams, a tenth of which never read a byte: the ring does its work, and each that reads is told.
func TestThousandStreams(t *testing.T) {
	const streams = 1000
	all := town(t, []string{"ant", "bee", "cat"})
	ant := all[0]
	var told sync.WaitGroup
	for i := range streams {
		conn, err := net.Dial("tcp", ant.http)
		must(t, err)
		defer conn.Close()
		must(t, conn.SetReadDeadline(time.Now().Add(patient)))
		fmt.Fprint(conn, "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if i%10 == 0 {
			continue
		}
		in := bufio.NewReader(conn)
		answer, err := http.ReadResponse(in, nil)
		if err != nil || answer.StatusCode != 200 {
			t.Fatalf("stream %d: %v %v", i, answer, err)
		}
		told.Go(func() {
			for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
				if strings.Contains(lines.Text(), `"kind":"down","member":"cat"`) {
					return
				}
			}
			t.Errorf("stream %d was not told", i)
		})
	}
	all[2].kill()
	killed := time.Now()
	ant.expect("down", "cat")
	all[1].expect("down", "cat")
	told.Wait()
	t.Logf("all were told %v after the crash", time.Since(killed).Round(time.Millisecond))
	onlyDown(t, all[:2], "cat")
	if states := ant.states(); states["bee"] != "up" {
		t.Errorf("%v", states)
	}
}
