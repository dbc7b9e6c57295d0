package link

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// inMemory is a connection whose other end answers each ping at once while it lives.
type inMemory struct {
	frames chan Frame
	over   chan struct{}
	end    sync.Once
	dead   atomic.Bool
	unread atomic.Bool
}

func newInMemory() *inMemory {
	return &inMemory{frames: make(chan Frame, 1), over: make(chan struct{})}
}

func (m *inMemory) Read() (Frame, error) {
	select {
	case f := <-m.frames:
		return f, nil
	case <-m.over:
		return Frame{}, io.EOF
	}
}

func (m *inMemory) Write(f Frame) error {
	if f.Type == Ping && !m.dead.Load() {
		m.frames <- Frame{Type: Pong, Payload: f.Payload}
	}
	return nil
}

func (m *inMemory) Written() uint64   { return 0 }
func (m *inMemory) NetConn() net.Conn { return nil }
func (m *inMemory) Remote() string    { return "memory" }
func (m *inMemory) Kind() string      { return "memory" }
func (m *inMemory) Unread() bool      { return m.unread.Load() }
func (m *inMemory) Close() error      { m.end.Do(func() { close(m.over) }); return nil }

// inSilence runs a story of one session, up for ten seconds, whose server pings it only when ping is called.
func inSilence(t *testing.T, story func(s *Server, m *inMemory, ping func(), state func() State)) {
	synctest.Test(t, func(t *testing.T) {
		s, err := NewServer(Config{})
		if err != nil {
			t.Fatal(err)
		}
		m := newInMemory()
		var wg sync.WaitGroup
		wg.Go(func() { s.Serve(context.Background(), m) })
		time.Sleep(10 * time.Second)
		s.mu.Lock()
		var l *served
		for _, l = range s.links {
		}
		s.mu.Unlock()
		hold := func() { s.rounds.add(l, time.Now(), 24*time.Hour) }
		hold()
		ping := func() {
			s.round(l, time.Now())
			hold()
		}
		story(s, m, ping, func() State {
			synctest.Wait()
			for _, one := range s.Sessions() {
				return one.State
			}
			return Gone
		})
		s.Close()
		wg.Wait()
	})
}

// A server that is overloaded pings late: nobody's silence meanwhile is held against it. Who dies is found all the same.
func TestLatePingsSuspectNobody(t *testing.T) {
	for _, every := range []time.Duration{1500 * time.Millisecond, 4 * time.Second, 30 * time.Second} {
		inSilence(t, func(s *Server, m *inMemory, ping func(), state func() State) {
			for range 100 {
				for range 10 {
					time.Sleep(every / 10)
					if got := state(); got != Up {
						t.Fatalf("pinged every %v and answering at once: %v", every, got)
					}
				}
				ping()
			}
			m.dead.Store(true)
			begin := time.Now()
			for n := 0; state() < Away && n < 200; n++ {
				if n%10 == 0 {
					ping()
				}
				time.Sleep(every / 10)
			}
			took := time.Since(begin)
			t.Logf("pinged every %v: its death is found after %v", every, took)
			if took > 10*every {
				t.Errorf("pinged every %v: its death is found after %v", every, took)
			}
		})
	}
}

// What came and was not read yet is no silence of the other end.
func TestUnreadIsNoSilence(t *testing.T) {
	inSilence(t, func(s *Server, m *inMemory, ping func(), state func() State) {
		m.dead.Store(true)
		m.unread.Store(true)
		for range 60 {
			time.Sleep(time.Second)
			ping()
			if got := state(); got != Up {
				t.Fatalf("its bytes wait to be read, and it is %v", got)
			}
		}
		m.unread.Store(false)
		begin := time.Now()
		for state() != Away {
			time.Sleep(100 * time.Millisecond)
			if time.Since(begin) > 10*time.Second {
				t.Fatal("it is not found once all is read")
			}
		}
	})
}
