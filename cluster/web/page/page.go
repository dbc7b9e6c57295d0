// Package page is the dashboard of a node: the files that a browser gets, which ask the node's API for the rest. They are used as they
// are here: there is no build step, and nothing comes from another host. A policy of "default-src 'none'; script-src 'self';
// style-src 'self'; img-src 'self'; connect-src 'self'" suffices, as neither scripts nor styles are inline.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"net/http"
	"path"
	"strings"
	"time"
)

// Files are those that a node serves beside its API; index.html is at "/".
//
//go:embed index.html *.css *.js *.svg
var Files embed.FS

// types are said by us, not by the machine: on Windows any program may have told the system that scripts are plain text.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// file is one file as it is sent.
type file struct {
	body    []byte
	kind    string
	version string // the ETag
}

// Handler serves Files to GET and HEAD, index.html at "/" only. A browser keeps them, and asks each time whether they are still
// the same (ETag). Anything else is 404, or 405. Headers that were set before stay, but for Content-Type, Cache-Control and ETag.
func Handler() http.Handler {
	entries, err := Files.ReadDir(".")
	if err != nil {
		panic(err) // they are part of the program
	}
	files := make(map[string]file, len(entries))
	for _, e := range entries {
		body, err := Files.ReadFile(e.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(body)
		at := "/" + strings.TrimSuffix(e.Name(), "index.html")
		files[at] = file{body, types[path.Ext(e.Name())], `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "want GET or HEAD", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", f.kind)
		w.Header().Set("Cache-Control", "no-cache") // keep it, and ask
		w.Header().Set("ETag", f.version)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
	})
}
