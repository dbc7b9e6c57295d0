package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/pulsering/pulsering/internal/input"
)

// How the commands reach a node: over HTTP, or through its control socket. Which node that is, whichnode.go finds out.

// askedNode are the flags that name the node to ask.
type askedNode struct {
	Control text      `placeholder:"PATH" variable:"PULSERING_CONTROL" help:"The node to ask: its control socket. Default: PULSERING_CONTROL of the environment, or that of the only node that runs here as you with a socket or --state-dir in a customary place: $XDG_RUNTIME_DIR/pulsering, ~/.local/state/pulsering, /run/pulsering, /var/lib/pulsering."`
	HTTP    text      `name:"http" placeholder:"HOST:PORT" help:"The node to ask: what it was given as --http; https://HOST:PORT where it has a certificate."`
	Token   tokenFile `name:"http-token-file" placeholder:"FILE" variable:"PULSERING_HTTP_TOKEN_FILE" help:"File with the token of the node of --http, which asks for it for changes and keys, and off loopback for all else; no other node gets it. Default: PULSERING_HTTP_TOKEN_FILE of the environment."`
	CA      text      `name:"http-ca" placeholder:"FILE" help:"Certificates (PEM) to trust instead of this system's, for --http https://…"`
}

type asJSON struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// wrong is what is wrong with the flags.
func (c *askedNode) wrong() (errs []error) {
	if c.HTTP != "" {
		if _, err := nodeURL(string(c.HTTP)); err != nil {
			errs = append(errs, fmt.Errorf("--http: %w", err))
		}
		if c.Control != "" {
			errs = append(errs, errors.New("--http and --control: each names a node: give one of them"))
		}
	}
	if c.Token.path != "" && c.HTTP == "" {
		errs = append(errs, errors.New("--http-token-file: is for the node that --http names: give that too, or leave it out"))
	}
	if c.CA != "" && !strings.HasPrefix(string(c.HTTP), "https://") {
		errs = append(errs, errors.New("--http-ca: is for --http https://HOST:PORT: give that too, or leave it out"))
	}
	return errs
}

// nodeURL is where the API of a node begins. It has no path, and its host may lack the scheme http.
func nodeURL(at string) (string, error) {
	if !strings.Contains(at, "://") {
		host, err := parseAddress(at, false)
		return "http://" + string(host), err
	}
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" ||
		u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("is no address of a node: want HOST:PORT, or https://HOST:PORT") // which may hold a password
	}
	return u.Scheme + "://" + u.Host, nil
}

// asked is a node that commands ask. Its methods may be called from any goroutine.
type asked struct {
	where string // for people
	flag  string // how it was found: --http, --control, or the empty string where nobody named it
	base  string // of its URLs
	token string
	http  *http.Client
	here  bool // it is on this machine
	clock nodeClock
}

// open finds the node that the flags name. Nothing is asked yet.
func (c *askedNode) open(ctx context.Context) (*asked, error) { return awaited(ctx, c.find) }

func (c *askedNode) find() (*asked, error) {
	a := &asked{}
	transport := &http.Transport{DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, Proxy: nil, MaxIdleConns: 4, IdleConnTimeout: 20 * time.Second}
	a.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // a node leads nowhere else, and the token is for nobody else
	}}
	socket := string(c.Control)
	if socket == "" && c.HTTP == "" {
		socket = os.Getenv("PULSERING_CONTROL")
	}
	switch {
	case c.HTTP != "":
		a.flag, a.where = "--http", string(c.HTTP)
	case socket != "":
		a.flag = "--control"
	default:
		var err error
		if socket, err = onlySocket(socketDirs()); err != nil {
			return nil, err
		}
		if socket == "" {
			a.where = customaryHTTP
		}
	}
	if socket != "" && c.HTTP == "" {
		a.where, a.base, a.here = printable(socket), "http://localhost", true
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", socket)
		}
		return a, nil
	}
	var err error
	if a.base, err = nodeURL(a.where); err != nil {
		return nil, fmt.Errorf("--http: %w", err)
	}
	if c.HTTP == "" { // found, and not named: whoever listens there may be anybody, and gets no token
		return a, nil
	}
	a.token = c.Token.token
	if file := os.Getenv("PULSERING_HTTP_TOKEN_FILE"); file != "" && a.token == "" {
		read, err := readTokenFile(file, false)
		if err != nil {
			return nil, fmt.Errorf("PULSERING_HTTP_TOKEN_FILE: %w", err)
		}
		a.token = read.token
	}
	if c.CA != "" {
		pool := x509.NewCertPool()
		pem, _, err := input.File(string(c.CA), longestPEM, false)
		if err == nil && !pool.AppendCertsFromPEM(pem) {
			err = fmt.Errorf("%s holds no certificate in PEM", printable(string(c.CA)))
		}
		if err != nil {
			return nil, fmt.Errorf("--http-ca: %w", err)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	return a, nil
}

const (
	// readLimit is how long a node may take to answer what it knows, and changeLimit to change something in the whole cluster:
	// it waits for 12 s until a change may begin, and for 12 s until all members have answered.
	readLimit   = 10 * time.Second
	changeLimit = 30 * time.Second
	// mostAnswer bounds an answer: 100,000 members take less.
	mostAnswer = 64 << 20
)

// errRefused is what a node's refusals are.
type errRefused struct {
	status int
	error
}

// get asks what the node knows, and reads its JSON into answer; a *[]byte takes it as it is.
func (a *asked) get(ctx context.Context, path string, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	_, err := a.ask(ctx, http.MethodGet, path, nil, answer)
	return err
}

// self asks the node who it is.
func (a *asked) self(ctx context.Context) (self memberLine, err error) {
	if err = a.get(ctx, "/v1/self", &self); err == nil && self.Name == "" {
		err = a.noNode()
	}
	return self, err
}

// noNode is the error about an answer that no node gives.
func (a *asked) noNode() error {
	return fmt.Errorf("%s did not answer as a node does: is it a pulsering node's --http address?", a.where)
}

// change has the node do something. The answer is read into answer whatever the status is.
func (a *asked) change(ctx context.Context, path string, want, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, changeLimit)
	defer cancel()
	_, err := a.ask(ctx, http.MethodPost, path, want, answer)
	return err
}

func (a *asked) ask(ctx context.Context, method, path string, want, answer any) (body []byte, err error) {
	var in io.Reader
	if want != nil {
		b, err := json.Marshal(want)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(b)
	}
	got, err := a.do(ctx, method, path, "application/json", in, nil)
	if err != nil {
		return nil, err
	}
	defer got.Body.Close()
	body, err = io.ReadAll(io.LimitReader(got.Body, mostAnswer))
	if err != nil {
		return nil, a.unanswered(ctx, err)
	}
	body = printableJSON(body) // --json prints it
	refused := a.refusal(got, body)
	if raw, ok := answer.(*[]byte); ok && json.Valid(body) {
		*raw = body
	} else if answer == nil && json.Valid(body) {
	} else if err := json.Unmarshal(body, answer); err != nil && refused == nil {
		return nil, a.noNode()
	}
	return body, refused
}

// follow begins to read a stream, which ends with ctx.
func (a *asked) follow(ctx context.Context, path, accept string, header http.Header) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	slow := time.AfterFunc(readLimit, func() { cancel(context.DeadlineExceeded) })
	got, err := a.do(ctx, http.MethodGet, path, accept, nil, header)
	if err == nil && got.StatusCode == http.StatusOK {
		slow.Stop()
		return stream{got.Body, func() { cancel(nil) }}, nil
	}
	defer cancel(nil)
	defer slow.Stop() // a refusal has its end in that time, too
	if err != nil {
		return nil, err
	}
	defer got.Body.Close()
	body, err := io.ReadAll(io.LimitReader(got.Body, mostAnswer))
	if err != nil {
		return nil, a.unanswered(ctx, err)
	}
	return nil, a.refusal(got, body)
}

// stream is an answer that goes on until it is closed.
type stream struct {
	io.ReadCloser
	cancel func()
}

func (s stream) Close() error {
	s.cancel()
	return s.ReadCloser.Close()
}

func (a *asked) do(ctx context.Context, method, path, accept string, body io.Reader, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	for name, values := range header {
		req.Header[name] = values
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	got, err := a.http.Do(req)
	if err != nil {
		return nil, a.unanswered(ctx, err)
	}
	return got, nil
}

// unanswered is why there is no answer, and what to do.
func (a *asked) unanswered(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, context.Canceled) {
		return cause // by a signal
	}
	var bare *url.Error
	if errors.As(err, &bare) {
		err = bare.Err
	}
	hint := "is it a pulsering node's --http address?"
	switch refused := errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT); {
	case refused && a.flag == "":
		return fmt.Errorf("no node found on this machine: none has a control socket in %s, and nothing listens on %s: "+
			"start one, or name one that is elsewhere with --control PATH or --http", strings.Join(socketDirs(), ", "), a.where)
	case refused && a.flag == "--http":
		return fmt.Errorf("nothing listens on %s: start a node with --http %[1]s, or name the right address with --http", a.where)
	case refused:
		return fmt.Errorf("no node listens on %s: has it ended? Name another with --control or --http", a.where)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s is another user's: ask as the user that the node runs as, or name its address with --http", a.where)
	case errors.Is(err, context.DeadlineExceeded):
		err = errors.New("it took too long")
		hint = "is the node stopped, or its machine very busy?"
	case a.flag == "--control":
		hint = "is it a pulsering node's --control socket?"
	}
	return fmt.Errorf("no answer from %s: %s: %s", a.where, harmless(err.Error()), hint)
}

// refusal is the error that an answer tells; nil: it tells none.
func (a *asked) refusal(got *http.Response, body []byte) error {
	if got.StatusCode == http.StatusOK {
		return nil
	}
	var e struct{ Error string }
	if json.Unmarshal(body, &e) != nil || e.Error == "" {
		return errRefused{got.StatusCode, fmt.Errorf("%s answered %s, which is no answer of a node's: is it a pulsering node's --http address?",
			a.where, printable(got.Status))}
	}
	text := harmless(e.Error)
	switch {
	case got.StatusCode == http.StatusUnauthorized && a.flag == "":
		return errRefused{got.StatusCode, fmt.Errorf("%s asks for a token, which only a node gets that was named: give --http %[1]s and "+
			"--http-token-file FILE, or ask as the node's user through --control", a.where)}
	case got.StatusCode == http.StatusUnauthorized && a.token == "":
		return errRefused{got.StatusCode, fmt.Errorf("%s asks for its token: give --http-token-file FILE, or ask on its machine through --control", a.where)}
	case got.StatusCode == http.StatusUnauthorized:
		return errRefused{got.StatusCode, fmt.Errorf("%s does not take the token: --http-token-file has to hold that of the node: %s", a.where, text)}
	}
	return errRefused{got.StatusCode, fmt.Errorf("%s: %s", a.where, text)}
}

// memberPath is the path of what is known of a member. No name is mistaken for a path, not even "..".
func memberPath(name string) string {
	return "/v1/members/" + strings.ReplaceAll(url.PathEscape(name), ".", "%2E")
}
