package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ShortestToken is how many characters a token has at least: what a generator makes is not guessed, what a person makes up is.
const ShortestToken = 16

// access is what a client may do.
type access int

const (
	asking   access = iota // whether the node is there
	reading                // what the node knows
	changing               // and everything else
)

// access is what the client of a request may do.
func (d *door) access(r *http.Request) access {
	if d.control {
		return changing
	}
	want := d.token()
	switch {
	case want != "" && knowsToken(r, want):
		return changing
	case want == "" || local(r):
		return reading
	}
	return asking
}

// token is the present one; empty: there is none.
func (d *door) token() string {
	if d.opts.Token == nil {
		return ""
	}
	return d.opts.Token()
}

// local tells whether only this machine reaches the address that the request came to.
func local(r *http.Request) bool {
	switch at := r.Context().Value(http.LocalAddrContextKey).(type) {
	case *net.TCPAddr:
		return at.IP.IsLoopback()
	case *net.UnixAddr:
		return true
	}
	return false
}

func bearer(r *http.Request) (token string, ok bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), strings.EqualFold(scheme, "Bearer")
}

func knowsToken(r *http.Request, want string) bool {
	token, ok := bearer(r)
	return ok && len(want) >= ShortestToken && sameText(token, want)
}

// sameText takes as long for any two texts: how long it takes tells nothing about one of them.
func sameText(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// refuseAccess says what a client lacks for what it asks, and how to get it.
func (d *door) refuseAccess(w http.ResponseWriter, r *http.Request, to route) {
	want := d.token()
	if want == "" {
		refuse(w, http.StatusForbidden, "%s %s takes a token, and this node was given none: "+
			"start it with --http-token-file, or ask through its control socket", to.method, r.URL.Path)
		return
	}
	if len(want) < ShortestToken {
		refuse(w, http.StatusForbidden, "the token that this node was given has %d characters and is not used: give it one of at least %d",
			len(want), ShortestToken)
		return
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="pulsering"`)
	switch token, ok := bearer(r); {
	case !ok:
		refuse(w, http.StatusUnauthorized, "%s %s takes the token: send Authorization: Bearer TOKEN, with what is in the file of --http-token-file",
			to.method, r.URL.Path)
	case len(token) < ShortestToken:
		refuse(w, http.StatusUnauthorized, "the token has %d characters, and every token has at least %d: send all of what is in the file of --http-token-file",
			len(token), ShortestToken)
	default:
		refuse(w, http.StatusUnauthorized, "the token is wrong: send what is in the file of --http-token-file now")
	}
}

// crossOrigin is used for all methods, not only for those that it takes to change something: what is read is nobody else's either.
var crossOrigin http.CrossOriginProtection

// stranger is why a request is none of a user of this server, but of a page that a browser has from elsewhere. Whoever knows the token is
// no stranger by any name.
func (d *door) stranger(r *http.Request) (status int, err error) {
	if crossOrigin.Check(&http.Request{Method: http.MethodPost, Header: r.Header, Host: r.Host}) != nil && !followsLink(r) {
		return http.StatusForbidden, fmt.Errorf("a page of another origin (%.100q) can neither read nor change anything here", r.Header.Get("Origin"))
	}
	if want := d.token(); !d.knownHost(r.Host) && !(want != "" && knowsToken(r, want)) {
		return http.StatusForbidden, fmt.Errorf("this server is not asked for as %.100q: ask by its address or as localhost, "+
			"or add the name to those that it is known by, or send the token", r.Host)
	}
	return 0, nil
}

// followsLink tells whether somebody goes from another page to this one, of which that one sees nothing.
func followsLink(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

// knownHost tells whether a Host is none that a stranger can have lead here: an address, this machine, or a name that was given.
// Browsers always send one.
func (d *door) knownHost(host string) bool {
	name := host
	if bare, _, err := net.SplitHostPort(host); err == nil {
		name = bare
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if _, err := netip.ParseAddr(name); err == nil || name == "" {
		return true
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return name == "localhost" || strings.HasSuffix(name, ".localhost") ||
		slices.ContainsFunc(d.opts.Hosts, func(known string) bool { return strings.EqualFold(strings.TrimSuffix(known, "."), name) })
}

// pagePolicy is what the page may do: nothing beside its own files and this server.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guarded sets what keeps browsers from making more of an answer than it is.
func guarded(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
}
