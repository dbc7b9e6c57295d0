package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/tcp"
	"github.com/pulsering/pulsering/detector/link/ws"
	"github.com/pulsering/pulsering/internal/level"
)

type gatewayCmd struct {
	Listen address `default:"127.0.0.1:9000" placeholder:"IP:PORT" any:"" help:"Serve WebSocket here, at /ws; port 0 takes a free one."`
	TCP    address `name:"tcp" placeholder:"IP:PORT" any:"" help:"Serve framed TCP, and plain PING and PONG, here. Default: off."`
	HTTP   address `name:"http" placeholder:"IP:PORT" any:"" help:"Serve /sessions, /stats and /healthz here. Default: off."`
	Origin origins `placeholder:"HOST[:PORT]" help:"Pages of this host may connect too, beside those of the host that they ask; * for all, also for pages from files. Repeatable."`
	Cert   text    `placeholder:"FILE" help:"Certificates (PEM), the gateway's own first: --listen and --tcp then speak TLS, wss:// and tls://. It is read again when it changes. With --key."`
	Key    text    `placeholder:"FILE" help:"The private key (PEM) of --cert."`

	Interval        span        `default:"1s" min:"10ms" max:"1h" help:"Time between two beats. At most half of what NAT and balancers on the way let a connection sleep."`
	Grace           spanOrNever `default:"15s" min:"10ms" max:"24h" help:"How long a session whose connection is over may be resumed; or never."`
	FalseAlarmEvery span        `default:"720h" min:"1m" max:"876000h" help:"A live session is taken for dead at most once in this time, on average."`
	UserTimeout     span        `placeholder:"DURATION" min:"1s" max:"24h" help:"End a connection whose peer has not taken what it was sent for so long (TCP_USER_TIMEOUT, Linux). It finds dead paths while something is unacknowledged, where keep-alive is blind, and beats are too far apart; it also ends live peers that are slow to read. Default: off."`
	MaxMessage      count       `default:"1048576" min:"1" max:"1073741824" placeholder:"BYTES" help:"Longest message of a client, in bytes."`

	JSON         bool   `name:"json" help:"Print events as JSON, one object a line."`
	OnOutputFail choice `name:"leave-on-output-error" of:"closed,any,never" default:"closed" placeholder:"WHEN" help:"When a failing standard output ends the gateway: closed, once its reader has gone; any, also on a full disk; never. Default: closed."`
	logFlags
	configFlags
}

func (gatewayCmd) Help() string {
	return `Prints a line on standard output whenever a session is up, suspect, away (its connection is over, and it may be resumed), resumed or gone, with the cause: path (nothing is acknowledged), stuck (the host acknowledges, the application is silent), slow, clean (closed), local (this end), silent (nothing is known). Many sessions of one network that fall silent together are one line, "outage", until they come back. Ctrl-C tells the clients to come back and ends.

    pulsering gateway --tcp 127.0.0.1:9001 &
    pulsering connect ws://127.0.0.1:9000/ws
    pulsering connect tcp://127.0.0.1:9001 --session ann
    pulsering gateway --listen :443 --cert chain.pem --key key.pem
`
}

// wrong returns what is wrong with flags that go together.
func (c *gatewayCmd) wrong() []error {
	var errs []error
	if _, err := c.certificate(); err != nil {
		errs = append(errs, err)
	}
	if c.UserTimeout > 0 {
		if err := c.keepAlive().Validate(); err != nil {
			errs = append(errs, fmt.Errorf("--user-timeout: %w", err))
		} else if runtime.GOOS != "linux" {
			errs = append(errs, fmt.Errorf("--user-timeout: %s has no TCP_USER_TIMEOUT: leave it out", runtime.GOOS))
		}
	}
	return errs
}

// certificate is what --listen and --tcp speak TLS with; nil: they do not.
func (c *gatewayCmd) certificate() (*keyPair, error) {
	switch {
	case c.Cert == "" && c.Key == "":
		return nil, nil
	case c.Cert == "":
		return nil, errors.New("--key: there is no --cert: give the file with the certificate too, or neither")
	case c.Key == "":
		return nil, errors.New("--cert: there is no --key: give the file with its private key too, or neither")
	}
	return readKeyPair(string(c.Cert), string(c.Key))
}

// keepAlive is how the kernel looks after the connections to --listen and --tcp.
func (c *gatewayCmd) keepAlive() tcp.KeepAlive {
	return tcp.KeepAlive{
		Idle: keepAlive.Idle, Interval: keepAlive.Interval, Probes: keepAlive.Count, SlowReader: time.Duration(c.UserTimeout),
	}
}

// watchedListener has the kernel look after its connections.
type watchedListener struct {
	net.Listener
	with tcp.KeepAlive
	log  hclog.Logger
}

// Accept implements net.Listener.
func (l watchedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if err := l.with.Set(conn); err != nil { // most often it has ended already, as its reader will see
		l.log.Debug("the kernel does not look after a connection", "remote", conn.RemoteAddr(), "error", err)
	}
	return conn, nil
}

// sessionLine is a line of "gateway --json" and "connect --json".
type sessionLine struct {
	Time      time.Time `json:"time"` // RFC 3339 with nanoseconds, UTC
	Kind      string    `json:"kind"`
	Session   string    `json:"session"`
	Remote    string    `json:"remote"`
	Transport string    `json:"transport"`
	Cause     string    `json:"cause,omitempty"`
	Phi       level.Phi `json:"phi"`
	RTT       float64   `json:"rtt_ms"`
	Folded    int       `json:"folded,omitempty"`
}

func newSessionLine(kind string, s link.Session, at time.Time, folded int) sessionLine {
	return sessionLine{
		Time: at.UTC(), Kind: kind, Session: s.ID, Remote: s.Remote, Transport: s.Transport, Cause: s.Cause.String(),
		Phi: level.Phi(s.Phi), RTT: float64(s.RTT.Microseconds()) / 1000, Folded: folded,
	}
}

func (s sessionLine) text(color bool) string {
	kind := fmt.Sprintf("%-8s", s.Kind)
	if color {
		kind = paintOf(s.Kind).on(kind)
	}
	line := fmt.Sprintf("%s  %s %-24s %-9s %s", s.Time.Local().Format("15:04:05.000"), kind, printable(s.Session), s.Transport, s.Remote)
	if s.Cause != "" {
		line += "  " + s.Cause
	}
	if s.Phi >= 1 {
		line += fmt.Sprintf("  φ %.1f", float64(s.Phi))
	}
	if s.RTT > 0 {
		line += "  rtt " + rttText(s.RTT)
	}
	return line
}

// outageLine is a line of "gateway --json" about many sessions.
type outageLine struct {
	Time time.Time `json:"time"`
	Kind string    `json:"kind"` // "outage" or "outage over"
	link.Outage
}

func (o outageLine) text(color bool) string {
	kind, words := fmt.Sprintf("%-8s", "outage"), "are silent"
	if o.Over {
		kind, words = fmt.Sprintf("%-8s", "over"), "are still silent"
	}
	if color {
		kind = paintOf(o.Kind).on(kind)
	}
	return fmt.Sprintf("%s  %s %-24s %d of %d sessions %s", o.Time.Local().Format("15:04:05.000"), kind, o.Network, o.Silent, o.Sessions, words)
}

func rttText(ms float64) string { return strconv.FormatFloat(ms, 'f', 2, 64) + " ms" }

func (c *gatewayCmd) config() link.Config {
	return link.Config{
		Interval: time.Duration(c.Interval), Grace: time.Duration(c.Grace), FalseAlarmEvery: time.Duration(c.FalseAlarmEvery),
		MaxMessage: int(c.MaxMessage),
	}
}

// keepAlive finds a dead idle path in 30 s, where no beat does.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// Run serves sessions until ctx ends.
func (c *gatewayCmd) Run(ctx context.Context, con console, set *settings) error {
	signal.Ignore(syscall.SIGPIPE)
	log := c.logger(con)
	set.warn(log)
	server, err := link.NewServer(c.config())
	if err != nil {
		return err
	}
	defer server.Close()
	// A client costs a file descriptor, of which the rest of the process needs some.
	most := 1 << 20
	if files := openFiles(); files > 0 {
		most = int(max(files*7/8, 8))
	}
	listen := func(flag, addr string) (net.Listener, error) {
		l, err := (&net.ListenConfig{KeepAlive: -1}).Listen(ctx, "tcp", addr) // it is set by hand
		if err != nil {
			return nil, fmt.Errorf("%s: %w: choose another address, or end what listens there", flag, err)
		}
		return limit(watchedListener{l, c.keepAlive(), log}, most, func(bool) {}), nil
	}
	pair, err := c.certificate()
	if err != nil {
		return err
	}
	inTLS, webScheme, streamScheme := func(l net.Listener) net.Listener { return l }, "ws://", "tcp://"
	if pair != nil {
		secure := pair.config(log)
		inTLS, webScheme, streamScheme = func(l net.Listener) net.Listener { return tls.NewListener(l, secure) }, "wss://", "tls://"
	}

	wsListener, err := listen("--listen", string(c.Listen))
	if err != nil {
		return err
	}
	handler := &ws.Handler{Server: server, MaxMessage: int(c.MaxMessage)}
	for _, o := range c.Origin {
		handler.Origins = append(handler.Origins, string(o))
	}
	defer handler.Close()
	mux := http.NewServeMux()
	mux.Handle("GET /ws", handler)
	web := newWeb(mux, log)
	defer web.Close()
	go web.Serve(inTLS(wsListener))
	log.Info("sessions over WebSocket", "url", webScheme+wsListener.Addr().String()+"/ws")

	var streams sync.WaitGroup
	defer streams.Wait()
	if c.TCP != "" {
		l, err := listen("--tcp", string(c.TCP))
		if err != nil {
			return err
		}
		defer l.Close()
		log.Info("sessions over TCP", "url", streamScheme+l.Addr().String())
		streams.Go(func() { acceptStreams(ctx, inTLS(l), server, int(c.MaxMessage), &streams, log) })
	}
	if c.HTTP != "" {
		l, err := listen("--http", string(c.HTTP))
		if err != nil {
			return err
		}
		status := newWeb(gatewayStatus(server), log)
		defer status.Close()
		go status.Serve(l)
		log.Info("serving /sessions /stats /healthz", "http", l.Addr())
	}
	log.Info("Ctrl-C ends")

	out := &printer{out: con.out, json: c.JSON, color: con.outColor, leaveOn: c.OnOutputFail, log: log}
	trying, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	events := server.Events(trying)
	printed := make(chan error, 1)
	go func() {
		_, err := out.run(trying, sessionLines(events))
		printed <- err
	}()
	select {
	case err = <-printed:
		if err != nil {
			err = fmt.Errorf("standard output: %w: the gateway ends", err)
		}
		server.Close()
		return err
	case <-ctx.Done():
		log.Info("ending: the clients are told to come back", "cause", context.Cause(ctx), "connections", server.Stats().Connections.Load())
	}
	web.Close()
	server.Close()
	select {
	case <-printed:
	case <-time.After(time.Second): // nobody reads the output
	}
	return nil
}

func sessionLines(events iter.Seq[link.Event]) iter.Seq[line] {
	return func(yield func(line) bool) {
		for e := range events {
			var l line = newSessionLine(e.Kind(), e.Session, e.At, e.Folded)
			if e.Outage != nil {
				l = outageLine{e.At.UTC(), e.Kind(), *e.Outage}
			}
			if !yield(l) {
				return
			}
		}
	}
}

// acceptStreams serves the connections that come to l until ctx ends.
func acceptStreams(ctx context.Context, l net.Listener, server *link.Server, maxMessage int, streams *sync.WaitGroup, log hclog.Logger) {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // too many files are open: some will be closed
			log.Warn("cannot accept a connection", "error", err)
			select {
			case <-time.After(100 * time.Millisecond):
				continue
			case <-ctx.Done():
				return
			}
		}
		streams.Go(func() {
			err := server.Serve(context.WithoutCancel(ctx), tcp.NewServer(conn, maxMessage))
			log.Debug("a connection ended", "remote", conn.RemoteAddr(), "error", err)
		})
	}
}

// newWeb is a server for what may be asked of a gateway over HTTP.
func newWeb(handler http.Handler, log hclog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: askPatience,
		IdleTimeout:       idlePatience,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
}

// gatewayStatus answers what a gateway is asked about.
//
//	GET /sessions   a JSON array, sorted by name
//	GET /stats      counters since the start
//	GET /healthz    200 while the gateway runs
func gatewayStatus(server *link.Server) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sessions", func(w http.ResponseWriter, _ *http.Request) {
		lines := []sessionStatus{} // an empty list is [], not null
		for _, s := range server.Sessions() {
			lines = append(lines, sessionStatus{
				Session: s.ID, State: s.State.String(), Cause: s.Cause.String(), Phi: level.Phi(s.Phi), RTT: float64(s.RTT.Microseconds()) / 1000,
				Remote: s.Remote, Transport: s.Transport, Since: s.Since.UTC(), LastHeard: s.LastHeard.UTC(), State64: s.State64,
			})
		}
		serveJSON(w, lines)
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		n := server.Stats()
		serveJSON(w, map[string]any{
			"connections": n.Connections.Load(), "spares": n.Spares.Load(), "beats": n.Beats.Load(), "pings": n.Pings.Load(), "skipped": n.Skipped.Load(),
			"blocked": n.Blocked.Load(), "unasked": n.Unasked.Load(), "too_fast": n.TooFast.Load(), "refused": n.Refused.Load(),
			"duplicates": n.Duplicates.Load(),
		})
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	return mux
}

// sessionStatus is an element of GET /sessions.
type sessionStatus struct {
	Session   string    `json:"session"`
	State     string    `json:"state"`
	Cause     string    `json:"cause,omitempty"`
	Phi       level.Phi `json:"phi"`
	RTT       float64   `json:"rtt_ms"`
	Remote    string    `json:"remote"`
	Transport string    `json:"transport"`
	Since     time.Time `json:"since"`
	LastHeard time.Time `json:"last_heard"`
	State64   []byte    `json:"state64,omitempty"`
}

// origins are hosts whose pages may connect, with commas or from several flags.
type origins []text

func parseOrigins(list string, _ *kong.Tag, to *origins) error {
	for o := range strings.SplitSeq(list, ",") {
		o = strings.TrimSpace(o)
		if o == "" || strings.ContainsAny(o, "/ ") {
			return fmt.Errorf("%q: want HOST or HOST:PORT, without a scheme or path, or *", o)
		}
		*to = append(*to, text(o))
	}
	return nil
}

func serveJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) // an error is the client's going
}
