package link_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/tcp"
	"github.com/pulsering/pulsering/detector/link/ws"
)

// quay is a server on a port of loopback, for sessions in TLS, and the sockets below these.
type quay struct {
	t      *testing.T
	kind   string // "wss" or "tls"
	server *link.Server
	addr   string
	trust  *tls.Config // of clients

	mu     sync.Mutex
	events []string
	got    []string // messages to the server
	near   []*socket
	resets []string // errors of sockets that say reset or broken pipe
	rate   atomic.Int64
}

// socket is a TCP connection whose errors are noted, and which may be read slowly.
type socket struct {
	*net.TCPConn
	q    *quay
	side string
	rate *atomic.Int64 // bytes a second; 0: as they come
}

func (s *socket) note(err error) {
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		s.q.mu.Lock()
		s.q.resets = append(s.q.resets, s.side+": "+err.Error())
		s.q.mu.Unlock()
	}
}

func (s *socket) Read(b []byte) (int, error) {
	if s.rate != nil {
		if rate := s.rate.Load(); rate > 0 {
			b = b[:min(len(b), 4096)]
			time.Sleep(time.Duration(len(b)) * time.Second / time.Duration(rate))
		}
	}
	n, err := s.TCPConn.Read(b)
	s.note(err)
	return n, err
}

func (s *socket) Write(b []byte) (int, error) {
	n, err := s.TCPConn.Write(b)
	s.note(err)
	return n, err
}

// socketListener has small buffers, so that what a slow reader has not read waits in the server.
type socketListener struct {
	net.Listener
	q *quay
}

func (l socketListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := conn.(*net.TCPConn)
	return &socket{TCPConn: c, q: l.q, side: "server"}, c.SetWriteBuffer(32 << 10)
}

// selfSigned is a certificate for 127.0.0.1, and who trusts it.
func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "quay"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// atQuays runs a story over each way to carry sessions in TLS.
func atQuays(t *testing.T, cfg link.Config, story func(*testing.T, *quay)) {
	for _, kind := range []string{"wss", "tls"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel() // it waits, for the most part
			cfg := cfg
			q := &quay{t: t, kind: kind}
			cert, pool := selfSigned(t)
			q.trust = &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
			cfg.MaxMessage = 16 << 20
			cfg.Receive = func(session string, data []byte) {
				q.mu.Lock()
				q.got = append(q.got, session+": "+string(data))
				q.mu.Unlock()
			}
			var err error
			if q.server, err = link.NewServer(cfg); err != nil {
				t.Fatal(err)
			}
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			q.addr = listener.Addr().String()
			events := q.server.Events(context.Background())
			var wg sync.WaitGroup
			wg.Go(func() {
				for e := range events {
					q.mu.Lock()
					q.events = append(q.events, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Session.ID, e.Kind(), e.Session.Cause)))
					q.mu.Unlock()
				}
			})
			inTLS := tls.NewListener(socketListener{listener, q}, &tls.Config{Certificates: []tls.Certificate{cert}})
			handler := &ws.Handler{Server: q.server, MaxMessage: cfg.MaxMessage}
			web := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
			wg.Go(func() {
				if kind == "wss" {
					web.Serve(inTLS)
					return
				}
				for {
					conn, err := inTLS.Accept()
					if err != nil {
						return
					}
					wg.Go(func() { q.server.Serve(context.Background(), tcp.NewServer(conn, cfg.MaxMessage)) })
				}
			})
			defer wg.Wait()
			defer listener.Close()
			defer web.Close()
			defer handler.Close()
			defer q.server.Close()
			story(t, q)
		})
	}
}

// dial makes a connection as a client does.
func (q *quay) dial(ctx context.Context) (link.Transport, error) {
	tcpDial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c := conn.(*net.TCPConn)
		s := &socket{TCPConn: c, q: q, side: "client", rate: &q.rate}
		q.mu.Lock()
		q.near = append(q.near, s)
		q.mu.Unlock()
		return s, c.SetReadBuffer(32 << 10)
	}
	if q.kind == "wss" {
		c, err := ws.Dialer{TLS: q.trust, NetDial: tcpDial, MaxMessage: 16 << 20}.Dial(ctx, "wss://"+q.addr+"/")
		if err != nil {
			return nil, err
		}
		return c, nil
	}
	conn, err := tcpDial(ctx, "tcp", q.addr)
	if err != nil {
		return nil, err
	}
	secure := tls.Client(conn, q.trust)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return tcp.New(secure, 16<<20), nil
}

// drop resets the sockets of the clients, below TLS.
func (q *quay) drop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.near {
		s.SetLinger(0)
		s.TCPConn.Close()
	}
	q.near = nil
}

// until waits for what the machine may take its time for.
func (q *quay) until(what string, ok func() bool) {
	q.t.Helper()
	for begin := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > 30*time.Second {
			q.mu.Lock()
			defer q.mu.Unlock()
			q.t.Fatalf("%s: it is not so after half a minute; events %q, resets %q", what, q.events, q.resets)
		}
	}
}

func (q *quay) told() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.events)
}

// want waits for as many events, and checks them.
func (q *quay) want(events ...string) {
	q.t.Helper()
	q.until(fmt.Sprintf("events %q", events), func() bool { return len(q.told()) >= len(events) })
	if got := q.told(); !slices.Equal(got, events) {
		q.t.Fatalf("events %q, want %q", got, events)
	}
}

// noReset checks that no socket was reset.
func (q *quay) noReset() {
	q.t.Helper()
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.resets) > 0 {
		q.t.Errorf("sockets were reset: %q", q.resets)
	}
}

// A session in TLS is up, has messages go both ways, takes a long one slowly, survives a drop and says
// goodbye, as one without does.
func TestSessionInTLS(t *testing.T) {
	atQuays(t, link.Config{}, func(t *testing.T, q *quay) {
		var mu sync.Mutex
		var got [][]byte
		count := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(got)
		}
		c, err := link.Dial(t.Context(), link.Config{Session: "ann", MaxMessage: 16 << 20, Receive: func(_ string, data []byte) {
			mu.Lock()
			got = append(got, data)
			mu.Unlock()
		}}, q.dial)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		q.want("ann up")
		if err := errors.Join(c.Send([]byte("up")), q.server.Send("ann", []byte("down"))); err != nil {
			t.Fatal(err)
		}
		q.until("a message each way", func() bool {
			q.mu.Lock()
			defer q.mu.Unlock()
			return len(q.got) == 1 && count() == 1
		})
		q.until("beats", func() bool { return q.server.Stats().Beats.Load() >= 3 })
		if s, _ := q.server.Session("ann"); s.RTT <= 0 || s.Phi > 3 {
			t.Errorf("%+v: want a round-trip time, and no doubt", s)
		}

		// So slowly that no answer to a ping can come within what is ordinary: what is in the buffers goes
		// first. It is the pieces that are written which tell of life.
		const size, rate = 1 << 20, 128 << 10
		long := bytes.Repeat([]byte("pulsering"), size/9)
		q.rate.Store(rate)
		pings := q.server.Stats().Pings.Load()
		begin := time.Now()
		if err := q.server.Send("ann", long); err != nil {
			t.Fatal(err)
		}
		q.until("the long message", func() bool { return count() == 2 })
		took := time.Since(begin)
		q.rate.Store(0)
		pings = q.server.Stats().Pings.Load() - pings
		t.Logf("%d KB in %v, with %d pings in between", size>>10, took, pings)
		if !bytes.Equal(got[1], long) || took < size/rate*time.Second || pings < 5 {
			t.Errorf("%d bytes in %v with %d pings, want %d in 8 s with some", len(got[1]), took, pings, len(long))
		}
		// A machine that is busy may stop it all for longer than is ordinary. Then it is slow, and not dead.
		var doubts []string
		for _, e := range q.told()[1:] {
			if !strings.HasPrefix(e, "ann suspect") && e != "ann up" {
				t.Fatalf("events %q", q.told())
			}
			doubts = append(doubts, e)
		}
		if len(doubts) > 0 {
			t.Logf("doubts: %q", doubts)
		}
		q.until("no doubt", func() bool { told := q.told(); return told[len(told)-1] == "ann up" })
		q.mu.Lock()
		q.events = q.events[:1]
		q.mu.Unlock()

		q.drop()
		if err := errors.Join(c.Send([]byte("again up")), q.server.Send("ann", []byte("again down"))); err != nil {
			t.Fatal(err)
		}
		q.want("ann up", "ann away clean", "ann resumed")
		q.until("the messages that were sent meanwhile", func() bool {
			q.mu.Lock()
			defer q.mu.Unlock()
			return len(q.got) == 2 && count() == 3
		})
		q.mu.Lock()
		q.resets = nil
		if want := []string{"ann: up", "ann: again up"}; !slices.Equal(q.got, want) {
			t.Errorf("the server got %q, want %q", q.got, want)
		}
		q.mu.Unlock()
		c.Close()
		q.want("ann up", "ann away clean", "ann resumed", "ann gone clean")
		q.noReset()
	})
}

// A goodbye in the middle of traffic is one, from whichever end: no socket is reset, below which a last
// word could be lost.
func TestGoodbyesInTLS(t *testing.T) {
	atQuays(t, link.Config{}, func(t *testing.T, q *quay) {
		for i := range 20 {
			name := fmt.Sprint("s", i)
			c, err := link.Dial(t.Context(), link.Config{Session: name}, q.dial)
			if err != nil {
				t.Fatal(err)
			}
			for range 40 { // which are acknowledged all the time, also when the end comes
				c.Send([]byte("up"))
				q.server.Send(name, []byte("down"))
				time.Sleep(time.Millisecond / 2)
			}
			want := "clean"
			if i%2 == 0 {
				want = "local"
				if err := q.server.End(name); err != nil {
					t.Fatal(err)
				}
				q.until("the client's end", func() bool { return c.State() == link.Gone })
				var closed *link.CloseError
				if err := c.Err(); !errors.As(err, &closed) || closed.Code != link.CodeNormal {
					t.Errorf("the client was told %v, want a goodbye", err)
				}
			}
			c.Close()
			q.until("the goodbye", func() bool { s, _ := q.server.Session(name); return s.State == link.Gone })
			if s, _ := q.server.Session(name); s.Cause.String() != want {
				t.Errorf("%s is gone, %v; want %s", name, s.Cause, want)
			}
		}
		q.noReset()
	})
}

// The kernel's word on a socket is heard through TLS: who reads and is silent is stuck, and whose host has
// no room for more is slow.
func TestEvidenceInTLS(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads TCP_INFO")
	}
	for _, want := range []string{"stuck", "slow"} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			atQuays(t, link.Config{}, func(t *testing.T, q *quay) {
				c, err := q.dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if k, err := tcp.ReadKeepAlive(c.NetConn()); err != nil || k.Off {
					t.Errorf("keep-alive of the socket below TLS: %+v, %v; Go has it on", k, err)
				}
				if err := c.Write(link.Frame{Type: link.Text, Payload: []byte(`{"type":"hello","session":"ann"}`)}); err != nil {
					t.Fatal(err)
				}
				for pings := 0; pings < 4; { // then it answers no more
					f, err := c.Read()
					if err != nil {
						t.Fatal(err)
					}
					if f.Type == link.Ping {
						pings++
						c.Write(link.Frame{Type: link.Pong, Payload: f.Payload})
					}
				}
				if want == "slow" {
					q.server.Send("ann", make([]byte, 8<<20)) // and reads no more
				} else {
					go io.Copy(io.Discard, c.NetConn())
				}
				q.until("away", func() bool { s, _ := q.server.Session("ann"); return s.State == link.Away })
				if s, _ := q.server.Session("ann"); s.Cause.String() != want {
					t.Errorf("away, %v; want %s; events %q", s.Cause, want, q.told())
				}
			})
		})
	}
}

// Who does not trust the certificate learns that it is this, and the server goes on.
func TestUntrustedCertificate(t *testing.T) {
	atQuays(t, link.Config{}, func(t *testing.T, q *quay) {
		trust := q.trust
		q.trust = &tls.Config{ServerName: "127.0.0.1"}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err := link.Dial(ctx, link.Config{}, q.dial)
		var unknown x509.UnknownAuthorityError
		if !errors.As(err, &unknown) {
			t.Errorf("%v: want an unknown authority", err)
		}
		q.trust = trust
		c, err := link.Dial(t.Context(), link.Config{Session: "ann"}, q.dial)
		if err != nil {
			t.Fatal(err)
		}
		q.want("ann up")
		c.Close()
	})
}
