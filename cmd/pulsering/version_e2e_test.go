//go:build e2e && unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The version is what the Go tool records, whichever way the command was built: no flag of the linker has to be remembered.

const someVersion = "v0.98.7" // that no release has

// "go install …@version" asks a module proxy, here a directory, and has no repository around it.
func TestVersionInstalled(t *testing.T) {
	dir, source := t.TempDir(), clone(t)
	proxy := filepath.Join(dir, "proxy", "github.com", "pulsering", "pulsering", "@v")
	must(t, os.MkdirAll(proxy, 0o755))
	text, err := os.ReadFile(filepath.Join(source, "go.mod"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(proxy, someVersion+".mod"), text, 0o644))
	must(t, os.WriteFile(filepath.Join(proxy, someVersion+".info"), fmt.Appendf(nil, `{"Version":%q,"Time":"2026-01-02T03:04:05Z"}`, someVersion), 0o644))
	must(t, os.WriteFile(filepath.Join(proxy, "list"), []byte(someVersion+"\n"), 0o644))
	// A module's archive ends where another module begins.
	tool(t, source, nil, "git", "archive", "--format=zip", "--prefix=github.com/pulsering/pulsering@"+someVersion+"/",
		"-o", filepath.Join(proxy, someVersion+".zip"), "HEAD", ":!docs/results", ":!detector/link/bench")

	cache := strings.TrimSpace(tool(t, dir, nil, "go", "env", "GOMODCACHE"))
	tool(t, dir, []string{
		"GOBIN=" + dir, "GOFLAGS=-modcacherw -trimpath", "CGO_ENABLED=0", "GOMODCACHE=" + filepath.Join(dir, "modules"), "GOSUMDB=off",
		"GOPROXY=file://" + filepath.Join(dir, "proxy") + ",file://" + filepath.Join(cache, "cache", "download"),
	}, "go", "install", "github.com/pulsering/pulsering/cmd/pulsering@"+someVersion)
	says(t, filepath.Join(dir, "pulsering"), "pulsering "+someVersion+" (go")
}

// A build in a clone at a tag has the tag's name, and the commit.
func TestVersionOfTag(t *testing.T) {
	source := clone(t)
	tool(t, source, nil, "git", "tag", someVersion)
	commit := strings.TrimSpace(tool(t, source, nil, "git", "rev-parse", "HEAD"))
	built := filepath.Join(t.TempDir(), "pulsering")
	tool(t, source, []string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-buildvcs=true", "-o", built, "./cmd/pulsering")
	says(t, built, "pulsering "+someVersion+" (go", "commit "+commit)
}

// clone is a clone of this repository, with what has changed since the last commit committed there. It skips the test where git has no part.
func clone(t *testing.T) string {
	t.Helper()
	top, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		t.Skipf("needs a clone, and git: %v", err)
	}
	from, to := strings.TrimSpace(string(top)), filepath.Join(t.TempDir(), "clone")
	tool(t, from, nil, "git", "clone", "-q", ".", to)
	changes := filepath.Join(t.TempDir(), "changes")
	must(t, os.WriteFile(changes, []byte(tool(t, from, nil, "git", "diff", "--binary", "HEAD")), 0o600))
	tool(t, to, nil, "git", "apply", "--allow-empty", changes)
	tool(t, to, nil, "git", "-c", "user.name=test", "-c", "user.email=test", "commit", "-qa", "--allow-empty", "-m", "changes")
	return to
}

// tool runs a program in a directory, with more variables, and returns what it prints.
func tool(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v: %s", cmd.Args, err, &said)
	}
	return string(out)
}

// says checks what the version of a binary has in it.
func says(t *testing.T, binary string, parts ...string) {
	t.Helper()
	for _, arg := range []string{"version", "--version"} {
		out := tool(t, ".", nil, binary, arg)
		for _, part := range parts {
			if !strings.Contains(out, part) {
				t.Errorf("%s says %q: want %q in it", arg, out, part)
			}
		}
	}
}
