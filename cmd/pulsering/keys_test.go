package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/pulsering/pulsering/cluster"
)

var (
	someKey  = []byte("0123456789abcdef0123456789abcdef")
	otherKey = []byte("fedcba9876543210fedcba9876543210")
)

func keyText(key []byte) string { return base64.StdEncoding.EncodeToString(key) }

func TestKeys(t *testing.T) {
	lonely(t)
	r := newActingRing()
	one, two := cluster.KeyID(someKey), cluster.KeyID(otherKey)
	r.answers = []cluster.Answer{{Member: "a", Keys: []string{one, two}}, {Member: "b", Keys: []string{one}}, {Member: "c\x1b", Err: errors.New("no answer\x1b")}}
	flags := serveToken(t, r)
	code, out, stderr := pulsering(t, append([]string{"keys", "list"}, flags...)...)
	if code != 0 || stderr != "" || !strings.Contains(out, "2 of 3") || !strings.Contains(out, "b lacks "+two) || !strings.Contains(out, `"c\x1b": no answer\x1b`) {
		t.Errorf("%d %q\n%s", code, stderr, out)
	}
	if code, out, _ := pulsering(t, append([]string{"keys", "list", "--json"}, flags...)...); code != 0 || !json.Valid([]byte(out)) {
		t.Errorf("%d %q", code, out)
	}
	file := tempFile(t, "key", "# new\n"+keyText(otherKey)+"\n")
	for action, reminder := range map[string]string{"add": "Add the key to each", "use": "Move the key to the top", "remove": "Take the key out"} {
		r.did = nil
		code, out, stderr := pulsering(t, append([]string{"keys", action, file}, flags...)...)
		if code != 0 || stderr != "" || !strings.Contains(out, two) || !strings.Contains(out, reminder) || !strings.Contains(out, "--key-file") {
			t.Errorf("%s: %d %q\n%s", action, code, stderr, out)
		}
		if len(r.did) != 1 || r.did[0] != action+" 66656463626139383736353433323130"+"66656463626139383736353433323130" {
			t.Errorf("%s did %q", action, r.did)
		}
		if strings.Contains(out, keyText(otherKey)) {
			t.Errorf("%s prints the key", action)
		}
	}
	r.refuses = errors.New("cluster: b lacks the key")
	if code, out, stderr := pulsering(t, append([]string{"keys", "use", file}, flags...)...); code != exitFailed || !strings.Contains(out, "b lacks") ||
		!strings.Contains(stderr, "b lacks the key") || strings.Contains(out, "done") {
		t.Errorf("refused: %d %q\n%s", code, stderr, out)
	}
}

func TestNoKeys(t *testing.T) {
	ring := keyRing{}
	if err := json.Unmarshal([]byte(`{"keys":[],"members":[{"member":"a","keys":[]}]}`), &ring); err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(keyTable(ring, false), "\n"); !strings.Contains(text, "not encrypted") {
		t.Error(text)
	}
}

// A key stands in a file or comes by standard input. On the command line it is refused, and not shown again.
func TestKeyFiles(t *testing.T) {
	lonely(t)
	r := newActingRing()
	r.answers = []cluster.Answer{{Member: "a", Keys: []string{cluster.KeyID(someKey)}}}
	flags := serveToken(t, r)
	directory := t.TempDir()
	for name, test := range map[string]struct{ file, want string }{
		"the key itself": {keyText(someKey), "error: this is no file, and may be the key itself"},
		"no file":        {"/nowhere/key", "error: open /nowhere/key: no such file"},
		"a directory":    {directory, "error: " + directory + " is a directory: give a file\n"},
		"nothing":        {tempFile(t, "k", "\n"), "holds no key"},
		"two keys":       {tempFile(t, "k", keyText(someKey)+"\n"+keyText(otherKey)), "holds 2 keys: want one"},
		"no base64":      {tempFile(t, "k", "secret!"), "line 1 is no base64"},
		"a short key":    {tempFile(t, "k", "c2hvcnQ="), "5 bytes long"},
	} {
		if runtime.GOOS == "windows" && (name == "no file" || name == "a directory") {
			continue // it has other words for it
		}
		code, out, stderr := pulsering(t, append([]string{"keys", "add", test.file}, flags...)...)
		if code != exitFailed || out != "" || !strings.Contains(stderr, test.want) || strings.Contains(stderr, keyText(someKey)) || strings.Contains(stderr, "secret!") {
			t.Errorf("%s: %d %q %q", name, code, out, stderr)
		}
	}
	if len(r.did) > 0 {
		t.Errorf("it did %q", r.did)
	}
	exposed := tempFile(t, "key", keyText(someKey))
	if err := os.Chmod(exposed, 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := pulsering(t, append([]string{"keys", "add", exposed}, flags...)...); code != 0 || runtime.GOOS != "windows" && !strings.Contains(stderr, "chmod 600") {
		t.Errorf("exposed: %d %q", code, stderr)
	}
	stdin, err := os.Open(exposed)
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	before := os.Stdin
	os.Stdin = stdin
	defer func() { os.Stdin = before }()
	if code, _, stderr := pulsering(t, append([]string{"keys", "add", "-"}, flags...)...); code != 0 || stderr != "" {
		t.Errorf("standard input: %d %q", code, stderr)
	}
	if code, _, stderr := pulsering(t, append([]string{"keys", "add", "-"}, flags...)...); code != exitFailed ||
		!strings.HasPrefix(stderr, "pulsering: error: standard input: holds no key: want") {
		t.Errorf("standard input at its end: %d %q", code, stderr)
	}
}
