package web

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/pulsering/pulsering/cluster/web/internal/page"
)

// door is one of the two ways to a server: by the network, or by the control socket.
type door struct {
	*Server
	control bool
	streams chan struct{} // readers of events
}

// route is what is asked for by a method and a path.
type route struct {
	method, path string
	query        []string // the parameters that it knows
	needs        access
	early        bool // it is answered before the node has joined, with a nil *joined
	serve        func(*door, http.ResponseWriter, *http.Request, *joined)
}

var routes = []route{
	{"GET", "/livez", []string{"verbose"}, asking, true, (*door).serveLive},
	{"GET", "/readyz", []string{"verbose"}, asking, true, (*door).serveReady},
	{"GET", "/metrics", nil, reading, false, (*door).serveMetrics},
	{"GET", "/v1/openapi.json", nil, asking, true, (*door).serveOpenAPI},
	{"GET", "/v1/self", nil, reading, false, (*door).serveSelf},
	{"GET", "/v1/members", []string{"state", "tag"}, reading, false, (*door).serveMembers},
	{"GET", "/v1/members/{name}", nil, reading, false, (*door).serveMember},
	{"GET", "/v1/events", nil, reading, false, (*door).serveEvents},
	{"GET", "/v1/stats", nil, reading, false, (*door).serveStats},
	{"POST", "/v1/leave", nil, changing, false, (*door).serveLeave},
	{"POST", "/v1/members/{name}/forget", nil, changing, false, (*door).serveForget},
	{"POST", "/v1/members/{name}/ping", nil, changing, false, (*door).servePing},
	{"GET", "/v1/keys", nil, changing, false, (*door).serveKeys},
	{"POST", "/v1/keys", nil, changing, false, (*door).changeKeys},
	{"GET", "/v1/log-level", nil, changing, true, (*door).serveLogLevel},
	{"PUT", "/v1/log-level", nil, changing, true, (*door).changeLogLevel},
}

// door returns the handler behind one of the doors.
func (s *Server) door(control bool) http.Handler {
	d := &door{Server: s, control: control, streams: make(chan struct{}, s.opts.Streams)}
	methods := map[string]map[string]route{}
	for _, r := range routes {
		if methods[r.path] == nil {
			methods[r.path] = map[string]route{}
		}
		methods[r.path][r.method] = r
		if r.method == "GET" {
			methods[r.path]["HEAD"] = r
		}
	}
	mux := http.NewServeMux()
	for path, by := range methods {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { d.serve(w, r, by) })
	}
	for path, file := range page.Files() {
		if path == "/" {
			path = "/{$}" // and nothing below
		}
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodGet && r.Method != http.MethodHead {
				refuseMethod(w, r, []string{"GET", "HEAD"})
				return
			}
			w.Header().Set("Content-Security-Policy", pagePolicy)
			file.ServeHTTP(w, r)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "there is nothing at %.200q: see /v1/openapi.json for what there is", r.URL.Path)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		guarded(w.Header())
		if asked := r.URL.EscapedPath(); asked != path.Clean(asked) { // which the mux would answer with a page that leads elsewhere
			refuse(w, http.StatusNotFound, "there is nothing at %.200q: write the path without doubled or ending slashes and dots", asked)
			return
		}
		if !control {
			if status, err := d.stranger(r); err != nil {
				refuse(w, status, "%v", err)
				return
			}
		}
		mux.ServeHTTP(w, r)
	})
}

// serve answers a request for a path by its method.
func (d *door) serve(w http.ResponseWriter, r *http.Request, by map[string]route) {
	to, ok := by[r.Method]
	if !ok {
		var allowed []string
		for method := range by {
			allowed = append(allowed, method)
		}
		refuseMethod(w, r, allowed)
		return
	}
	if has := d.access(r); has < to.needs {
		d.refuseAccess(w, r, to)
		return
	}
	if err := checkQuery(r, to.query); err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	j := d.joined.Load()
	if j == nil && !to.early {
		w.Header().Set("Retry-After", "1")
		answer(w, http.StatusServiceUnavailable, health{Status: "joining", Error: joiningText}) // as /readyz does
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, mostBody)
	to.serve(d, w, r, j)
}

// checkQuery returns what is wrong with the parameters of a request, some of which are known.
func checkQuery(r *http.Request, known []string) error {
	got, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fmt.Errorf("the query %.200q cannot be read (%.100v): write special characters as %%XX", r.URL.RawQuery, err)
	}
	for name := range got {
		if !slices.Contains(known, name) {
			if len(known) == 0 {
				return fmt.Errorf("unknown parameter %.100q: %s takes none", name, r.URL.Path)
			}
			return fmt.Errorf("unknown parameter %.100q: want %s", name, strings.Join(known, " or "))
		}
	}
	return nil
}
