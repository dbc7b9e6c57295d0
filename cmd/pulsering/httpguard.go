package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/pulsering/pulsering/internal/input"
)

// httpFlags say where a node is asked over HTTP, and by whom.
type httpFlags struct {
	HTTP          address   `name:"http" placeholder:"HOST:PORT" any:"" help:"Serve the dashboard and the API here: http://HOST:PORT/ and /v1/openapi.json. An address that other machines reach needs --http-token-file, or --http-cert. Default: off."`
	HTTPTokenFile tokenFile `name:"http-token-file" placeholder:"FILE" help:"File with the token, of 16 characters or more, that a request has to bring as Authorization: Bearer TOKEN: for changes and keys always, for whatever can be read where it comes to another address than one of loopback. Nobody but its owner may read it. SIGHUP reads it anew."`
	HTTPCert      pemFile   `name:"http-cert" placeholder:"FILE" help:"Certificates (PEM), the node's own first: --http then speaks HTTPS. With --http-key. SIGHUP reads both anew."`
	HTTPKey       pemFile   `name:"http-key" placeholder:"FILE" help:"The private key (PEM) of --http-cert."`
}

// pemFile is a file that is read when the flag is, so that a reload sees when another one has taken its place.
type pemFile struct{ path, text string }

// longestPEM bounds such a file, in bytes: a long chain of certificates is a fiftieth of it.
const longestPEM = 1 << 20

func readPEMFile(path string, again bool) (pemFile, error) {
	text, _, err := input.File(path, longestPEM, again)
	if err != nil {
		return pemFile{}, err
	}
	return pemFile{path, string(text)}, nil
}

// wrong returns what is wrong with flags that go together.
func (f httpFlags) wrong() []error {
	var errs []error
	if _, err := f.certificate(); err != nil {
		errs = append(errs, err)
	}
	host, _, _ := net.SplitHostPort(string(f.HTTP))
	ip, err := netip.ParseAddr(host)
	reached := f.HTTP != "" && (host == "" || err == nil && !ip.Unmap().IsLoopback()) // of a name the guard knows it, once it is listened on
	if reached && f.HTTPTokenFile.path == "" && f.HTTPCert.path == "" {
		errs = append(errs, unguarded(string(f.HTTP)))
	}
	if f.HTTP == "" && f.HTTPTokenFile.path != "" {
		errs = append(errs, errors.New("--http-token-file: there is no --http that it could be for: give that too, or leave it out"))
	}
	if f.HTTP == "" && f.HTTPCert.path != "" {
		errs = append(errs, errors.New("--http-cert: there is no --http that it could be for: give that too, or leave it out"))
	}
	return errs
}

// unguarded is the error about an address that other machines reach.
func unguarded(addr string) error {
	_, port, _ := net.SplitHostPort(addr)
	return fmt.Errorf("--http: other machines reach %s, and anyone there could ask: give it --http-token-file FILE, or TLS by "+
		"--http-cert FILE --http-key FILE, or let only this machine ask: --http 127.0.0.1:%s", addr, port)
}

// certificate is what --http speaks TLS with; nil: it does not.
func (f httpFlags) certificate() (*tls.Certificate, error) {
	switch {
	case f.HTTPCert.path == "" && f.HTTPKey.path == "":
		return nil, nil
	case f.HTTPCert.path == "":
		return nil, errors.New("--http-key: there is no --http-cert: give the file with the certificate too, or neither")
	case f.HTTPKey.path == "":
		return nil, errors.New("--http-cert: there is no --http-key: give the file with its private key too, or neither")
	}
	pair, err := tls.X509KeyPair([]byte(f.HTTPCert.text), []byte(f.HTTPKey.text))
	if err != nil {
		return nil, fmt.Errorf("--http-cert: %s with %s: %w: want a certificate and its private key, both in PEM", f.HTTPCert.path, f.HTTPKey.path, err)
	}
	return &pair, nil
}

// guard keeps strangers from the HTTP interface by what the flags say at the moment. Whoever sets it does so from one goroutine; asking it
// is safe for concurrent use. A nil one has no token.
type guard struct {
	file atomic.Pointer[tokenFile]
	cert atomic.Pointer[tls.Certificate] // nil: TLS is not spoken
	at   net.Addr                        // where is listened; nil: nowhere yet
}

func newGuard(flags httpFlags) (*guard, error) {
	g := new(guard)
	cert, err := flags.certificate()
	g.cert.Store(cert)
	g.file.Store(&flags.HTTPTokenFile)
	return g, err
}

// setToken puts another token in the place of the present one, unless nothing would guard the address then.
func (g *guard) setToken(file tokenFile) error {
	if err := g.judge(file); err != nil {
		return err
	}
	g.file.Store(&file)
	return nil
}

// setCertificate puts another certificate and its key in the place of the present ones: at once, as each fits only its own.
func (g *guard) setCertificate(flags httpFlags) error {
	if plain := g.cert.Load() == nil; (flags.HTTPCert.path == "") != plain || (flags.HTTPKey.path == "") != plain {
		return errors.New("with and without TLS are different services: that needs a restart")
	}
	cert, err := flags.certificate()
	if err != nil {
		return err
	}
	g.cert.Store(cert)
	return nil
}

// admits keeps where is listened, and returns what is wrong with that: other machines reach it, and nobody guards it.
func (g *guard) admits(at net.Addr) error {
	g.at = at
	return g.judge(*g.file.Load())
}

// judge is the error about the address with this token.
func (g *guard) judge(file tokenFile) error {
	tcp, ok := g.at.(*net.TCPAddr)
	if !ok || tcp.IP.IsLoopback() || file.path != "" || g.cert.Load() != nil {
		return nil
	}
	return unguarded(g.at.String())
}

// tls is how TLS is spoken; nil: it is not.
func (g *guard) tls() *tls.Config {
	if g.cert.Load() == nil {
		return nil
	}
	return &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return g.cert.Load(), nil },
		NextProtos:     []string{"http/1.1"},
	}
}

// token is what requests have to bring, see web.Options.
func (g *guard) token() string {
	if g == nil {
		return ""
	}
	return g.file.Load().token
}
