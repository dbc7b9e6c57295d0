//go:build e2e && linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/ws"
)

// quay is a server whose sessions are at /ws, beside a page.
type quay struct {
	server  *link.Server
	handler *ws.Handler
	web     *httptest.Server
}

func newQuay(t *testing.T, cfg link.Config, page func(socket string) string) *quay {
	t.Helper()
	server, err := link.NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	q := &quay{server: server, handler: &ws.Handler{Server: server}}
	mux := http.NewServeMux()
	mux.Handle("GET /ws", q.handler)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, page("ws://"+r.Host+"/ws"))
	})
	q.web = httptest.NewServer(mux)
	t.Cleanup(func() {
		server.Close()
		q.handler.Close()
		q.web.Close()
	})
	return q
}

// A page of another origin cannot connect, whatever its script tries; the server's own can, and so can
// one that is listed.
func TestPagesOfOtherOrigins(t *testing.T) {
	q := newQuay(t, link.Config{}, func(string) string { return "<p>its own</p>" })
	listed := newQuay(t, link.Config{}, func(string) string { return "<p>listed</p>" })
	foreign := newQuay(t, link.Config{}, func(string) string { return "<p>foreign</p>" })
	q.handler.Origins = []string{strings.TrimPrefix(listed.web.URL, "http://")}
	socket := "ws" + strings.TrimPrefix(q.web.URL, "http") + "/ws"
	b := launch(t, "ann")
	connect := fmt.Sprintf(`const ws = new WebSocket(%q); ws.onopen = () => { say("open"); ws.close() }; `+
		`ws.onclose = e => say("closed " + e.code);`, socket)
	own := `window.result = ""; const say = text => { result ||= text }; ` + connect
	// A sandbox has the origin null, also on a page that may connect.
	sandbox := fmt.Sprintf(`window.result = ""; onmessage = e => { result ||= e.data };
		const frame = document.createElement("iframe");
		frame.sandbox = "allow-scripts";
		frame.srcdoc = "<script>" + %q + "</" + "script>";
		document.body.append(frame);`, `const say = text => parent.postMessage(text, "*"); `+connect)
	for _, test := range []struct{ name, page, script, want string }{
		{"its own", q.web.URL, own, "open"},
		{"a listed one", listed.web.URL, own, "open"},
		{"a foreign one", foreign.web.URL, own, "closed 1006"},
		{"a sandbox", q.web.URL, sandbox, "closed 1006"},
	} {
		t.Log("a page of", test.name)
		b.Do(chromedp.Navigate(test.page), chromedp.WaitVisible("p"))
		b.Eval("(() => { " + test.script + " })()")
		b.until("result", test.want)
	}
	q.handler.Origins = []string{"*"}
	t.Log("the sandbox, where all may connect")
	b.Do(chromedp.Navigate(q.web.URL), chromedp.WaitVisible("p"))
	b.Eval("(() => { " + sandbox + " })()")
	b.until("result", "open")
}

// The guide's script keeps a session in a browser, says what comes and acknowledges it.
func TestGuideInBrowser(t *testing.T) {
	const guide = "../../docs/heartbeats.md"
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```html\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 1 {
		t.Fatalf("%d blocks of HTML in %s, want one", len(blocks), guide)
	}
	const there = "ws://127.0.0.1:9000/ws"
	script := blocks[0][1]
	if strings.Count(script, there) != 1 {
		t.Fatalf("the script does not connect to %s once:\n%s", there, script)
	}
	const most = 2000
	q := newQuay(t, link.Config{Interval: 100 * time.Millisecond, MaxMessage: most / 2, MaxWaiting: most}, func(socket string) string {
		return "<!doctype html><p>guide</p><script>window.logged = []; console.log = text => logged.push(text)</script>\n" +
			strings.Replace(script, there, socket, 1)
	})
	b := launch(t, "ann")
	b.Do(chromedp.Navigate(q.web.URL))
	for begin := time.Now(); q.server.Stats().Beats.Load() < 20; time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatalf("%d beats in %v; sessions %+v", q.server.Stats().Beats.Load(), patience, q.server.Sessions())
		}
	}
	if s := q.server.Sessions(); len(s) != 1 || s[0].ID != "ann" || s[0].State != link.Up || s[0].Transport != "websocket" {
		t.Errorf("sessions %+v, want ann, up", s)
	}
	// More than may wait: what comes has to be acknowledged.
	for i := range 10 {
		said := fmt.Sprintf("%d %s", i, strings.Repeat("x", most/2-10))
		for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			err := q.server.Send("ann", []byte(said))
			if err == nil {
				break
			}
			if !errors.Is(err, link.ErrBehind) || time.Since(begin) > patience {
				t.Fatalf("message %d: %v: the page does not acknowledge", i, err)
			}
		}
		b.until("logged.at(-1)", said)
	}
	b.until("logged.length", "10")
	// A page that is left may be kept for the Back button, with its connection.
	b.Do(chromedp.Navigate("about:blank"))
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if s, _ := q.server.Session("ann"); s.State == link.Away && s.Cause == link.Clean {
			break
		} else if time.Since(begin) > patience {
			t.Fatalf("the page has gone, and the session is %v %v", s.State, s.Cause)
		}
	}
}
