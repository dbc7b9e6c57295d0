//go:build e2e && linux

package deploy

import (
	"bytes"
	"encoding/base64"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The five nodes of compose.yaml find each other, encrypted, and carry their tags.
func TestCompose(t *testing.T) {
	compose := composeCommand(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root: the secrets have to belong to the user of the nodes")
	}
	e := newEngine(t)
	secrets := secretFiles(t)
	for _, name := range []string{"ring.key", "token"} {
		must(t, os.Chown(filepath.Join(secrets, name), 65532, 65532))
	}
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(compose[0], slices.Concat(compose[1:], []string{"-f", "compose.yaml", "-p", e.name}, args)...)
		cmd.Env = append(os.Environ(), "PULSERING_IMAGE="+e.name, "PULSERING_SECRETS="+secrets)
		var said bytes.Buffer
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v: %s", cmd.Args, err, &said)
		}
		return strings.TrimSpace(string(out))
	}
	run("up", "-d")
	zones := map[string]string{"ant": "a", "bee": "a", "cat": "b", "dog": "b", "elk": "c"}
	r := &ring{engine: e}
	for name := range zones {
		r.all = append(r.all, &container{ring: r, name: name, id: run("ps", "-q", name)})
	}
	for _, c := range r.all {
		for _, other := range r.others(c) {
			if up := c.expect(time.Time{}, "up", other.name); up.Tags["zone"] != zones[other.name] {
				t.Errorf("%s has tags %v; want zone %s", other.name, up.Tags, zones[other.name])
			}
		}
	}
	for _, c := range r.all {
		c.healthy()
		c.addr = r.docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", c.id)
		// What the probes of Kubernetes ask, and Prometheus.
		for path, want := range map[string][2]int{"/livez": {200, 200}, "/readyz": {200, 200}, "/metrics": {401, 200}, "/v1/members": {401, 200}} {
			for i, token := range []string{"", "a-token-of-a-test"} {
				if got := c.asked(path, token); got != want[i] {
					t.Errorf("%s of %s with token %q: %d; want %d", path, c.name, token, got, want[i])
				}
			}
		}
	}
	cat := r.all[slices.IndexFunc(r.all, func(c *container) bool { return c.name == "cat" })]
	began := time.Now()
	run("kill", "cat")
	for _, c := range r.others(cat) {
		c.expect(began, "down", "cat")
	}
	run("start", "cat")
	for _, c := range r.others(cat) {
		c.expect(began, "up", "cat")
	}
	if n := r.falseDowns(outcome{ill: []string{"cat"}}); n > 0 {
		t.Errorf("%d called down", n)
	}
	run("down", "-v")
}

// asked is the status of the answer to a GET from the engine's host; 0: there is none.
func (c *container) asked(path, token string) int {
	request, err := http.NewRequest(http.MethodGet, "http://"+net.JoinHostPort(c.addr, "8080")+path, nil)
	must(c.ring.t, err)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := (&http.Client{Timeout: patient}).Do(request)
	if err != nil {
		return 0
	}
	answer.Body.Close()
	return answer.StatusCode
}

// composeCommand is Compose, the plugin or the program of its own.
func composeCommand(t *testing.T) []string {
	t.Helper()
	for _, command := range [][]string{{"docker", "compose"}, {"docker-compose"}} {
		if exec.Command(command[0], append(command[1:], "version")...).Run() == nil {
			return command
		}
	}
	t.Skip("needs Compose, as docker compose or docker-compose")
	return nil
}

// secretFiles is a directory with a ring.key and a token.
func secretFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "ring.key"), []byte(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), 32))), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "token"), []byte("a-token-of-a-test\n"), 0o600))
	return dir
}
