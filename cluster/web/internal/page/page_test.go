package page

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// A browser gets each file with its type, keeps it, and asks whether it is still the same.
func TestFiles(t *testing.T) {
	all := Files()
	ask := func(path, version string) *http.Response {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("If-None-Match", version)
		w := httptest.NewRecorder()
		all[path].ServeHTTP(w, r)
		return w.Result()
	}
	for path, kind := range map[string]string{
		"/": "text/html; charset=utf-8", "/app.js": "text/javascript; charset=utf-8",
		"/style.css": "text/css; charset=utf-8", "/icon.svg": "image/svg+xml",
	} {
		got := ask(path, `"another"`)
		version := got.Header.Get("ETag")
		if got.StatusCode != 200 || got.Header.Get("Content-Type") != kind || version == "" ||
			got.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d %v; want 200, %s, an ETag and no-cache", path, got.StatusCode, got.Header, kind)
		}
		if again := ask(path, version); again.StatusCode != 304 {
			t.Errorf("%s again, with its ETag: %d, want 304", path, again.StatusCode)
		}
	}
	for path := range all {
		if path == "/index.html" || strings.HasSuffix(path, ".go") {
			t.Errorf("%s is served", path)
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
	names, err := fs.Glob(files, "*")
	if err != nil || len(names) < 10 {
		t.Fatalf("%q, %v; want the files of the page", names, err)
	}
	for _, name := range names {
		b, err := fs.ReadFile(files, name)
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
