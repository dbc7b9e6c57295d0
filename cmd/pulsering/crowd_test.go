package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// What clients of the HTTP interface may not do, in virtual time: their connections are pipes.

// pipes is a listener for both ends of which the test stands.
type pipes struct {
	come   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{come: make(chan net.Conn, 1000), closed: make(chan struct{})} }

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

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// dial connects, as far as a client can tell: whether it is accepted is another matter.
func (p *pipes) dial() *visitor {
	here, there := net.Pipe()
	p.come <- there
	return &visitor{Conn: here, r: bufio.NewReader(here)}
}

// visitor is a client of the test.
type visitor struct {
	net.Conn
	r      *bufio.Reader
	cutOff atomic.Bool // for one that reads in the background
}

// asks sends a request and returns the status of the answer, having read all of it but events; 0: nobody answers within patience.
func (v *visitor) asks(path string, patience time.Duration) int {
	v.SetDeadline(time.Now().Add(patience))
	defer v.SetDeadline(time.Time{})
	if _, err := fmt.Fprintf(v, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path); err != nil {
		return 0
	}
	answer, err := http.ReadResponse(v.r, nil)
	if err != nil {
		return 0
	}
	if path != "/v1/events" {
		io.Copy(io.Discard, answer.Body)
	}
	return answer.StatusCode
}

// crowd serves a ring to visitors, of whom most are connected at a time.
func crowd(t *testing.T, most int, story func(t *testing.T, door *pipes, f *fakeRing)) {
	synctest.Test(t, func(t *testing.T) {
		door, f := newPipes(), newFakeRing()
		on := newServed(most, serving{}, hclog.NewNullLogger())
		on.serve(door, nil, on.web.Handler())
		on.web.Joined(f)
		defer on.close()
		defer close(f.closed)
		story(t, door, f)
	})
}

// Whoever asks, reads or does nothing for too long gives the connection back.
func TestHTTPEndsTheSlow(t *testing.T) {
	for name, test := range map[string]struct {
		do    func(v *visitor)
		after time.Duration
	}{
		"says nothing":    {func(*visitor) {}, askPatience},
		"never gets done": {func(v *visitor) { io.WriteString(v, "GET /v1/members HTTP/1.1\r\nHost:") }, askPatience},
		"sends a body": {func(v *visitor) {
			io.WriteString(v, "GET /v1/members HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
			http.ReadResponse(v.r, nil)
		}, askPatience},
		"asks no more": {func(v *visitor) {
			v.asks("/v1/members", time.Second)
			time.Sleep(idlePatience - time.Second)
			if code := v.asks("/v1/members", time.Second); code != http.StatusOK {
				panic("cut off before its time")
			}
		}, idlePatience},
		"reads no answer": {func(v *visitor) { io.WriteString(v, "GET /v1/members HTTP/1.1\r\nHost: localhost\r\n\r\n") }, readPatience},
		"reads no events": {func(v *visitor) { io.WriteString(v, "GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n") }, readPatience},
		"reads no event":  {func(v *visitor) { v.asks("/v1/events", time.Second) }, readPatience},
		"reads only events": {func(v *visitor) {
			if code := v.asks("/v1/events", time.Second); code != http.StatusOK {
				panic(code)
			}
			go func() { io.Copy(io.Discard, v.r); v.cutOff.Store(true) }()
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			crowd(t, 8, func(t *testing.T, door *pipes, f *fakeRing) {
				v := door.dial()
				defer v.Close()
				test.do(v)
				began := time.Now()
				if test.after == 0 {
					time.Sleep(24 * time.Hour)
					if v.cutOff.Load() {
						t.Error("one that reads is cut off")
					}
					return
				}
				time.Sleep(test.after + time.Second)
				buf := make([]byte, 1)
				v.SetReadDeadline(time.Now().Add(time.Millisecond))
				var err error
				for err == nil { // the rest of an answer
					_, err = v.Read(buf)
				}
				if !errors.Is(err, io.EOF) {
					t.Errorf("%v after %v; want the end", err, time.Since(began))
				}
			})
		})
	}
}

// Connections are bounded, whoever waits gets the next one, and in a crowd those that do nothing go first.
func TestHTTPIsBounded(t *testing.T) {
	crowd(t, 8, func(t *testing.T, door *pipes, _ *fakeRing) {
		var all []*visitor
		for range 8 {
			all = append(all, door.dial())
		}
		late := door.dial()
		if code := late.asks("/livez", time.Second); code != 0 {
			t.Errorf("the ninth of eight is answered: %d", code)
		}
		late.Close()
		all[3].Close()
		next := door.dial()
		if code := next.asks("/livez", time.Second); code != http.StatusOK {
			t.Errorf("%d for one that came after another had gone", code)
		}
		for _, v := range append(all, next) {
			v.Close()
		}
		synctest.Wait()

		t.Log("eight that are served and stay")
		all = nil
		for range 8 {
			v := door.dial()
			if code := v.asks("/livez", time.Second); code != http.StatusOK {
				t.Errorf("visitor %d: %d", len(all), code)
			}
			all = append(all, v)
		}
		last := door.dial()
		if code := last.asks("/livez", time.Second); code != http.StatusOK {
			t.Errorf("%d where all others are idle", code)
		}
		for _, v := range append(all, last) {
			v.Close()
		}
		synctest.Wait()

		t.Log("once the crowd is gone, connections are kept again")
		v := door.dial()
		defer v.Close()
		for range 2 {
			if code := v.asks("/livez", time.Second); code != http.StatusOK {
				t.Errorf("%d: not kept", code)
			}
		}
	})
}

// Followers of events leave room for questions.
func TestHTTPFollowersAreBounded(t *testing.T) {
	crowd(t, 8, func(t *testing.T, door *pipes, _ *fakeRing) {
		var codes []int
		var all []*visitor
		for range 6 {
			v := door.dial()
			codes = append(codes, v.asks("/v1/events", time.Second))
			if codes[len(codes)-1] == http.StatusOK {
				all = append(all, v)
			} else {
				v.Close()
			}
		}
		if want := []int{200, 200, 200, 200, 503, 503}; !slices.Equal(codes, want) {
			t.Errorf("six followers are answered %v; want %v", codes, want)
		}
		asker := door.dial()
		if code := asker.asks("/v1/members", time.Second); code != http.StatusOK {
			t.Errorf("/v1/members beside as many followers as may: %d", code)
		}
		all[0].Close()
		synctest.Wait()
		v := door.dial()
		if code := v.asks("/v1/events", time.Second); code != http.StatusOK {
			t.Errorf("a follower after another one has gone: %d", code)
		}
		for _, v := range append(all, v, asker) {
			v.Close()
		}
	})
}

// The end of the service waits for nobody who follows events, whether the node has ended or not.
func TestHTTPEndsFollowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		door, f := newPipes(), newFakeRing()
		defer close(f.closed)
		on := newServed(8, serving{}, hclog.NewNullLogger())
		on.serve(door, nil, on.web.Handler())
		on.web.Joined(f)
		v := door.dial()
		defer v.Close()
		if code := v.asks("/v1/events", time.Second); code != http.StatusOK {
			t.Fatal(code)
		}
		go io.Copy(io.Discard, v.r)
		synctest.Wait()
		began := time.Now()
		on.close()
		if d := time.Since(began); d >= time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

// A listener that fails for good is told of.
func TestHTTPListenerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		on := newServed(8, serving{}, hclog.New(&hclog.LoggerOptions{Output: &log}))
		on.serve(brokenListener{newPipes()}, nil, on.web.Handler())
		synctest.Wait()
		on.close()
		if !strings.Contains(log.String(), "HTTP has ended") || !strings.Contains(log.String(), "no such device") {
			t.Errorf("logged %q", log.String())
		}
	})
}

type brokenListener struct{ *pipes }

func (l brokenListener) Accept() (net.Conn, error) { return nil, errors.New("no such device") }
