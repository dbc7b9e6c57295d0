package main

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// longestSocket is how long the path of a Unix socket may be: sun_path has 104 bytes on macOS and BSD, 108 on Linux, and ends with a zero.
const longestSocket = 103

// stateFlags say what a node keeps on this machine.
type stateFlags struct {
	StateDir text `placeholder:"DIR" help:"Directory that remembers the members and this node's boot, so that it comes back without --join. In $XDG_RUNTIME_DIR/pulsering, ~/.local/state/pulsering, /run/pulsering or /var/lib/pulsering, or one directory below, other commands find the node by themselves. Default: none."`
	Control  text `placeholder:"PATH" help:"Unix socket, of mode 0600, that the node is asked and told through. Of PULSERING_CONTROL in the environment, too, which also names the node that other commands ask: in a shell that exports it a second node needs a --control of its own. Default: control.sock in --state-dir; none without."`
}

// wrong returns what is wrong with flags that go together.
func (f stateFlags) wrong() []error {
	var errs []error
	if info, err := os.Stat(string(f.StateDir)); f.StateDir != "" && err == nil && !info.IsDir() {
		errs = append(errs, fmt.Errorf("--state-dir: %s is a file: give a directory; it is made where there is none", f.StateDir))
	}
	if socket := f.socket(); len(socket) > longestSocket {
		if f.Control != "" {
			errs = append(errs, fmt.Errorf("--control: the path is %d bytes long: want at most %d, which is what a socket's name may have",
				len(socket), longestSocket))
		} else {
			errs = append(errs, fmt.Errorf("--state-dir: the path of the control.sock in it is %d bytes long: want at most %d, which is what "+
				"a socket's name may have: take a shorter one, or give --control another path", len(socket), longestSocket))
		}
	}
	return errs
}

// socket is the path of the Unix socket; empty: there is none.
func (f stateFlags) socket() string {
	if f.Control == "" && f.StateDir != "" {
		return filepath.Join(string(f.StateDir), "control.sock")
	}
	return string(f.Control)
}

// eventFlags say what runs when something happens.
type eventFlags struct {
	OnEvent        text `placeholder:"COMMAND" help:"Command of the shell to run at each event, which it gets as JSON on its standard input."`
	OnEventTimeout span `default:"10s" min:"100ms" max:"1h" help:"How long --on-event may take before it is killed."`
}

// checkFlags say how a node finds out whether the service beside it works.
type checkFlags struct {
	CheckHTTP     webURL `name:"check-http" placeholder:"URL" help:"Ask this URL whether the service works: any answer of 200 to 299 is a yes. A member whose service does not work is shown as wedged."`
	CheckExec     text   `placeholder:"COMMAND" help:"Run this command of the shell to see whether the service works: 0 is a yes."`
	CheckInterval span   `default:"5s" min:"100ms" max:"1h" help:"Time between two checks."`
	CheckTimeout  span   `default:"2s" min:"10ms" max:"1h" help:"How long a check may take; after that it is a no. At most --check-interval."`
	CheckTries    count  `default:"3" min:"1" max:"100" help:"How many checks in a row have to fail before the service counts as wedged."`
}

// wrong returns what is wrong with flags that go together.
func (f checkFlags) wrong() []error {
	var errs []error
	if f.CheckHTTP != "" && f.CheckExec != "" {
		errs = append(errs, fmt.Errorf("--check-exec: there is --check-http too: give one of them"))
	}
	if (f.CheckHTTP != "" || f.CheckExec != "") && f.CheckTimeout > f.CheckInterval {
		errs = append(errs, fmt.Errorf("--check-timeout: %v is out of range: want at most --check-interval, which is %v",
			time.Duration(f.CheckTimeout), time.Duration(f.CheckInterval)))
	}
	return errs
}

// serviceArgs are what stands behind the flags: -- and a service to run.
type serviceArgs struct {
	Service []string `arg:"" optional:"" passthrough:"partial" name:"command" help:"After --: a service to start, and its arguments."`
}

// command is the service and its arguments; none: there is nothing to start.
func (s serviceArgs) command() []string {
	if len(s.Service) < 2 {
		return nil
	}
	return s.Service[1:]
}

// wrong returns what is wrong with the arguments: kong leaves the -- in them.
func (s serviceArgs) wrong() []error {
	switch {
	case len(s.Service) > 0 && s.Service[0] != "--":
		return []error{fmt.Errorf("unexpected argument %s: a service to run stands after --, as in: pulsering node --name a -- sleep 60", printable(s.Service[0]))}
	case len(s.Service) == 1:
		return []error{fmt.Errorf("--: nothing stands behind it: give the service to run, or leave it out")}
	}
	return nil
}

// webURL is an address of http or https.
type webURL string

func parseWebURL(s string, _ *kong.Tag, to *webURL) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return fmt.Errorf("%s is no URL: want http://HOST:PORT/PATH or https://…", wrongURL(s))
	}
	*to = webURL(s)
	return nil
}

// hidePassword is a URL without the password that may be in it.
func hidePassword(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "" // where the password is, is not known
	}
	return u.Redacted()
}

// wrongURL is how an error names a text that should be a URL: as it is, unless there may be a password in it. It is not looked for:
// what is no URL of ours has it anywhere, and "u:secret@host" is one of scheme u, to which nothing in it is a password.
func wrongURL(s string) string {
	if strings.Contains(s, "@") {
		return "this"
	}
	return strconv.Quote(s)
}
