//go:build e2e && linux

package deploy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// engine is a Docker engine, with the image and all that a test makes there: everything has one name in its name and its
// label, and goes with the test.
type engine struct {
	t    *testing.T
	name string
	made io.WriteCloser // the reaper waits for its end
}

// sweeping removes what a test has made, in the shell: by labels, as names of what could not be made are not known.
const sweeping = `
sweep() {
	for label in pulsering-test="$1" com.docker.compose.project="$1"; do
		docker ps -aq --filter label="$label" | xargs -r docker rm -f -v
		docker network ls -q --filter label="$label" | xargs -r docker network rm
		docker volume ls -q --filter label="$label" | xargs -r docker volume rm
	done
	docker images -q --filter label=pulsering-test="$1" | xargs -r docker rmi -f
} >/dev/null
read -r over
sweep "$1"
if [ -z "$over" ]; then # the test did not get to its end: what it had begun may come into being only now
	rm -rf "$2"
	sleep 3
	sweep "$1"
fi`

// newEngine builds the image. It skips the test, with the reason, where there is no engine.
func newEngine(t *testing.T) *engine {
	t.Helper()
	if _, err := exec.LookPath("docker"); err != nil {
		t.Skipf("needs a Docker engine: %v", err)
	}
	if out, err := exec.Command("docker", "version", "--format", "{{.Server.Os}}").CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "linux" {
		t.Skipf("needs a Docker engine of Linux that this user may use: %v: %s", err, bytes.TrimSpace(out))
	}
	e := &engine{t: t, name: fmt.Sprintf("pulsering-%d-%d", os.Getpid(), time.Now().UnixNano()%1e9)}
	e.startReaper()
	e.build()
	return e
}

// startReaper starts a process that removes everything once the test is over. It does not matter how the test ends: when its process is
// killed, panics at its time limit, or gets a Ctrl-C, it cleans up nothing, but the reaper's input ends.
func (e *engine) startReaper() {
	e.t.Helper()
	var said bytes.Buffer
	cmd := exec.Command("sh", "-c", sweeping, "sh", e.name, filepath.Dir(binary))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C at the terminal is not for it
	cmd.Stderr = &said
	made, err := cmd.StdinPipe()
	must(e.t, err)
	must(e.t, cmd.Start())
	e.made = made
	e.t.Cleanup(func() {
		fmt.Fprintln(made, "over")
		if err := cmd.Wait(); err != nil {
			e.t.Errorf("removing what the test made: %v: %s", err, &said)
		}
		for _, left := range [][]string{{"ps", "-a"}, {"network", "ls"}, {"images", "-a"}} {
			if out := e.docker(append(left, "--filter", "label=pulsering-test="+e.name, "-q")...); out != "" {
				e.t.Errorf("docker %s: left behind: %s", strings.Join(left, " "), out)
			}
		}
	})
}

// build makes the image of the Dockerfile and the binary under test, called as the engine is.
func (e *engine) build() {
	e.t.Helper()
	context := e.t.TempDir()
	must(e.t, os.MkdirAll(filepath.Join(context, ".image", "state"), 0o755))
	must(e.t, os.Link(binary, filepath.Join(context, ".image", "pulsering")))
	ignore, err := os.ReadFile("../.dockerignore")
	must(e.t, err)
	must(e.t, os.WriteFile(filepath.Join(context, ".dockerignore"), ignore, 0o644))
	e.docker("build", "-q", "--label", "pulsering-test="+e.name, "-t", e.name, "-f", "../Dockerfile", context)
}

// docker runs the command of that name, and returns what it prints.
func (e *engine) docker(args ...string) string {
	e.t.Helper()
	out, err := docker(args...)
	must(e.t, err)
	return out
}

func docker(args ...string) (string, error) {
	out, err := exec.Command("docker", args...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return "", fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(exit.Stderr))
		}
		return "", fmt.Errorf("docker %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}
