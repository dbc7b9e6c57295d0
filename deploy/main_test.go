//go:build e2e && linux

// The tests of this directory run what it holds: containers of the real image, and the manifests' flags through the real command.
// They say why they skip where an engine, or a tool, is not there.
package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is the command, built as the image's is.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pulsering-deploy")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	os.Setenv("TMPDIR", dir) // of all that a test makes: it is removed also where the test does not get to its end
	binary = filepath.Join(dir, "pulsering")
	build := exec.Command("go", "build", "-tags", "noplot", "-trimpath", "-ldflags=-s -w", "-o", binary, "../cmd/pulsering")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
		return 1
	}
	return m.Run()
}

// must is for what works unless the machine is broken.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
