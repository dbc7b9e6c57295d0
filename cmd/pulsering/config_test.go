package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// configFile writes a configuration, and returns where.
func configFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pulsering.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// parsed are the settings that the arguments make, which have to be right.
func parsed(t *testing.T, args ...string) *settings {
	t.Helper()
	s := parse(t.Context(), args, console{out: t.Output(), err: t.Output()})
	if len(s.wrong) > 0 || s.broken != nil || s.done {
		t.Fatalf("%v: %v %v", args, s.wrong, s.broken)
	}
	return s
}

// samples are three values of each flag that the environment and a file may set, as they stand on the command line. The files
// are made by the test.
func samples(t *testing.T) map[string][3]string {
	t.Helper()
	dir := t.TempDir()
	files := func(texts ...string) (paths [3]string) {
		for i, text := range texts {
			f, err := os.CreateTemp(dir, "sample")
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			f.WriteString(text) // of mode 0600
			paths[i] = f.Name()
		}
		return paths
	}
	return map[string][3]string{
		"name":                  {"ant", "bee", "cat"},
		"bind":                  {"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"},
		"advertise":             {"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"},
		"join":                  {"a:1,b:2", "c:3", "d:4,e:5"},
		"label":                 {"red", "green", "null"},
		"key-file":              files("AAECAwQFBgcICQoLDA0ODw==", "BBECAwQFBgcICQoLDA0ODw==", "CCECAwQFBgcICQoLDA0ODw=="),
		"tag":                   {"zone=a", "zone=b", "rack=7"},
		"http":                  {"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"},
		"http-token-file":       files(strings.Repeat("a", 16), strings.Repeat("b", 16), strings.Repeat("c", 16)),
		"http-cert":             {}, // with http-key: TestReloadCertificate
		"http-key":              {},
		"json":                  {"true", "false", "true"},
		"leave-on-output-error": {"any", "never", "closed"},
		"log-level":             {"warn", "debug", "trace"},
		"log-format":            {"json", "text", "json"},
		"beat":                  {"50ms", "60ms", "70ms"},
		"stall-allowance":       {"450ms", "460ms", "470ms"},
		"false-alarm-every":     {"24h", "25h", "26h"},
		"forget-after":          {"2h", "3h", "4h"},
		"isolated-down-after":   {"20s", "never", "40s"},
		"observers":             {"2", "4", "6"},
		"expect":                {"2", "3", "4"},
		"heartbeats":            {"probes", "ring", "probes"},
		"state-dir":             {dir, dir + "/b", dir + "/c"},
		"control":               {"/run/a", "/run/b", "/run/c"},
		"on-event":              {"a: b # c", "x\ny\n", "\x1b[31m"},
		"on-event-timeout":      {"1s", "2s", "3s"},
		"check-http":            {"http://a/", "https://b/x?y", "http://c:1/"},
		"check-exec":            {}, // not beside check-http
		"check-interval":        {"6s", "7s", "8s"},
		"check-timeout":         {"1s", "3s", "4s"},
		"check-tries":           {"1", "2", "4"},
	}
}

// inYAML is what stands in a file for what stands on the command line.
func inYAML(name, text string) string {
	switch name {
	case "join":
		return fmt.Sprintf("%s: [%s]\n", name, text)
	case "tag":
		key, value, _ := strings.Cut(text, "=")
		return fmt.Sprintf("%s:\n  %s: %q\n", name, key, value)
	}
	return fmt.Sprintf("%s: %q\n", name, text)
}

// A flag beats a variable, that the file, and that the default: for each flag that there is.
func TestPrecedence(t *testing.T) {
	values := samples(t)
	for _, flag := range settable(parsed(t, "node").command.Selected()) {
		name := flag.Name
		value, ok := values[name]
		if !ok {
			t.Errorf("--%s has no samples: give it some", name)
		}
		if value[0] == "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			if name == "http-token-file" {
				t.Setenv("PULSERING_HTTP", "127.0.0.1:9") // which it goes with
			}
			args := []string{"node"}
			look := func(source, text string) {
				t.Helper()
				s := parsed(t, args...)
				flag := flagNamed(s, name)
				want := parsed(t, "node", "--"+name+"="+text)
				if got := flag.Target.Interface(); source != "default" && !reflect.DeepEqual(got, flagNamed(want, name).Target.Interface()) {
					t.Errorf("from %s: %v; want %q", source, got, text)
				}
				if got := s.source(flag); got != source {
					t.Errorf("from %s; want %s", got, source)
				}
			}
			look("default", value[0])
			file := configFile(t, "# a comment\n"+inYAML(name, value[0]))
			args = append(args, "--config", file)
			look(file+":2", value[0])
			t.Setenv(variable(name), value[1])
			look(variable(name), value[1])
			args = append(args, "--"+name+"="+value[2])
			look("--"+name, value[2])
		})
	}
}

// A stronger source replaces a list or a mapping as a whole.
func TestListsAreReplaced(t *testing.T) {
	file := configFile(t, "join:\n- a\n- b:1, c\ntag: {zone: 1.10, rack: \"no\", empty: ''}\n")
	s := parsed(t, "node", "--config", file)
	if got := strings.Join(s.cli.Node.Join.addresses(), " "); got != "a:7946 b:1 c:7946" {
		t.Errorf("join %s", got)
	}
	if got := s.cli.Node.Tag; !reflect.DeepEqual(got, tags{"zone": "1.10", "rack": "no", "empty": ""}) {
		t.Errorf("tags %v", got)
	}
	if got := parsed(t, "node", "--config", configFile(t, "tag: [a=1, 'b=1,2']\njoin: x")).cli.Node; len(got.Tag) != 2 || got.Tag["b"] != "1,2" || got.Join[0] != "x:7946" {
		t.Errorf("a list of pairs, and one seed: %v", got)
	}
	t.Setenv("PULSERING_TAG", "zone=x,b=2=3")
	if got := parsed(t, "node", "--config", file).cli.Node.Tag; !reflect.DeepEqual(got, tags{"zone": "x", "b": "2=3"}) {
		t.Errorf("tags of the environment: %v", got)
	}
	if got := parsed(t, "node", "--config", file, "--tag", "l=1,2").cli.Node.Tag; !reflect.DeepEqual(got, tags{"l": "1,2"}) {
		t.Errorf("tags of flags: %v", got)
	}
}

func TestConfigIsForgiving(t *testing.T) {
	for name, text := range map[string]string{
		"CRLF":              "# notes\r\nbeat: 50ms\r\ntag:\r\n  zone: a\r\n",
		"byte-order mark":   "\ufeffbeat: 50ms\ntag: {zone: a}\n",
		"document marks":    "---\nbeat: 50ms\ntag: {zone: a}\n...\n",
		"no newline":        "tag: {zone: a}\nbeat: 50ms",
		"flow":              `{beat: 50ms, "tag": {"zone": "a"}}`,
		"anchors by itself": "beat: &b 50ms\ntag: {zone: a}\n",
		"a tab after":       "beat:\t50ms\t# slow\ntag: {zone: a}\n",
	} {
		s := parsed(t, "node", "--config", configFile(t, text))
		if got := s.cli.Node; time.Duration(got.Beat) != 50*time.Millisecond || got.Tag["zone"] != "a" {
			t.Errorf("%s: beat %v, tags %v", name, time.Duration(got.Beat), got.Tag)
		}
	}
}

func TestBadConfig(t *testing.T) {
	deep := strings.Repeat("[", 20000)
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 9), ","))
	}
	for _, test := range []struct {
		text string
		want []string // a line each, without what is before the file's name
	}{
		{"stall_alowance: 1s", []string{`unknown key "stall_alowance" in FILE:1: did you mean stall-allowance?`}},
		{"\n\nBEAT: 1s", []string{`unknown key "BEAT" in FILE:3: did you mean beat?`}},
		{"max-message: 7", []string{`unknown key "max-message" in FILE:1`}},
		{"config: x", []string{`unknown key "config" in FILE:1`}},
		{"print-config: true", []string{`unknown key "print-config" in FILE:1`}},
		{"\"a\\e[31m\\nb\": x", []string{`unknown key "a\x1b[31m\nb" in FILE:1`}},
		{"beat: 0s\nobservers: 7\nname: a b", []string{`FILE:1: beat: 0s is out of range: want 5ms to 10s`,
			`FILE:2: observers: "7": want an even number from 2 to 64`, `FILE:3: name: "a b" `}},
		{"beat: 125", []string{`FILE:1: beat: "125" is no duration: want a number with its unit`}},
		{"beat: 1s\n\nbeat: 2s", []string{`FILE:3: beat: is given twice, in line 1 too: give it once`}},
		{"join:\n- a:0\n- b\n- ':7'", []string{`FILE:2: join: "a:0": has port "0"`, `FILE:4: join: ":7": has no host`}},
		{"join: []", []string{`FILE:1: join: is an empty list`}},
		{"join: {a: b}", []string{`FILE:1: join: want a list, or one value`}},
		{"join: [[a]]", []string{`FILE:1: join: is a list or a mapping: want one value`}},
		{"join: [\"\"]", []string{`FILE:1: join: is empty: give it a value`}},
		{"join: ['a,exec:b']", []string{`FILE:1: join: "exec:b": no list takes it`}},
		{"tag: {a: 1, a: 2}", []string{`FILE:1: tag: key "a" is given twice`}},
		{"tag: {a: [1]}", []string{`FILE:1: tag: "a" is a list or a mapping`}},
		{"tag: {a=b: 1}", []string{`FILE:1: tag: key "a=b" has a =`}},
		{"tag: {}", []string{`FILE:1: tag: is empty`}},
		{"tag: zone", []string{`FILE:1: tag: "zone" is no tag: want key=value`}},
		{"beat: [1s]", []string{`FILE:1: beat: want one value`}},
		{"beat:", []string{`FILE:1: beat: has no value`}},
		{"name: ~", []string{`FILE:1: name: has no value`}},
		{"name: ''", []string{`FILE:1: name: is empty`}},
		{"json: maybe", []string{`FILE:1: json: "maybe": want true or false`}},
		{"log-level: loud", []string{`FILE:1: log-level: "loud" is none of trace, debug`}},
		{"name: &x a\nlabel: *x", []string{`FILE:2: label: is the alias "x": write out`}},
		{"<<: {beat: 1s}", []string{`FILE:1: a key is <<, which merges`}},
		{"name: !!binary eA==", []string{`FILE:1: name: has the type "!!binary"`}},
		{"name: !a%1bb x", []string{`FILE:1: name: has the type "!a\x1bb"`}},
		{"[1]: x", []string{`FILE:1: a key is a list or a mapping`}},
		{"- a\n- b", []string{`FILE:1: want keys and values`}},
		{"hello", []string{`FILE:1: want keys and values`}},
		{"", []string{`FILE holds no key`}},
		{"# only\n\n# comments\n", []string{`FILE holds no key`}},
		{"---\n", []string{`FILE holds no key`}},
		{"{}", []string{`FILE holds no key`}},
		{"beat: 1s\n---\nbeat: 2s", []string{`FILE holds several documents`}},
		{"beat: 1s\nname: \"half", []string{`FILE:2: no YAML: found unexpected end of stream`}},
		{"beat: 1s\ntag: {a: b", []string{`FILE:3: no YAML: `}},
		{"tag:\n\tzone: a", []string{`FILE:2: no YAML: the line begins with a tab`}},
		{"beat: 1s\n  name: a", []string{`FILE:2: no YAML: mapping values are not allowed`}},
		{"name: a\nlabel: \xff\xfe", []string{`FILE:2: byte 0xff is no UTF-8`}},
		{"\xff\xfeb\x00e\x00", []string{`FILE:1: byte 0xff is no UTF-8`}},
		{"name: a\x00b", []string{`FILE:1: control character '\x00'`}},
		{"name: \x1b[31m", []string{`FILE:1: control character '\x1b'`}},
		{deep, []string{`FILE:1: no YAML: exceeded max depth`}},
		{bomb, nil},
		{strings.Repeat("# long\n", 10000), []string{`FILE has 70000 bytes: want at most 65536`}},
		{"state-dir: /dev/null", []string{`FILE:1: state-dir: /dev/null is a file`}},
		{"check-http: ftp://x", []string{`FILE:1: check-http: "ftp://x" is no URL`}},
		{"check-http: http://a\ncheck-exec: b", []string{`FILE:2: check-exec: there is --check-http too`}},
		{"check-http: http://a\ncheck-timeout: 6s", []string{`FILE:2: check-timeout: 6s is out of range: want at most --check-interval, which is 5s`}},
		{"control: /" + strings.Repeat("x", 200), []string{`FILE:1: control: the path is 201 bytes long: want at most 103`}},
		{"state-dir: /" + strings.Repeat("x", 200), []string{`FILE:1: state-dir: the path of the control.sock in it is 214 bytes long: want at most 103`}},
		{"http: 0.0.0.0:80", []string{`FILE:1: http: other machines reach 0.0.0.0:80`}},
	} {
		file := configFile(t, test.text)
		began := time.Now()
		code, out, stderr := pulsering(t, "node", "--config", file, "--print-config") // it ends if nothing is wrong
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%.40q took %v", test.text, took)
		}
		if code != exitUsage || out != "" || strings.Contains(stderr, "\x1b") {
			t.Errorf("%.40q: exit code %d, stdout %q, stderr %q; want %d", test.text, code, out, stderr, exitUsage)
		}
		lines := strings.Split(strings.TrimSpace(stderr), "\n")
		if test.want == nil { // more lines than matter
			if len(lines) > mostErrors+5 {
				t.Errorf("%.40q: %d lines", test.text, len(lines))
			}
			continue
		}
		if len(lines) != len(test.want)+1 {
			t.Errorf("%.40q: want %d errors and the hint:\n%s", test.text, len(test.want), stderr)
		}
		for i, want := range test.want {
			want = strings.ReplaceAll(want, "FILE", file)
			if i >= len(lines) || !strings.HasPrefix(strings.Replace(lines[i], ": --config: ", ": ", 1), "pulsering: error: "+want) {
				t.Errorf("%.40q: no line begins with\n  %s\nin\n%s", test.text, want, stderr)
			}
		}
	}
}

func TestConfigThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, nil, 0o000); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir:           "is a directory: give a file",
		dir + "/none": "no such file",
		"/dev/zero":   "/dev/zero has more than 65536 bytes",
		secret:        "permission denied",
	} {
		if path == secret && os.Getuid() == 0 || runtime.GOOS == "windows" {
			continue
		}
		code, _, stderr := pulsering(t, "node", "--config", path, "--print-config")
		if code != exitUsage || !strings.Contains(stderr, "--config: ") || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d, %s", path, code, stderr)
		}
	}
	if code, _, stderr := pulsering(t, "node", "--config="); code != exitUsage || !strings.Contains(stderr, "--config: is empty") {
		t.Errorf("no name: exit code %d, %s", code, stderr)
	}
	t.Setenv("PULSERING_CONFIG", dir)
	if code, _, stderr := pulsering(t, "node", "--print-config"); code != exitUsage || !strings.Contains(stderr, "PULSERING_CONFIG: "+dir) {
		t.Errorf("by the environment: exit code %d, %s", code, stderr)
	}
}

// What is wrong on the command line, in the environment and in the file is said at once, also beside a flag that is unknown.
func TestAllSourcesErrorsAtOnce(t *testing.T) {
	t.Setenv("PULSERING_OBSERVERS", "7")
	t.Setenv("PULSERING_LABEL", "")
	file := configFile(t, "beat: 0s\nnmae: x\nforget-after: 1s\n")
	_, _, stderr := pulsering(t, "node", "--config", file, "--log-level", "loud", "--no-such-flag", "x")
	for _, want := range []string{file + ":1: beat: 0s", "did you mean name?", file + ":3: forget-after: 1s", `PULSERING_OBSERVERS: "7"`,
		"PULSERING_LABEL: is empty", `--log-level: "loud"`, "unknown flag --no-such-flag"} {
		if strings.Count(stderr, want) != 1 {
			t.Errorf("no %s in\n%s", want, stderr)
		}
	}
	if _, _, stderr := pulsering(t, "node", "--stall-alowance", "1s"); !strings.Contains(stderr, `did you mean "--stall-allowance"?`) {
		t.Errorf("an unknown flag: %s", stderr)
	}
}

// Whatever stands in the file, it is read or refused, and every error names the file.
func FuzzConfig(f *testing.F) {
	f.Add([]byte("beat: 125ms\njoin: [a, b]\ntag: {zone: a}\n"))
	f.Add([]byte("a: &a [*a]\n<<: *a\n? [x]\n: !!int 7\n"))
	f.Add([]byte("\t\r\n\xff\x00---\n...\n%YAML 1.2\n"))
	var flags reader
	parser, err := kong.New(&cli{}, flags.options()...)
	if err != nil {
		f.Fatal(err)
	}
	var node *kong.Node
	for _, command := range parser.Model.Children {
		if command.Name == "node" {
			node = command
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > longestConfig {
			return
		}
		root, err := configTree("f.yaml", text)
		var errs []error
		var values map[string]*given
		if err != nil {
			errs = []error{err}
		} else {
			values, errs = configValues("f.yaml", root, settable(node))
		}
		if len(errs) == 0 && len(values) == 0 {
			t.Error("nothing is read, and nothing wrong")
		}
		for _, err := range errs {
			if !strings.Contains(err.Error(), "f.yaml") || strings.ContainsAny(err.Error(), "\x1b\x00\n") {
				t.Errorf("%q", err)
			}
		}
	})
}
