package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/tcp"
	"github.com/pulsering/pulsering/detector/link/ws"
)

type connectCmd struct {
	URL     gatewayURL `arg:"" placeholder:"URL" help:"The gateway: ws://HOST:PORT/ws, wss://HOST/ws, tcp://HOST:PORT or tls://HOST:PORT."`
	Session text       `placeholder:"NAME" help:"Name of the session, up to 128 bytes. Its secret is kept in a file, so that this command can resume it. Default: one that the gateway makes up."`
	trusted
	Every span `default:"1s" min:"10ms" max:"1h" help:"How often the round-trip time is shown."`

	JSON     bool   `name:"json" help:"Print JSON, one object a line."`
	LogLevel choice `of:"trace,debug,info,warn,error,off" default:"info" placeholder:"LEVEL" help:"Log lines on standard error: trace, debug, info, warn, error or off. Default: info."`
}

func (connectCmd) Help() string {
	return `Stays connected until Ctrl-C, which says goodbye: when a connection ends, it connects again and resumes the session. A line tells each change of the session's state as this end sees it, and one a second the round-trip time that the gateway measured.

    pulsering gateway --tcp 127.0.0.1:9001 &
    pulsering connect ws://127.0.0.1:9000/ws
    pulsering connect tcp://127.0.0.1:9001 --session ann --json
    pulsering connect wss://gate.example.com/ws --ca gate.pem
`
}

// wrong returns what is wrong with flags that go together.
func (c *connectCmd) wrong() []error {
	errs := c.trusted.wrong(c.URL)
	if n := len(c.Session); n > link.MaxName {
		errs = append(errs, fmt.Errorf("--session: %d bytes: want at most %d", n, link.MaxName))
	}
	return errs
}

// gatewayURL says where a gateway is, and how it is spoken to.
type gatewayURL struct{ at *url.URL }

// String is for people: it has no password.
func (g gatewayURL) String() string { return g.at.Redacted() }

func parseGatewayURL(s string, _ *kong.Tag, to *gatewayURL) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "":
		return fmt.Errorf("%s is no URL of a gateway: want ws://HOST:PORT/ws, wss://HOST/ws, tcp://HOST:PORT or tls://HOST:PORT", wrongURL(s))
	case u.Scheme == "tcp" || u.Scheme == "tls":
		if _, err := parseAddress(u.Host, false); err != nil {
			return err
		}
		if u.Path != "" && u.Path != "/" {
			return fmt.Errorf("%s has a path: want %s://HOST:PORT", wrongURL(s), u.Scheme)
		}
	case u.Scheme != "ws" && u.Scheme != "wss":
		return fmt.Errorf("%s begins with %s: want ws, wss, tcp or tls", wrongURL(s), u.Scheme)
	}
	to.at = u
	return nil
}

// secure tells whether the gateway is spoken to in TLS.
func (g gatewayURL) secure() bool { return g.at.Scheme == "wss" || g.at.Scheme == "tls" }

// dial connects to the gateway, and in TLS only to one that trust holds for good.
func (g gatewayURL) dial(ctx context.Context, trust *tls.Config) (link.Transport, error) {
	dialer := net.Dialer{KeepAliveConfig: keepAlive}
	if g.at.Scheme == "ws" || g.at.Scheme == "wss" {
		c, err := ws.Dialer{TLS: trust, NetDial: dialer.DialContext}.Dial(ctx, g.at.String())
		if err != nil {
			return nil, err
		}
		return c, nil
	}
	var conn net.Conn
	var err error
	if g.secure() {
		conn, err = (&tls.Dialer{NetDialer: &dialer, Config: trust}).DialContext(ctx, "tcp", g.at.Host)
	} else {
		conn, err = dialer.DialContext(ctx, "tcp", g.at.Host)
	}
	if err != nil {
		return nil, err
	}
	return tcp.New(conn, 0), nil
}

// Run keeps a session until ctx ends.
func (c *connectCmd) Run(ctx context.Context, con console) error {
	signal.Ignore(syscall.SIGPIPE)
	log := newLogger(con, c.LogLevel)
	trust, err := c.trust(c.URL)
	if err != nil {
		return err
	}
	kept := newKeptSession(c.URL.at.String(), string(c.Session))
	cfg := link.Config{Session: string(c.Session), Secret: kept.load()}
	log.Info("connecting: this goes on until the gateway answers", "url", c.URL.String())
	dial := func(ctx context.Context) (link.Transport, error) {
		t, err := c.URL.dial(ctx, trust)
		if err != nil && ctx.Err() == nil {
			log.Warn("cannot connect; trying again", "error", err)
		}
		return t, err
	}
	client, err := link.Dial(ctx, cfg, dial)
	if err != nil {
		return fmt.Errorf("%s: %w", c.URL, err)
	}
	defer client.Close()
	if err := kept.save(client.Secret()); err != nil {
		log.Warn("the session cannot be resumed by another run of this command", "error", err)
	}
	log.Info("connected: Ctrl-C says goodbye", "session", client.Session().ID)

	out := &printer{out: con.out, json: c.JSON, color: con.outColor, leaveOn: "any", log: log}
	printing, stop := context.WithCancel(ctx)
	defer stop()
	events := client.Events(printing)
	now := client.Session()
	lines := make(chan line, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for e := range events {
			select {
			case lines <- newSessionLine(e.Kind(), e.Session, e.At, e.Folded):
			case <-printing.Done():
				return
			}
		}
	}()
	if err := out.print(printing, newSessionLine(now.State.String(), now, time.Now(), 0)); err != nil {
		return err
	}
	every := time.NewTicker(time.Duration(c.Every))
	defer every.Stop()
	for {
		var next line
		select {
		case next = <-lines:
			kept.save(client.Secret())
		case <-every.C:
			s := client.Session()
			if s.State != link.Up && s.State != link.Suspect || s.RTT == 0 {
				continue
			}
			next = newSessionLine("rtt", s, time.Now(), 0)
		case <-ended:
			if ctx.Err() == nil {
				kept.forget()
				return fmt.Errorf("the session is over: %w", client.Err())
			}
			log.Info("saying goodbye")
			kept.forget()
			return nil
		case <-ctx.Done():
			log.Info("saying goodbye")
			kept.forget()
			return nil
		}
		if err := out.print(printing, next); err != nil {
			return err
		}
	}
}

// keptSession is a file with the secret of a named session: who runs this command again under the same name resumes it.
type keptSession struct{ path string }

type keptSecret struct {
	Secret string `json:"secret"`
}

func newKeptSession(gateway, name string) keptSession {
	dir, err := os.UserCacheDir()
	if err != nil || name == "" {
		return keptSession{}
	}
	sum := sha256.Sum256([]byte(gateway + "\x00" + name))
	return keptSession{filepath.Join(dir, "pulsering", "sessions", hex.EncodeToString(sum[:16])+".json")}
}

// load returns the secret; empty: there is none.
func (k keptSession) load() string {
	var kept keptSecret
	b, err := os.ReadFile(k.path)
	if k.path == "" || err != nil || json.Unmarshal(b, &kept) != nil {
		return ""
	}
	return kept.Secret
}

func (k keptSession) save(secret string) error {
	if k.path == "" || secret == "" || k.load() == secret {
		return nil
	}
	b, err := json.Marshal(keptSecret{Secret: secret})
	return errors.Join(err, os.MkdirAll(filepath.Dir(k.path), 0o700), os.WriteFile(k.path, b, 0o600))
}

func (k keptSession) forget() {
	if k.path != "" {
		os.Remove(k.path)
	}
}
