package check

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// looked is the outcome of one check of page within limit: "" for well.
func looked(t *testing.T, page string, limit time.Duration) string {
	t.Helper()
	check, err := HTTP(page)
	if err != nil {
		t.Fatal(err)
	}
	if err := once(t.Context(), limit, check); err != nil {
		return reason(err)
	}
	return ""
}

// serve answers with raw bytes, and then does what is told with the connection.
func serve(t *testing.T, then func(ctx context.Context, conn net.Conn)) (page string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			conn.Read(make([]byte, 4096)) // the question
			then(ctx, conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() { cancel(); l.Close(); <-ended })
	return "http://" + l.Addr().String() + "/healthz"
}

// drip writes text byte by byte until nobody reads.
func drip(ctx context.Context, conn net.Conn, text string, every time.Duration) {
	for i := 0; ; i = (i + 1) % len(text) {
		if _, err := conn.Write([]byte{text[i]}); err != nil {
			return
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return
		}
	}
}

func TestHTTPServers(t *testing.T) {
	t.Parallel()
	var hops atomic.Int32
	web := http.NewServeMux()
	web.HandleFunc("/ok", func(http.ResponseWriter, *http.Request) {})
	web.HandleFunc("/created", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) })
	web.HandleFunc("/sick", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "db \x1b[2Jdown\n<script>", http.StatusServiceUnavailable)
	})
	web.HandleFunc("/bare", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	web.HandleFunc("/hops", func(w http.ResponseWriter, r *http.Request) {
		var n int
		fmt.Sscan(r.FormValue("n"), &n)
		hops.Add(1)
		if n == 0 {
			return
		}
		http.Redirect(w, r, fmt.Sprintf("/hops?n=%d", n-1), http.StatusFound)
	})
	web.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://login.invalid/", http.StatusFound)
	})
	web.HandleFunc("/same", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotModified) })
	web.HandleFunc("/secret", func(w http.ResponseWriter, r *http.Request) {
		if name, password, _ := r.BasicAuth(); name != "me" || password != "pass" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	server := httptest.NewServer(web)
	defer server.Close()
	for path, want := range map[string]string{
		"/ok":       "",
		"/created":  "",
		"/sick":     "HTTP 503: db �[2Jdown <script>",
		"/bare":     "HTTP 404",
		"/same":     "HTTP 304",
		"/hops?n=3": "",
		"/hops?n=9": "more than 3 redirects",
		"/away":     "redirected to another host: login.invalid",
		"/secret":   "HTTP 401",
	} {
		hops.Store(0)
		if got := looked(t, server.URL+path, 10*time.Second); got != want {
			t.Errorf("%s: %q; want %q", path, got, want)
		}
		if n := hops.Load(); n > 4 {
			t.Errorf("%s: %d redirects were followed", path, n)
		}
	}
	if got := looked(t, strings.Replace(server.URL, "//", "//me:pass@", 1)+"/secret", 10*time.Second); got != "" {
		t.Errorf("with a password: %q", got)
	}
}

func TestBadServers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		then func(ctx context.Context, conn net.Conn)
		want string
	}{
		"hangs":          {func(ctx context.Context, _ net.Conn) { <-ctx.Done() }, "no result within 300ms"},
		"drips its head": {func(ctx context.Context, c net.Conn) { drip(ctx, c, "HTTP/1.1 200 OK\r\nX: ", 50*time.Millisecond) }, "no result within 300ms"},
		"drips its body": {func(ctx context.Context, c net.Conn) {
			fmt.Fprint(c, "HTTP/1.1 500 Oops\r\n\r\n")
			drip(ctx, c, "sorry", 20*time.Millisecond)
		}, "HTTP 500: s"},
		"has no end": {func(ctx context.Context, c net.Conn) {
			fmt.Fprint(c, "HTTP/1.1 500 Oops\r\n\r\n")
			for chunk := []byte(strings.Repeat("x", 64<<10)); ; {
				if _, err := c.Write(chunk); err != nil {
					return
				}
			}
		}, "HTTP 500: " + strings.Repeat("x", 243) + "…"},
		"is well without end": {func(ctx context.Context, c net.Conn) {
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\n")
			for chunk := []byte(strings.Repeat("x", 64<<10)); ; {
				if _, err := c.Write(chunk); err != nil {
					return
				}
			}
		}, ""},
		"has an endless head": {func(ctx context.Context, c net.Conn) {
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\n")
			for line := []byte(strings.Repeat("X: yyyy\r\n", 1000)); ; {
				if _, err := c.Write(line); err != nil {
					return
				}
			}
		}, "net/http: server response headers exceeded 65536 bytes; aborted"},
		"hangs up":     {func(context.Context, net.Conn) {}, "closed without an answer"},
		"is no server": {func(_ context.Context, c net.Conn) { fmt.Fprint(c, "SSH-2.0-OpenSSH_9.9\r\n") }, `malformed HTTP response "SSH-2.0-OpenSSH_9.9`},
		"resets":       {func(_ context.Context, c net.Conn) { c.(*net.TCPConn).SetLinger(0) }, "read: connection reset by peer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limit := 10 * time.Second // for those that do not need it, on a busy machine
			switch {
			case strings.HasPrefix(c.want, "no result"):
				limit = 300 * time.Millisecond
			case name == "drips its body":
				limit = 2 * time.Second
			}
			began := time.Now()
			got := looked(t, serve(t, c.then), limit)
			if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
				t.Errorf("%q; want %q", got, c.want)
			}
			if took := time.Since(began); took > 8*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if got, want := looked(t, "http://"+l.Addr().String(), 10*time.Second), "connect: connection refused"; got != want {
		t.Errorf("%q; want %q", got, want)
	}
}

func TestUntrustedCertificate(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	const want = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
	if got := looked(t, server.URL, 10*time.Second); got != want {
		t.Errorf("%q; want %q", got, want)
	}
	if got := looked(t, strings.Replace(server.URL, "https", "http", 1), 10*time.Second); !strings.HasPrefix(got, "HTTP 400") {
		t.Errorf("plain HTTP to TLS: %q", got)
	}
}

// No connection stays open after a check, however often it runs.
func TestNoConnectionStays(t *testing.T) {
	t.Parallel()
	var open atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	server.Start()
	defer server.Close()
	check, err := HTTP(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(10 * time.Second); open.Load() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d connections are open", open.Load())
		}
	}
}

func TestBadURLs(t *testing.T) {
	for page, want := range map[string]string{
		"":                       `want a URL that begins with http:// or https://`,
		"127.0.0.1:8080/healthz": `is no URL: want such as http://127.0.0.1:8080/healthz`,
		"localhost:8080":         `want a URL that begins with http:// or https://`,
		"ftp://me:secret@a/":     `want a URL that begins with http:// or https://`,
		"http://":                `names no host: want such as http://127.0.0.1:8080/healthz`,
		"http://:8080/":          `names no host: want such as http://127.0.0.1:8080/healthz`,
		"http://a b/":            `is no URL: want such as http://127.0.0.1:8080/healthz`,
		"http://a/\n":            `is no URL: want such as http://127.0.0.1:8080/healthz`,
		"http://me:secret@[::1/": `is no URL: want such as http://127.0.0.1:8080/healthz`,
	} {
		if _, err := HTTP(page); err == nil || err.Error() != want {
			t.Errorf("%q: %v; want %s", page, err, want)
		}
	}
}
