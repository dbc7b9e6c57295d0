//go:build e2e && unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A node is asked and told through its socket, which is found without a flag where it is the only one.
func TestCommandsThroughSocket(t *testing.T) {
	home, err := os.MkdirTemp("", "p") // the path of a socket is short
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(home) })
	for _, name := range []string{"PULSERING_STATE_DIR", "XDG_RUNTIME_DIR", "PULSERING_CONTROL"} {
		t.Setenv(name, "") // for what it was to come back
		os.Unsetenv(name)
	}
	t.Setenv("XDG_STATE_HOME", home)
	t.Setenv("HOME", home)
	state := filepath.Join(home, "pulsering")
	must(t, os.MkdirAll(state, 0o700))
	keyFile := filepath.Join(home, "ring.key")
	write(t, keyFile, keyText(someKey)+"\n")
	must(t, os.Chmod(keyFile, 0o600))

	ant := launch(t, "ant", freshAddr(t), "--key-file", keyFile, "--state-dir", state)
	ant.expect("joined", "ant")
	bee := launch(t, "bee", freshAddr(t), "--key-file", keyFile, "--join", ant.addr)
	cat := launch(t, "cat", freshAddr(t), "--key-file", keyFile, "--join", ant.addr)
	formed([]*member{ant, bee, cat})
	ok := func(want string, args ...string) {
		t.Helper()
		if code, out, stderr := command(t, args...); code != 0 || stderr != "" || !strings.Contains(out, want) {
			t.Errorf("%v: %d %q\n%s", args, code, stderr, out)
		}
	}
	refused := func(want string, args ...string) {
		t.Helper()
		if code, _, stderr := command(t, args...); code != exitFailed || !strings.Contains(stderr, want) {
			t.Errorf("%v: %d %q", args, code, stderr)
		}
	}
	ok("as ant sees them", "members")
	ok("3 asked, 3 answered, 0 % lost", "ping", "bee", "--count", "3", "--interval", "100ms")
	ok("bee has been up", "explain", "bee")
	refused("no such member", "ping", "nobody")

	newKey := filepath.Join(home, "new.key")
	write(t, newKey, keyText(otherKey)+"\n")
	must(t, os.Chmod(newKey, 0o600))
	ok("3 of 3", "keys", "list")
	refused("", "keys", "use", newKey) // nobody has it
	ok("Add the key to each member's --key-file", "keys", "add", newKey)
	ok("Move the key to the top", "keys", "use", newKey)
	ok("Take the key out", "keys", "remove", keyFile)

	onlyDown(t, []*member{ant, bee, cat})
	refused("", "forget", "bee") // it lives
	cat.kill()
	ant.expect("down", "cat")
	ok("cat has been down", "explain", "cat")
	ok("cat is forgotten by all members", "forget", "cat")
	if code, out, _ := command(t, "members"); code != 0 || strings.Contains(out, "cat ") {
		t.Errorf("%d\n%s", code, out)
	}
	refused("takes a token, and this node was given none", "leave", "--http", bee.http)
	ok("ant has left", "leave")
	ant.exits(0)
	bee.expect("left", "ant")
	onlyDown(t, []*member{bee}, "cat")
}
