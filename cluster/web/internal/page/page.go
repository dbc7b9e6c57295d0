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

//go:embed index.html *.css *.js *.svg
var files embed.FS

// types are said by us, not by the machine: on Windows any program may have told the system that scripts are plain text.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// file is one file as it is sent, to GET and HEAD. A browser keeps it, and asks each time whether it is
// still the same (ETag). Headers that were set before stay, but for Content-Type, Cache-Control and ETag.
type file struct {
	body    []byte
	kind    string
	version string // the ETag
}

// Files are those that a node serves beside its API, by path; index.html is at "/" only.
func Files() map[string]http.Handler {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err) // they are part of the program
	}
	all := make(map[string]http.Handler, len(entries))
	for _, e := range entries {
		body, err := files.ReadFile(e.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(body)
		version := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
		all["/"+strings.TrimSuffix(e.Name(), "index.html")] = file{body, types[path.Ext(e.Name())], version}
	}
	return all
}

func (f file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", f.kind)
	w.Header().Set("Cache-Control", "no-cache") // keep it, and ask
	w.Header().Set("ETag", f.version)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
}
