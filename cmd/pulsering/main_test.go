package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
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
	for _, command := range []string{"demo", "node", "members", "events", "top", "explain", "ping", "leave", "forget", "keepalive", "nat", "keygen", "replay", "completion",
		"man", "version"} {
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
		{"node --isolated-down-after 0", []string{"--isolated-down-after", "0s", "1s to 720h", "never"}},
		{"node --isolated-down-after 31d", []string{"--isolated-down-after", `"31d"`, "unit", "never"}},
		{"node --leave-on-output-error sometimes", []string{"--leave-on-output-error", `"sometimes"`, "closed, any, never"}},
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
		{"node --join a:1,,b:2", []string{"--join", `""`, "want an address"}},
		{"node --join a:0", []string{"--join", `"a:0"`, "1 to 65535"}},
		{"node --join :7946", []string{"--join", `":7946"`, "host"}},
		{"node --http 127.0.0.1:65536", []string{"--http", "65536", "65535"}},
		{"node --tag zone", []string{"--tag", `"zone"`, "key=value"}},
		{"node --tag =a", []string{"--tag", `"=a"`, "key=value"}},
		{"node --tag a=1 --tag a=2", []string{"--tag", `"a"`, "twice"}},
		{"node --key-file no-such-file", []string{"--key-file", "no-such-file"}},
		{"node --log-level loud", []string{"--log-level", `"loud"`, "debug"}},
		{"node --name bell\a --bind 127.0.0.1:0", []string{"--name", `"bell\a"`, "printable"}},
		{"node --name a --bind 127.0.0.1:0 --tag k=" + strings.Repeat("x", 600), []string{"--tag:", "605", "at most 486"}},
		{"members --http :8080", []string{"--http", `":8080"`, "host"}},
		{"keepalive", []string{"HOST:PORT"}},
		{"keepalive 22", []string{"HOST:PORT: ", `"22"`, "host:port"}},
		{"keepalive :22", []string{"HOST:PORT: ", "host"}},
		{"keepalive a:22 --idle 0", []string{"--idle", "0s", "1s to 9h6m7s"}},
		{"keepalive a:22 --idle 1500ms", []string{"--idle", "1.5s", "whole seconds", "1s to 9h6m7s"}},
		{"keepalive a:22 --interval 10h", []string{"--interval", "10h0m0s", "1s to 9h6m7s"}},
		{"keepalive a:22 --probes 128", []string{"--probes", `"128"`, "1 to 127"}},
		{"keepalive a:22 --probes few", []string{"--probes", `"few"`, "1 to 127"}},
		{"keepalive a:22 --for 1ms", []string{"--for", "1ms", "1s to 8760h"}},
		{"nat", []string{"GATEWAY"}},
		{"nat 22", []string{"GATEWAY: ", `"22"`, "host:port"}},
		{"nat :22", []string{"GATEWAY: ", "host"}},
		{"nat http://a:1", []string{"GATEWAY: ", "http", "ws, wss, tcp or tls"}},
		{"nat a:1 --longest 2h", []string{"--longest", "2h0m0s", "1s to 1h"}},
		{"nat a:1 --longest ten", []string{"--longest", `"ten"`, "unit"}},
		{"nat a:1 --precision 1ms", []string{"--precision", "1ms", "100ms to 10m"}},
		{"nat a:1 --patience 0", []string{"--patience", "0s", "100ms to 1m"}},
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

// All that is wrong is said at once, and in terms of flags: what the flags' own types find, and what only the library knows.
func TestAllErrorsAtOnce(t *testing.T) {
	code, _, stderr := pulsering(t, "node", "--beat", "0", "--observers", "7", "--advertise", "here:1", "--name", "a b", "--join", "x:0,:1",
		"--log-level", "loud", "--isolated-down-after", "0", "--label", strings.Repeat("x", 256))
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	wants := []string{"--beat: 0s", `--observers: "7"`, `--join: "x:0"`, `--join: ":1"`, `--log-level: "loud"`, "--isolated-down-after: 0s",
		`--name: "a b"`, `--advertise: "here:1"`, "--label: 256"}
	if code != exitUsage || len(lines) != len(wants)+1 {
		t.Errorf("exit code %d, %d lines; want %d, an error a line and the hint:\n%s", code, len(lines), exitUsage, stderr)
	}
	for _, want := range wants {
		if strings.Count(stderr, "pulsering: error: "+want) != 1 {
			t.Errorf("no line about %s in:\n%s", want, stderr)
		}
	}
	if _, _, stderr := pulsering(t, "node", "--beat", "0", "--no-such-flag"); !strings.Contains(stderr, "--beat: 0s") || !strings.Contains(stderr, "no-such-flag") {
		t.Errorf("with a flag that is unknown:\n%s", stderr)
	}
}

// Whatever field of the library's Config an error or a hint names, the user reads a flag that there is.
// A URL that is wrong may be wrong in any place, and whose password it has is nobody's business.
func TestWrongURLsTellNoPassword(t *testing.T) {
	for _, url := range []string{
		"http://u:secret@h:x/", "http://u:secret@[::1/", "ftp://u:secret@h/", "u:secret@h:1/x", "http:/u:secret@h/", "//u:secret@h/", "http://u:secret@h/%zz", "wss://u:secret@h:x/",
		"tcp://u:secret@h:1/path", "ftp://u:secret@h:1", "tcp://u:secret@h",
	} {
		for _, command := range [][]string{{"node", "--check-http"}, {"connect"}, {"nat"}, {"members", "--http"}} {
			code, out, stderr := pulsering(t, append(command, url)...)
			if code != exitUsage || strings.Contains(out+stderr, "secret") {
				t.Errorf("%v %s: %d %q %q", command, url, code, out, stderr)
			}
		}
	}
	var gate gatewayURL
	if err := parseGatewayURL("wss://u:secret@h/ws", nil, &gate); err != nil || strings.Contains(gate.String(), "secret") {
		t.Errorf("%v, %v", gate, err)
	}
}

func TestFieldsAreFlags(t *testing.T) {
	var flags reader
	parser, err := kong.New(&cli{}, flags.options()...)
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, command := range parser.Model.Children {
		for _, flag := range command.Flags {
			known["--"+flag.Name] = command.Name == "node" || known["--"+flag.Name]
		}
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[cluster.Config]()) {
		if field.Name == "Transport" || field.Name == "Logger" {
			continue
		}
		flag := fieldFlags[field.Name]
		if !known[flag] {
			t.Errorf("%s is filled by %q, which is no flag", field.Name, flag)
		}
		text := fmt.Sprintf("cluster: %s[3]: is 7; set Config.%[1]s\ncluster: %[1]s: is 8", field.Name)
		if got, want := inFlags(text), fmt.Sprintf("%s: is 7; set %[1]s\n%[1]s: is 8", flag); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{"cluster: Join: no seed answered", "Config.Transport", "the cluster: Name: x", "MyConfig.Name"} {
		if got := inFlags(text); got != text {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}

func TestJoinWithoutPort(t *testing.T) {
	for given, want := range map[string]string{
		"a":                           "a:7946",
		"a.example":                   "a.example:7946",
		"10.0.0.1":                    "10.0.0.1:7946",
		"10.0.0.1:1":                  "10.0.0.1:1",
		"::1":                         "[::1]:7946",
		"[::1]":                       "[::1]:7946",
		"[::1]:5":                     "[::1]:5",
		"fe80::1%eth0":                "[fe80::1%eth0]:7946",
		"2001:db8::1:7946":            "[2001:db8::1:7946]:7946",
		"a, b:2 ,[2001:db8::7],a":     "a:7946 b:2 [2001:db8::7]:7946",
		"a,a:7946,10.0.0.1,::1,[::1]": "a:7946 10.0.0.1:7946 [::1]:7946",
	} {
		if got := strings.Join(parseNode(t, "--join", given).config(nil).Seeds, " "); got != want {
			t.Errorf("--join %q: %s; want %s", given, got, want)
		}
	}
	if got := strings.Join(parseNode(t, "--join", "a", "--join", "b:2,a").config(nil).Seeds, " "); got != "a:7946 b:2" {
		t.Errorf("two flags: %s", got)
	}
	for _, wrong := range []string{"a:", "a:b", "[::1", "::1]", "[::1]:", "[a]", "a b:c", ",", "a,", ":7946", "a:1:2", "[::1]:0"} {
		if code, _, stderr := pulsering(t, "node", "--join", wrong); code != exitUsage || !strings.Contains(stderr, "--join: ") {
			t.Errorf("--join %q: exit code %d, %s", wrong, code, stderr)
		}
	}
}

func TestNever(t *testing.T) {
	for given, want := range map[string]time.Duration{"never": -1, "-1s": -1, "5s": 5 * time.Second} {
		if got := parseNode(t, "--isolated-down-after="+given).config(nil).IsolatedDownAfter; got != want {
			t.Errorf("--isolated-down-after=%s: %v; want %v", given, got, want)
		}
	}
}

// parseNode returns the node command that the arguments make.
func parseNode(t *testing.T, args ...string) *nodeCmd {
	t.Helper()
	var c cli
	var flags reader
	parser, err := kong.New(&c, flags.options()...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(append([]string{"node"}, args...)); err != nil || flags.wrong != nil {
		t.Fatal(err, flags.wrong)
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
		cfg.IsolatedDownAfter != cluster.DefaultIsolatedDownAfter ||
		cfg.Observers != cluster.DefaultObservers || cfg.Heartbeats != cluster.Ring {
		t.Errorf("defaults differ: %+v", cfg)
	}
	parser, err := kong.New(&cli{}, new(reader).options()...)
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, command := range parser.Model.Children {
		for _, flag := range command.Flags {
			ofLibrary := slices.Contains(slices.Collect(maps.Values(fieldFlags)), "--"+flag.Name)
			if flag.Tag.Get("max") == "" || command.Name != "node" || !ofLibrary { // keepalive's: TestKeepaliveLimitsAreTheLibrarys
				continue
			}
			checked++
			var wrong cluster.Config
			want := flag.Tag.Get("min") + " to " + flag.Tag.Get("max")
			switch flag.Name {
			case "observers":
				wrong.Observers = -1
			case "expect": // 0 is the library's word for 1, and no flag
				wrong.Expect, want = -1, "to "+flag.Tag.Get("max")
			default:
				low, high := mustDuration(flag.Tag.Get("min")), mustDuration(flag.Tag.Get("max"))
				field := map[string]*time.Duration{"beat": &wrong.Beat, "stall-allowance": &wrong.StallAllowance,
					"false-alarm-every": &wrong.FalseAlarmEvery, "forget-after": &wrong.ForgetAfter,
					"isolated-down-after": &wrong.IsolatedDownAfter}[flag.Name]
				*field, want = high+1, low.String()+" to "+high.String()
			}
			if _, err := cluster.Join(t.Context(), wrong); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("--%s: the library says %v; want %q", flag.Name, err, want)
			}
		}
	}
	if checked != 7 {
		t.Errorf("%d flags with limits; want 7", checked)
	}
}

func TestKeygenMakesKeyFiles(t *testing.T) {
	_, one, _ := pulsering(t, "keygen")
	_, two, _ := pulsering(t, "keygen")
	keys, err := parseKeys([]byte("# ours\n\n" + one + "  " + two))
	if err != nil || len(keys) != 2 || len(keys[0]) != 32 || bytes.Equal(keys[0], keys[1]) {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

// The file is its owner's alone, whatever the umask is, and never takes the place of another key.
func TestKeygenMakesAPrivateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ring.key")
	if code, out, stderr := pulsering(t, "keygen", "--out", path); code != 0 || out != "" || stderr != "" {
		t.Fatalf("%d %q %q", code, out, stderr)
	}
	key, err := readKeyFile(path, false)
	if err != nil || len(key.keys) != 1 || key.exposed {
		t.Errorf("%d keys, exposed %v, %v", len(key.keys), key.exposed, err)
	}
	if code, _, stderr := pulsering(t, "keygen", "--out", path); code != exitFailed || !strings.HasPrefix(stderr, "pulsering: error: --out: open "+path) {
		t.Errorf("a second time: %d %q", code, stderr)
	}
	if again, err := readKeyFile(path, false); err != nil || !bytes.Equal(again.keys[0], key.keys[0]) {
		t.Errorf("the key was changed, %v", err)
	}
}

func TestKeyFile(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", "no key"},
		{"# nothing\n\n", "no key"},
		{"AAECAwQFBgcICQoLDA0ODw==\nAAEC", "line 2 is 3 bytes long: want 16, 24 or 32"},
		{"\n\nsecret!\n", "line 3 is no base64"},
	} {
		_, err := parseKeys([]byte(test.text))
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
		if k, err := readKeyFile(path, false); err != nil || k.exposed != exposed {
			t.Errorf("mode %o: exposed %v, %v; want %v", mode, k.exposed, err, exposed)
		}
	}
}

func TestVersion(t *testing.T) {
	_, want, _ := pulsering(t, "version")
	for _, args := range [][]string{{"--version"}, {"node", "--version"}, {"--version", "node", "--beat", "0"}} {
		if code, out, stderr := pulsering(t, args...); code != 0 || out != want || stderr != "" {
			t.Errorf("%v: exit code %d, %q, %q; want %q", args, code, out, stderr, want)
		}
	}
	if code := run(t.Context(), []string{"--version"}, console{out: fullDisk{}, err: io.Discard}); code != exitFailed {
		t.Errorf("--version on a full disk: exit code %d; want %d", code, exitFailed)
	}
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
