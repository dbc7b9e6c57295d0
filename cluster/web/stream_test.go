package web

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/internal/record"
)

// pipes is a listener for both ends of which a test stands.
type pipes struct {
	come   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.come:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return loopback }

// follower is a client that follows events. It reads only when the test has it read: its connection holds nothing.
type follower struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	body *bufio.Reader
	id   string // of the last event
}

// streams serves a node that knows of ant on pipes, in virtual time. A pipe is no loopback address, so with a token readers need it.
func streams(t *testing.T, opts Options, story func(t *testing.T, f *fakeNode, s *Server, follow func(header ...string) *follower)) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("ant")
		s := New(opts)
		s.Joined(f)
		door := &pipes{come: make(chan net.Conn, 10), closed: make(chan struct{})}
		server := &http.Server{Handler: s.Handler()}
		done := make(chan struct{})
		go func() { defer close(done); server.Serve(door) }()
		synctest.Wait()
		defer func() {
			s.Close()
			server.Close()
			<-done
		}()
		story(t, f, s, func(header ...string) *follower {
			t.Helper()
			here, there := net.Pipe()
			door.come <- there
			fo := &follower{t: t, conn: here, in: bufio.NewReader(here)}
			fmt.Fprintf(here, "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n%s\r\n", strings.Join(append(header, ""), "\r\n"))
			answer, err := http.ReadResponse(fo.in, nil)
			if err != nil || answer.StatusCode != 200 {
				t.Fatalf("%v %v", answer, err)
			}
			fo.body = bufio.NewReader(answer.Body)
			t.Cleanup(func() { here.Close() })
			return fo
		})
	})
}

// next reads a block of the stream: up to an empty line.
func (fo *follower) next() (block map[string]string, err error) {
	block = map[string]string{}
	for {
		line, err := fo.body.ReadString('\n')
		if err != nil {
			return block, err
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			if id := block["id"]; id != "" {
				fo.id = id
			}
			return block, nil
		}
		name, value, _ := strings.Cut(line, ":")
		block[name] = strings.TrimPrefix(value, " ")
	}
}

// event reads up to the next event, past comments and ids.
func (fo *follower) event() (record.Event, bool) {
	fo.t.Helper()
	for {
		block, err := fo.next()
		if err != nil {
			return record.Event{}, false
		}
		if block["data"] == "" {
			continue
		}
		fits(fo.t, "/components/schemas/Event", []byte(block["data"]))
		var e record.Event
		if err := json.Unmarshal([]byte(block["data"]), &e); err != nil {
			fo.t.Fatalf("%v: %q", err, block)
		}
		if e.Kind != block["event"] {
			fo.t.Errorf("an event %q of kind %q", block["event"], e.Kind)
		}
		return e, true
	}
}

// wants reads events and compares them with "kind member" each.
func (fo *follower) wants(events ...string) {
	fo.t.Helper()
	for _, want := range events {
		e, ok := fo.event()
		if got := e.Kind + " " + e.Member; !ok || got != want {
			fo.t.Errorf("%q (%s), %v; want %q", got, e.Reason, ok, want)
		}
	}
}

// quiet reads what is no event, such as the id behind the present states.
func (fo *follower) quiet(name string) string {
	fo.t.Helper()
	block, err := fo.next()
	if err != nil || block["data"] != "" {
		fo.t.Errorf("%v, %v; want no event", block, err)
	}
	value, ok := block[name]
	if !ok {
		fo.t.Errorf("%v; want %q", block, name)
	}
	return value
}

func TestEventsBeginWithThePresent(t *testing.T) {
	streams(t, Options{}, func(t *testing.T, f *fakeNode, s *Server, follow func(...string) *follower) {
		f.tell(cluster.Up, "bee")
		f.tell(cluster.Down, "bee")
		f.tell(cluster.Updated, "bee", func(m *cluster.Member) { m.Tags = map[string]string{"zone": "new"} })
		f.tell(cluster.Isolated, "")
		f.tell(cluster.Up, "cat")
		f.tell(cluster.Up, "dog")
		f.forget("dog") // of which no event tells
		synctest.Wait()
		fo := follow()
		if got := fo.quiet("retry"); got != "1000" {
			t.Errorf("retry %q", got)
		}
		fo.wants("isolated self", "up ant")
		e, _ := fo.event()
		if e.Kind != "down" || e.Member != "bee" || e.Tags["zone"] != "new" || e.Reason != cluster.ReasonPresent {
			t.Errorf("%+v", e)
		}
		fo.wants("up cat")
		if fo.id != "" {
			t.Errorf("a present state has an id of its own: %q", fo.id)
		}
		fo.quiet("id")

		f.tell(cluster.Connected, "")
		f.tell(cluster.Left, "ant")
		fo.wants("connected self", "left ant")
		lines := follow("Accept: application/x-ndjson")
		for _, want := range []string{"left ant", "down bee", "up cat"} {
			line, err := lines.body.ReadString('\n')
			var e record.Event
			if err != nil || json.Unmarshal([]byte(line), &e) != nil || e.Kind+" "+e.Member != want {
				t.Errorf("%q, %v; want %q", line, err, want)
			}
			fits(t, "/components/schemas/Event", []byte(line))
		}
	})
}

// Who comes back finds what came meanwhile, once, and where that is not known everybody's present state and a word about it.
func TestEventsResume(t *testing.T) {
	streams(t, Options{}, func(t *testing.T, f *fakeNode, s *Server, follow func(...string) *follower) {
		fo := follow()
		fo.wants("up ant")
		fo.quiet("id")
		lone := follow("Last-Event-ID: " + fo.id) // nothing has happened since
		f.tell(cluster.Suspect, "ant")
		fo.wants("suspect ant")
		lone.quiet("retry")
		lone.wants("suspect ant")
		fo.conn.Close()
		f.tell(cluster.Down, "ant")
		f.tell(cluster.Up, "bee")
		synctest.Wait()
		back := follow("Last-Event-ID: " + fo.id)
		back.wants("down ant", "up bee")
		f.tell(cluster.Up, "ant")
		back.wants("up ant")

		process, _, _ := strings.Cut(fo.id, "-")
		for _, id := range []string{"0123456789ab-1", "7", "-", "0123456789ab", process + "-99999", process + "-", process + "--1", process + "-1.0", "\xff<>"} {
			lost := follow("Last-Event-ID: " + id)
			e, _ := lost.event()
			if e.Kind != "gap" || e.Member != "self" || !strings.Contains(e.Reason, "present state follows") || e.Folded != 0 {
				t.Errorf("%q: %+v", id, e)
			}
			lost.wants("up ant", "up bee")
		}
		for i := range historySize + 1 {
			f.tell(cluster.Updated, "ant", func(m *cluster.Member) { m.Tags = map[string]string{"n": fmt.Sprint(i)} })
		}
		synctest.Wait()
		late := follow("Last-Event-ID: " + back.id)
		e, _ := late.event()
		if e.Kind != "gap" || e.Folded != historySize+1 || !strings.Contains(e.Reason, "away for longer") {
			t.Errorf("%+v", e)
		}
		e, _ = late.event()
		if e.Kind != "up" || e.Member != "ant" || e.Tags["n"] != fmt.Sprint(historySize) {
			t.Errorf("after the gap: %+v", e)
		}
		late.wants("up bee")
	})
}

// One that is slow is told how many events it misses. Others notice nothing, and what it costs does not grow.
func TestEventsSlowReader(t *testing.T) {
	streams(t, Options{}, func(t *testing.T, f *fakeNode, s *Server, follow func(...string) *follower) {
		slow, quick := follow(), follow()
		for _, fo := range []*follower{slow, quick} {
			fo.wants("up ant")
			fo.quiet("id")
		}
		for i := range 3 * historySize {
			f.tell(cluster.Updated, "ant", func(m *cluster.Member) { m.Tags = map[string]string{"n": fmt.Sprint(i)} })
			if e, _ := quick.event(); e.Tags["n"] != fmt.Sprint(i) {
				t.Fatalf("%d: %+v", i, e)
			}
		}
		seen, missed := 0, 0
		for {
			e, ok := slow.event()
			if !ok {
				t.Fatal("cut off though it took no time")
			}
			if e.Kind == "gap" {
				missed = e.Folded
				if !strings.Contains(e.Reason, "slower than events came") {
					t.Errorf("%+v", e)
				}
				continue
			}
			if missed > 0 {
				if e.Reason != cluster.ReasonPresent || e.Tags["n"] != fmt.Sprint(3*historySize-1) {
					t.Errorf("after the gap: %+v", e)
				}
				break
			}
			seen++
		}
		if seen == 0 || seen+missed != 3*historySize {
			t.Errorf("%d seen and %d missed of %d", seen, missed, 3*historySize)
		}
		f.tell(cluster.Left, "ant")
		slow.quiet("id")
		slow.wants("left ant")
	})
}

// One that takes nothing is cut off, and one that has nothing to take is not.
func TestEventsStuckReader(t *testing.T) {
	streams(t, Options{Streams: 1}, func(t *testing.T, f *fakeNode, s *Server, follow func(...string) *follower) {
		stuck := follow()
		time.Sleep(readPatience + time.Second)
		if _, err := io.Copy(io.Discard, stuck.conn); err != nil && !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		patient := follow()
		patient.quiet("retry")
		patient.wants("up ant")
		patient.quiet("id")
		began := time.Now()
		for range 100 {
			patient.quiet("") // a comment
		}
		if d := time.Since(began); d != 100*heartbeat {
			t.Errorf("100 heartbeats in %v", d)
		}
		time.Sleep(heartbeat / 2)
		f.tell(cluster.Down, "ant")
		patient.wants("down ant")
		began = time.Now()
		patient.quiet("")
		if d := time.Since(began); d != heartbeat/2 {
			t.Errorf("a heartbeat %v after an event", d)
		}
		wants(t, get(t, s, "/v1/events"), http.StatusServiceUnavailable, "1 clients follow")
		if w := get(t, s, "/v1/events"); w.Header().Get("Retry-After") == "" {
			t.Error("nothing says when to come again")
		}
	})
}

// Streams end with the node, after what is pending, with the server, and with the token.
func TestEventsEnd(t *testing.T) {
	var token atomic.Value
	token.Store("")
	now := func() string { return token.Load().(string) }
	streams(t, Options{Token: now}, func(t *testing.T, f *fakeNode, s *Server, follow func(...string) *follower) {
		fo := follow()
		fo.wants("up ant")
		f.tell(cluster.Left, "ant")
		f.close()
		fo.wants("left ant")
		if e, ok := fo.event(); ok {
			t.Errorf("%+v after the end", e)
		}
		if w := get(t, s, "/v1/members"); w.Code != 200 {
			t.Errorf("of a node that has ended: %d %s", w.Code, w.Body)
		}
		wants(t, get(t, s, "/readyz"), http.StatusServiceUnavailable, "ended")
	})
	streams(t, Options{}, func(t *testing.T, f *fakeNode, s *Server, follow func(...string) *follower) {
		fo := follow()
		fo.wants("up ant")
		go s.Close()
		if e, ok := fo.event(); ok {
			t.Errorf("%+v after the end", e)
		}
	})
	token.Store(goodToken)
	streams(t, Options{Token: now}, func(t *testing.T, f *fakeNode, s *Server, follow func(...string) *follower) {
		fo := follow("Authorization: Bearer " + goodToken)
		fo.wants("up ant")
		fo.quiet("id")
		fo.quiet("")
		token.Store(strings.Repeat("x", ShortestToken))
		if block, err := fo.next(); err == nil {
			t.Errorf("%q after the token was changed", block)
		}
	})
}

// A token that does not hold any more ends its stream, also one on which events never rest.
func TestEventsAskForTheToken(t *testing.T) {
	var token atomic.Value
	token.Store(goodToken)
	now := func() string { return token.Load().(string) }
	streams(t, Options{Token: now}, func(t *testing.T, f *fakeNode, s *Server, follow func(...string) *follower) {
		fo := follow("Authorization: Bearer " + goodToken)
		fo.wants("up ant")
		fo.quiet("id")
		token.Store(strings.Repeat("x", ShortestToken))
		began := time.Now()
		for time.Since(began) < 10*heartbeat {
			f.tell(cluster.Updated, "ant")
			if _, ok := fo.event(); !ok {
				break
			}
			time.Sleep(heartbeat / 20)
		}
		if took := time.Since(began); took > heartbeat {
			t.Errorf("the stream ended after %v, want %v", took, heartbeat)
		}
	})
}

// HEAD is answered with the header that GET has, and follows nothing.
func TestEventsHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("ant")
		s := New(Options{Streams: 1})
		s.Joined(f)
		defer func() { f.close(); s.Close() }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		for range 2 { // the first has not taken the only place
			began, w := time.Now(), httptest.NewRecorder()
			s.Handler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, "HEAD", "http://localhost/v1/events", nil))
			if took := time.Since(began); took > 0 || w.Code != 200 || w.Body.Len() > 0 ||
				w.Header().Get("Content-Type") != eventStream {
				t.Errorf("%d %v %q after %v", w.Code, w.Header(), w.Body, took)
			}
		}
	})
}

// A stream lasts, whether or not there are events, over HTTP/1.1 and over HTTP/2, which ends a
// stream at its deadline although nothing is being written. A reader who takes nothing is cut off.
func TestEventsLastOverBothVersions(t *testing.T) {
	certificate := httptest.NewUnstartedServer(nil)
	certificate.EnableHTTP2 = true
	certificate.StartTLS()
	config := certificate.TLS.Clone()
	certificate.Close()
	for version, protocols := range map[string][]string{"HTTP/1.1": {"http/1.1"}, "HTTP/2.0": {"h2"}} {
		t.Run(version, func(t *testing.T) {
			streams(t, Options{}, func(t *testing.T, f *fakeNode, s *Server, _ func(...string) *follower) {
				config := config.Clone()
				config.NextProtos = protocols
				door := &pipes{come: make(chan net.Conn, 1), closed: make(chan struct{})}
				server := &http.Server{Handler: s.Handler(), TLSConfig: config}
				done := make(chan struct{})
				go func() { defer close(done); server.ServeTLS(door, "", "") }()
				transport := &http.Transport{
					TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
					ForceAttemptHTTP2: true,
					DialContext: func(context.Context, string, string) (net.Conn, error) {
						here, there := net.Pipe()
						door.come <- there
						return here, nil
					},
				}
				defer func() {
					transport.CloseIdleConnections()
					server.Close()
					<-done
				}()
				answer, err := (&http.Client{Transport: transport}).Get("https://localhost/v1/events")
				if err != nil {
					t.Fatal(err)
				}
				defer answer.Body.Close()
				if answer.Proto != version {
					t.Fatalf("%s", answer.Proto)
				}
				fo := &follower{t: t, body: bufio.NewReader(answer.Body)}
				fo.quiet("retry")
				fo.wants("up ant")
				fo.quiet("id")
				for range 10 {
					fo.quiet("") // a comment
				}
				time.Sleep(heartbeat - time.Second)
				f.tell(cluster.Down, "ant")
				fo.wants("down ant")
				long := map[string]string{"x": strings.Repeat("x", 16<<10)}
				for range historySize / 2 { // 8 MB: a client over HTTP/2 takes 4 that nobody reads
					f.tell(cluster.Updated, "ant", func(m *cluster.Member) { m.Tags = long })
				}
				time.Sleep(2 * readPatience)
				if _, err := io.Copy(io.Discard, answer.Body); err == nil {
					t.Error("a stream that nobody read ended well")
				}
			})
		})
	}
}

// Members that come and are forgotten leave nothing behind, though nobody follows.
func TestEventsForget(t *testing.T) {
	f := newFake("ant")
	feed := newFeed(&view{node: f}, f.Self)
	for i := range 5000 {
		name := fmt.Sprint("short-lived-", i)
		f.forget(fmt.Sprint("short-lived-", i-10))
		f.others[name] = member(name)
		feed.view.changed()
		feed.publish(cluster.Event{Kind: cluster.Up, Member: member(name)})
	}
	if n := len(feed.standing); n > 200 {
		t.Errorf("%d are kept of 10", n)
	}
	if all, head := feed.begin(); len(all) != 10 || head != 5000 {
		t.Errorf("a reader begins with %d, at %d", len(all), head)
	}
}

// The ways in which a client may name the two forms.
func TestEventsAccept(t *testing.T) {
	for accept, want := range map[string]string{
		"": eventStream, "*/*": eventStream, "text/event-stream": eventStream, "text/html, text/*;q=0.5": eventStream,
		"application/x-ndjson": jsonLines, "text/event-stream, application/x-ndjson": jsonLines, "application/X-NDJSON; charset=utf-8": jsonLines,
		"application/json": "", "image/png": "", ";;": "",
	} {
		r := &http.Request{Header: http.Header{}}
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		if got := streamType(r); got != want {
			t.Errorf("%q: %q; want %q", accept, got, want)
		}
	}
}

func FuzzLastEventID(f *testing.F) {
	node := newFake("ant")
	feed := newFeed(&view{node: node}, node.Self)
	for range 5 {
		feed.publish(cluster.Event{Kind: cluster.Up, Member: member("ant")})
	}
	for _, id := range []string{"", "-", feed.id(3), feed.id(6), feed.process + "-18446744073709551616", "x-3"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		n, err := feed.number(id)
		if (err == nil) != (n > 0 || id == feed.id(0)) || n > 5 {
			t.Errorf("%q: %d, %v", id, n, err)
		}
	})
}
