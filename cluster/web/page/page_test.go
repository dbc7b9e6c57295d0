package page

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func ask(method, path string, header ...string) *http.Response {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w.Result()
}

// A browser gets each file with its type, keeps it, and asks whether it is still the same.
func TestHandler(t *testing.T) {
	for path, kind := range map[string]string{
		"/": "text/html; charset=utf-8", "/app.js": "text/javascript; charset=utf-8",
		"/style.css": "text/css; charset=utf-8", "/icon.svg": "image/svg+xml",
	} {
		got := ask("GET", path)
		version := got.Header.Get("ETag")
		if got.StatusCode != 200 || got.Header.Get("Content-Type") != kind || version == "" || got.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d %v; want 200, %s, an ETag and no-cache", path, got.StatusCode, got.Header, kind)
		}
		if again := ask("GET", path, "If-None-Match", version); again.StatusCode != 304 {
			t.Errorf("%s again, with its ETag: %d, want 304", path, again.StatusCode)
		}
		if again := ask("GET", path, "If-None-Match", `"another"`); again.StatusCode != 200 {
			t.Errorf("%s again, with another ETag: %d, want 200", path, again.StatusCode)
		}
	}
	for _, test := range []struct {
		method, path string
		want         int
	}{
		{"HEAD", "/", 200},
		{"POST", "/", 405},
		{"GET", "/index.html", 404}, // one address for one thing
		{"GET", "/page.go", 404},
		{"GET", "/../page.go", 404},
		{"GET", "/v1/members", 404},
	} {
		if got := ask(test.method, test.path); got.StatusCode != test.want {
			t.Errorf("%s %s: %d, want %d", test.method, test.path, got.StatusCode, test.want)
		}
	}
}

// The page asks no other host, has nothing inline that a strict policy forbids, and reads no text as HTML.
func TestFilesKeepToThePolicy(t *testing.T) {
	forbidden := map[string]*regexp.Regexp{
		"another host":        regexp.MustCompile(`(?i)(https?:)?//[a-z0-9-]+\.[a-z]`),
		"an inline script":    regexp.MustCompile(`(?i)<script(?:\s+type="module")?\s*>|\son[a-z]+\s*=\s*["']|javascript:`),
		"an inline style":     regexp.MustCompile(`(?i)<style|\sstyle\s*=\s*"`),
		"a text read as HTML": regexp.MustCompile(`(inner|outer)HTML\s*\+?=[^=]|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc`),
	}
	files, err := fs.Glob(Files, "*")
	if err != nil || len(files) < 10 {
		t.Fatalf("%q, %v; want the files of the page", files, err)
	}
	for _, name := range files {
		b, err := fs.ReadFile(Files, name)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(b), "http://www.w3.org/2000/svg", "") // a name, which nobody asks for
		for what, pattern := range forbidden {
			if found := pattern.FindString(text); found != "" {
				t.Errorf("%s has %s: %q", name, what, found)
			}
		}
		if n := strings.Count(text, "\n"); n > 400 {
			t.Errorf("%s has %d lines", name, n)
		}
	}
}
