package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pulsering/pulsering/detector/link"
)

// minIdle is the shortest idle limit that the show is for: a busy machine is late by some tens of
// milliseconds, and three beats have to fit.
const minIdle = 300 * time.Millisecond

// lane is one of the three ways to be connected.
type lane int

const (
	silent lane = iota // lines of text and no beats
	plain              // lines of text, PING and PONG
	linked             // package link
	lanes
)

var laneNames = [lanes]string{"no beats", "PING / PONG", "detector/link"}

// result is which messages were said, and which of these the client knows that the server heard.
type result struct {
	said  int
	heard [lanes][]string
}

// stage is what the acts of the show have in common.
type stage struct {
	screen *screen
	idle   time.Duration
	wg     sync.WaitGroup
	failed chan error

	proxies [lanes]*proxy
	plain   [lanes]*plainClient // of silent and plain
	link    *link.Client

	mu    sync.Mutex
	up    [lanes]bool
	heard [lanes]map[string]bool
	said  int
}

// show plays all acts, and returns what came of the messages.
func show(ctx context.Context, idle time.Duration, screen *screen) (result, error) {
	ctx, stop := context.WithCancel(ctx)
	s := &stage{screen: screen, idle: idle, failed: make(chan error, lanes)}
	defer s.wg.Wait()
	defer stop()
	defer screen.begin()()
	defer s.end()
	if err := s.build(ctx); err != nil {
		return result{}, err
	}
	acts := []func(context.Context) error{
		s.connected,
		s.speak,
		func(ctx context.Context) error { return s.pause(ctx, idle*5/4, "nobody says anything") },
		s.speak,
		func(ctx context.Context) error { return s.pause(ctx, idle/8, "") },
		s.drop,
		s.connected,
		s.speak,
	}
	for _, act := range acts {
		if err := act(ctx); err != nil {
			return s.result(), err
		}
	}
	heard := func() bool { return len(s.heard[linked]) == s.said }
	if _, err := s.until(ctx, patience, heard); err != nil {
		return s.result(), err
	}
	r := s.result()
	screen.end(r)
	return r, nil
}

// end ends the clients and proxies that build started; the servers end with its context.
func (s *stage) end() {
	if s.link != nil {
		s.link.Close()
	}
	for _, p := range s.proxies {
		if p != nil {
			p.close()
		}
	}
}

// build starts a server, a proxy and a client in each lane.
func (s *stage) build(ctx context.Context) error {
	beat := s.idle / 3 // one that is lost is no harm
	cfg := link.Config{Interval: beat}
	serve := [lanes]func(net.Listener) error{
		silent: func(l net.Listener) error { return servePlain(ctx, l, 0) },
		plain:  func(l net.Listener) error { return servePlain(ctx, l, 3*beat) },
		linked: func(l net.Listener) error { return serveLink(ctx, l, cfg) },
	}
	for i := range lanes {
		server, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		door, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			server.Close()
			return err
		}
		s.wg.Go(func() { s.failed <- serve[i](server) })
		s.proxies[i] = newProxy(door, server.Addr().String(), s.idle, func() {
			s.screen.note(bad, "the proxy has forgotten a connection (%s), and tells nobody", laneNames[i])
		})
		s.heard[i] = map[string]bool{}
	}
	for i, every := range []time.Duration{silent: 0, plain: beat} {
		i := lane(i)
		c := &plainClient{
			addr: s.proxies[i].listener.Addr().String(), every: every,
			connected: func() { s.change(i, true, good, "connected") },
			lost:      func(err error) { s.change(i, false, bad, "lost: "+short(err)) },
			pong: func(rtt time.Duration) {
				if every > 0 {
					s.screen.tell(i, dim, "PONG after "+ms(rtt))
				}
			},
			heard: func(line string) { s.hear(i, line) },
		}
		s.plain[i] = c
		s.wg.Go(func() { c.stay(ctx) })
	}
	client := link.Config{
		Interval: beat,
		Receive:  func(_ string, data []byte) { s.hear(linked, string(data)) },
	}
	var err error
	s.link, err = dialLink(ctx, s.proxies[linked].listener.Addr().String(), client)
	if err != nil {
		return err
	}
	s.change(linked, true, good, "up")
	events := s.link.Events(ctx)
	s.wg.Go(func() {
		for e := range events {
			up := e.Session.State == link.Up
			paint := bad
			if up {
				paint = good
			}
			s.change(linked, up, paint, strings.TrimSpace(e.Kind()+" "+e.Session.Cause.String()))
		}
	})
	s.wg.Go(func() { s.showBeats(ctx, beat) })
	return nil
}

// showBeats tells of the heartbeats of the linked lane.
func (s *stage) showBeats(ctx context.Context, every time.Duration) {
	var before time.Duration
	for ctx.Err() == nil {
		sleep(ctx, every/8)
		if now := s.link.Session(); now.RTT != before && now.State == link.Up {
			before = now.RTT
			s.screen.tell(linked, dim, "PONG after "+ms(now.RTT))
		}
	}
}

func (s *stage) change(i lane, up bool, paint paint, text string) {
	s.mu.Lock()
	s.up[i] = up
	s.mu.Unlock()
	s.screen.tell(i, paint, text)
}

func (s *stage) hear(i lane, line string) {
	s.mu.Lock()
	s.heard[i][strings.TrimPrefix(line, "heard ")] = true
	s.mu.Unlock()
	s.screen.tell(i, good, line)
}

// patience is how long the show waits for what takes as long as it takes on a busy machine.
const patience = 40 * time.Second

// until waits for ok, which is asked with s.mu held.
func (s *stage) until(ctx context.Context, most time.Duration, ok func() bool) (bool, error) {
	for begin := time.Now(); ; sleep(ctx, 10*time.Millisecond) {
		s.mu.Lock()
		done := ok()
		s.mu.Unlock()
		if done {
			return true, nil
		}
		if time.Since(begin) > most {
			return false, nil
		}
		if err := ctx.Err(); err != nil {
			return false, err
		}
		select {
		case err := <-s.failed:
			return false, fmt.Errorf("a server of the show ended: %w", err)
		default:
		}
	}
}

// connected waits for all clients to be connected.
func (s *stage) connected(ctx context.Context) error {
	ok, err := s.until(ctx, patience, func() bool { return s.up == [lanes]bool{true, true, true} })
	if err == nil && !ok {
		err = fmt.Errorf("not all clients are connected after %v: is the machine very busy?", patience)
	}
	return err
}

// speak has each client say a message, and tells which answers stay out.
func (s *stage) speak(ctx context.Context) error {
	s.mu.Lock()
	s.said++
	m := fmt.Sprintf("%q", s.word(s.said))
	s.mu.Unlock()
	for i := range lanes {
		s.screen.tell(i, normal, "says "+m)
		if err := s.say(i, m); err != nil {
			s.screen.tell(i, bad, err.Error()+": lost")
		}
	}
	answered := func(i lane) func() bool { return func() bool { return s.heard[i][m] } }
	for i := range lanes {
		if !s.isUp(i) {
			continue
		}
		ok, err := s.until(ctx, answerTime, answered(i))
		if err != nil {
			return err
		}
		if !ok {
			s.screen.tell(i, bad, "no answer, no error")
		}
	}
	return nil
}

// answerTime is after how long an answer is missed.
const answerTime = time.Second

// word is what is said the n-th time.
func (s *stage) word(n int) string {
	return []string{"hello", "are you there?", "wait…", "and now?"}[n-1]
}

func (s *stage) isUp(i lane) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.up[i]
}

func (s *stage) say(i lane, m string) error {
	if i == linked {
		return s.link.Send([]byte(m))
	}
	return s.plain[i].say(m)
}

// drop has nobody get through for a while, in which all speak.
func (s *stage) drop(ctx context.Context) error {
	s.screen.note(bad, "the proxy cuts all connections, and lets none through for a while")
	for _, p := range s.proxies {
		p.cut()
	}
	if _, err := s.until(ctx, patience, func() bool { return s.up == [lanes]bool{} }); err != nil {
		return err
	}
	if err := s.speak(ctx); err != nil {
		return err
	}
	if err := s.pause(ctx, min(s.idle/2, 3*time.Second), ""); err != nil {
		return err
	}
	s.screen.note(good, "the proxy lets connections through again")
	for _, p := range s.proxies {
		p.restore()
	}
	return nil
}

// pause lets d go by.
func (s *stage) pause(ctx context.Context, d time.Duration, why string) error {
	if why != "" {
		s.screen.note(dim, "%s for %v", why, d)
		s.screen.count(time.Now().Add(d))
	}
	_, err := s.until(ctx, d, func() bool { return false })
	return err
}

// result is what came of it so far.
func (s *stage) result() result {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := result{said: s.said}
	for i := range lanes {
		r.heard[i] = slices.Sorted(maps.Keys(s.heard[i]))
	}
	return r
}

// short is the end of a chain of errors.
func short(err error) string {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "no PONG"
	}
	text := err.Error()
	return text[strings.LastIndex(text, ": ")+1:]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
