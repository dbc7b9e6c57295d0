package ws_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/ws"
)

// Requests from pages of all kinds of places: who may connect is upgraded, and who may not is told why.
// HOST is the server's own, with its port.
func TestOrigins(t *testing.T) {
	server, err := link.NewServer(link.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	handler := &ws.Handler{Server: server}
	web := httptest.NewServer(handler)
	defer web.Close()
	defer handler.Close()
	host := strings.TrimPrefix(web.URL, "http://")

	listed := []string{"pages.example", "other.example:8443"}
	for _, test := range []struct {
		name, origin string
		listed       []string
		ok           bool
	}{
		{"none, as of what is no browser", "", nil, true},
		{"its own", "http://HOST", nil, true},
		{"its own, behind a proxy that ends TLS", "https://HOST", nil, true},
		{"its own host, another port", "http://127.0.0.1:1", nil, false},
		{"its own host, no port", "http://127.0.0.1", nil, false},
		{"its own host by another name", "http://localhost", nil, false},
		{"a listed one", "https://pages.example", listed, true},
		{"a listed one, and its own is not", "http://HOST", listed, true},
		{"a listed one in capitals", "HTTPS://Pages.EXAMPLE", listed, true},
		{"a listed one, another port", "https://pages.example:8443", listed, false},
		{"a listed one with its port", "https://other.example:8443", listed, true},
		{"a listed one without its port", "https://other.example", listed, false},
		{"a foreign one", "https://evil.example", listed, false},
		{"a foreign one, where all may", "https://evil.example", []string{"*"}, true},
		{"a part of a listed one", "https://example", listed, false},
		{"below a listed one", "https://sub.pages.example", listed, false},
		{"what begins like a listed one", "https://pages.example.evil.example", listed, false},
		{"what ends like a listed one", "https://evilpages.example", listed, false},
		{"a listed one as a user's name", "https://pages.example@evil.example", listed, false},
		{"a listed one in a path", "https://evil.example/pages.example", listed, false},
		{"null, as of a sandbox or a file", "null", listed, false},
		{"null, where all may", "null", []string{"*"}, true},
		{"no URL", "://", listed, false},
		{"a listed one without a scheme", "pages.example", listed, false},
	} {
		handler.Origins = test.listed
		origin := strings.ReplaceAll(test.origin, "HOST", host)
		r, err := http.NewRequest("GET", web.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{
			"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
			"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
		} {
			r.Header.Set(name, value)
		}
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if test.ok {
			if answer.StatusCode != http.StatusSwitchingProtocols || answer.Header.Get("Sec-WebSocket-Accept") == "" {
				t.Errorf("%s: %q is answered %s, want an upgrade", test.name, origin, answer.Status)
			}
			answer.Body.Close() // the connection, which was upgraded
			continue
		}
		reason, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != http.StatusForbidden || !strings.Contains(string(reason), origin) ||
			!strings.Contains(string(reason), "is not allowed") {
			t.Errorf("%s: %q is answered %s, %q; want 403, and why", test.name, origin, answer.Status, reason)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
