package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/pulsering/pulsering/cluster"
)

// pulsering runs the command in this process.
func pulsering(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), args, console{out: &out, err: &err})
	return code, out.String(), err.String()
}

func TestHelp(t *testing.T) {
	for _, command := range []string{"demo", "node", "members", "events", "keygen", "version"} {
		code, out, stderr := pulsering(t, command, "--help")
		if code != 0 || stderr != "" {
			t.Errorf("%s --help: exit code %d, stderr %q", command, code, stderr)
		}
		if !strings.Contains(out, "    pulsering "+command) {
			t.Errorf("%s --help has no example:\n%s", command, out)
		}
		if _, all, _ := pulsering(t, "--help"); !strings.Contains(all, command) {
			t.Errorf("--help does not list %s", command)
		}
	}
	if code, out, stderr := pulsering(t); code != exitUsage || out != "" || !strings.Contains(stderr, "pulsering demo") {
		t.Errorf("without arguments: exit code %d, stdout %q, stderr %q; want 2 and the help on stderr", code, out, stderr)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// A help that cannot be written is a failure, not a wrong use that the same help could mend.
func TestHelpThatCannotBeWritten(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"node", "--help"}} {
		var stderr strings.Builder
		code := run(t.Context(), args, console{out: fullDisk{}, err: &stderr})
		if want := "pulsering: error: no space left on device\n"; code != exitFailed || stderr.String() != want {
			t.Errorf("%v on a full disk: exit %d, %q; want %d and %q", args, code, stderr.String(), exitFailed, want)
		}
	}
}

func TestWrongUsage(t *testing.T) {
	for _, test := range []struct {
		args string
		want []string // flag, value, limit
	}{
		{"node --beat 0", []string{"--beat", "0s", "5ms to 10s"}},
		{"node --beat=-1s", []string{"--beat", "-1s", "5ms to 10s"}},
		{"node --beat 1h", []string{"--beat", "1h0m0s", "5ms to 10s"}},
		{"node --beat 125", []string{"--beat", `"125"`, "unit"}},
		{"node --stall-allowance 0s", []string{"--stall-allowance", "0s", "1ms to 1m"}},
		{"node --false-alarm-every 0", []string{"--false-alarm-every", "0s", "1m to 876000h"}},
		{"node --forget-after 1s", []string{"--forget-after", "1s", "1m to 87600h"}},
		{"node --observers 0", []string{"--observers", `"0"`, "2 to 64"}},
		{"node --observers=-1", []string{"--observers", `"-1"`, "2 to 64"}},
		{"node --observers 1000", []string{"--observers", `"1000"`, "2 to 64"}},
		{"node --observers 7", []string{"--observers", `"7"`, "even"}},
		{"node --heartbeats loud", []string{"--heartbeats", `"loud"`, "ring"}},
		{"node --name=", []string{"--name", "empty"}},
		{"node --bind=", []string{"--bind", "empty"}},
		{"node --bind 7946", []string{"--bind", `"7946"`, "host:port"}},
		{"node --join=", []string{"--join", "empty"}},
		{"node --join a:1,,b:2", []string{"--join", `""`, "host:port"}},
		{"node --join a:0", []string{"--join", `"a:0"`, "1 to 65535"}},
		{"node --join :7946", []string{"--join", `":7946"`, "host"}},
		{"node --http 127.0.0.1:65536", []string{"--http", "65536", "65535"}},
		{"node --tag zone", []string{"--tag", `"zone"`, "key=value"}},
		{"node --tag =a", []string{"--tag", `"=a"`, "key=value"}},
		{"node --tag a=1 --tag a=2", []string{"--tag", `"a"`, "twice"}},
		{"node --key-file no-such-file", []string{"--key-file", "no-such-file"}},
		{"node --log-level loud", []string{"--log-level", `"loud"`, "debug"}},
		{"node --name bell\a --bind 127.0.0.1:0", []string{"Name", `"bell\a"`, "printable"}},
		{"node --name a --bind 127.0.0.1:0 --tag k=" + strings.Repeat("x", 600), []string{"Tags", "605", "at most 487"}},
		{"members --http :8080", []string{"--http", `":8080"`, "host"}},
		{"nod", []string{"node"}},
		{"node one", []string{"one"}},
	} {
		code, out, stderr := pulsering(t, strings.Fields(test.args)...)
		if code != exitUsage || out != "" {
			t.Errorf("%s: exit code %d, stdout %q; want %d and nothing", test.args, code, out, exitUsage)
		}
		first, hint, _ := strings.Cut(stderr, "\n")
		for _, want := range test.want {
			if !strings.Contains(first, want) {
				t.Errorf("%s: the error does not name %s: %s", test.args, want, first)
			}
		}
		if !strings.Contains(hint, "--help") {
			t.Errorf("%s: no hint at the help: %q", test.args, stderr)
		}
	}
}

// parseNode returns the node command that the arguments make.
func parseNode(t *testing.T, args ...string) *nodeCmd {
	t.Helper()
	var c cli
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(append([]string{"node"}, args...)); err != nil {
		t.Fatal(err)
	}
	return &c.Node
}

func TestNodeConfig(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("AAECAwQFBgcICQoLDA0ODw==\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := parseNode(t, "--name", "a", "--bind", "127.0.0.1:0", "--advertise", "10.0.0.1:7", "--join", "b:1,c:2", "--join", "d:3",
		"--label", "blue", "--key-file", key, "--tag", "zone=a=b", "--tag", "empty=", "--tag", "list=1,2;3", "--beat", "50ms",
		"--stall-allowance", "100ms", "--false-alarm-every", "24h", "--forget-after", "1h", "--observers", "4",
		"--heartbeats", "probes").config(nil)
	if cfg.Name != "a" || cfg.Bind != "127.0.0.1:0" || cfg.Advertise != "10.0.0.1:7" || cfg.Label != "blue" {
		t.Errorf("texts: %+v", cfg)
	}
	if got := strings.Join(cfg.Seeds, " "); got != "b:1 c:2 d:3" {
		t.Errorf("seeds %q", got)
	}
	if len(cfg.Tags) != 3 || cfg.Tags["zone"] != "a=b" || cfg.Tags["list"] != "1,2;3" {
		t.Errorf("tags %v", cfg.Tags)
	}
	if len(cfg.Keys) != 1 || len(cfg.Keys[0]) != 16 {
		t.Errorf("%d keys", len(cfg.Keys))
	}
	if cfg.Beat != 50*time.Millisecond || cfg.StallAllowance != 100*time.Millisecond || cfg.FalseAlarmEvery != 24*time.Hour ||
		cfg.ForgetAfter != time.Hour || cfg.Observers != 4 || cfg.Heartbeats != cluster.Probes {
		t.Errorf("numbers: %+v", cfg)
	}
}

// The flags have the defaults and the limits of the library.
func TestLimitsAreTheLibrarys(t *testing.T) {
	cfg := parseNode(t).config(nil)
	if cfg.Beat != cluster.DefaultBeat || cfg.StallAllowance != cluster.DefaultStallAllowance ||
		cfg.FalseAlarmEvery != cluster.DefaultFalseAlarmEvery || cfg.ForgetAfter != cluster.DefaultForgetAfter ||
		cfg.Observers != cluster.DefaultObservers || cfg.Heartbeats != cluster.Ring {
		t.Errorf("defaults differ: %+v", cfg)
	}
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, command := range parser.Model.Children {
		for _, flag := range command.Flags {
			if flag.Tag.Get("max") == "" {
				continue
			}
			checked++
			var wrong cluster.Config
			want := flag.Tag.Get("min") + " to " + flag.Tag.Get("max")
			if flag.Name == "observers" {
				wrong.Observers = -1
			} else {
				low, high := mustDuration(flag.Tag.Get("min")), mustDuration(flag.Tag.Get("max"))
				field := map[string]*time.Duration{"beat": &wrong.Beat, "stall-allowance": &wrong.StallAllowance,
					"false-alarm-every": &wrong.FalseAlarmEvery, "forget-after": &wrong.ForgetAfter}[flag.Name]
				*field, want = high+1, low.String()+" to "+high.String()
			}
			if _, err := cluster.Join(t.Context(), wrong); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("--%s: the library says %v; want %q", flag.Name, err, want)
			}
		}
	}
	if checked != 5 {
		t.Errorf("%d flags with limits; want 5", checked)
	}
}

func TestKeygenMakesKeyFiles(t *testing.T) {
	_, one, _ := pulsering(t, "keygen")
	_, two, _ := pulsering(t, "keygen")
	keys, err := parseKeys(strings.NewReader("# ours\n\n" + one + "  " + two))
	if err != nil || len(keys) != 2 || len(keys[0]) != 32 || bytes.Equal(keys[0], keys[1]) {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

func TestKeyFile(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", "no key"},
		{"# nothing\n\n", "no key"},
		{"AAECAwQFBgcICQoLDA0ODw==\nAAEC", "line 2 is 3 bytes long: want 16, 24 or 32"},
		{"\n\nsecret!\n", "line 3 is no base64"},
	} {
		_, err := parseKeys(strings.NewReader(test.text))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v; want %q", test.text, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells the key: %v", err)
		}
	}
	path := filepath.Join(t.TempDir(), "key")
	for mode, exposed := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o644: true} {
		os.Remove(path)
		if err := os.WriteFile(path, []byte("AAECAwQFBgcICQoLDA0ODw=="), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if k, err := readKeyFile(path); err != nil || k.exposed != exposed {
			t.Errorf("mode %o: exposed %v, %v; want %v", mode, k.exposed, err, exposed)
		}
	}
}

func TestVersion(t *testing.T) {
	if code, out, _ := pulsering(t, "version"); code != 0 || !strings.HasPrefix(out, "pulsering ") || !strings.Contains(out, "go1.") {
		t.Errorf("exit code %d, %q", code, out)
	}
}

// A signal's exit code shows only where the signal cut the work short.
func TestSignalledError(t *testing.T) {
	var err error = signalled{syscall.SIGTERM}
	if !errors.Is(err, context.Canceled) || signalled.exitCode(signalled{syscall.SIGINT}) != 130 {
		t.Errorf("%v: Is(Canceled) %v", err, errors.Is(err, context.Canceled))
	}
}
