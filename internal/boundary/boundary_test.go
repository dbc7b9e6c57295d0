package boundary

import (
	"bytes"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/pulsering/pulsering/"

// core are the packages that services embed.
var core = []string{"phiaccrual", "detector", "detector/link", "cluster", "cluster/clustertest"}

// heavy is what the core is built without, by the beginning of its import path, and why.
var heavy = []struct{ prefix, why string }{
	{"github.com/prometheus/", "metrics are cluster/metrics"},
	{"google.golang.org/protobuf", "it comes with Prometheus"},
	{"gopkg.in/yaml", "configuration files are the command's"},
	{"go.yaml.in/", "configuration files are the command's"},
	{"sigs.k8s.io/yaml", "configuration files are the command's"},
	{"github.com/goccy/go-yaml", "configuration files are the command's"},
	{"github.com/alecthomas/kong", "flags are the command's"},
	{"github.com/spf13/", "flags are the command's"},
	{"github.com/gobwas/", "WebSocket is detector/link/ws"},
	{"github.com/coder/websocket", "WebSocket is detector/link/ws"},
	{"github.com/gorilla/websocket", "WebSocket is detector/link/ws"},
	{"golang.org/x/net/websocket", "WebSocket is detector/link/ws"},
	{"github.com/chromedp/", "browsers are for tests"},
	{"github.com/charmbracelet/", "terminals are the command's"},
	{"github.com/gdamore/", "terminals are the command's"},
	{"gonum.org/", "plots are for reports"},
	{module + "cluster/web", "it is built on the core"},
	{module + "cluster/metrics", "it is built on the core"},
	{module + "cluster/discovery", "it is built on the core"},
	{module + "cmd/", "it is built on the core"},
}

func TestTheCoreIsLight(t *testing.T) {
	for _, of := range core {
		deps := golist(t, "-deps", "-f", "{{.ImportPath}}", module+of)
		for _, h := range heavy {
			for _, dep := range deps {
				if strings.HasPrefix(dep, h.prefix) {
					t.Errorf("%s is built with %s: %s (go mod why %s tells the way)", of, dep, h.why, dep)
					break // the others come with it
				}
			}
		}
	}
}

// Who wants metrics of something new gives it numbers, and cluster/metrics a line each.
func TestOnlyMetricsImportsPrometheus(t *testing.T) {
	allowed := []string{module + "cluster/metrics", module + "cmd/pulsering"}
	importers := 0
	for _, line := range golist(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...") {
		of, imports, _ := strings.Cut(line, " ")
		for path := range strings.FieldsSeq(imports) {
			if !strings.HasPrefix(path, "github.com/prometheus/") {
				continue
			}
			importers++
			if !slices.Contains(allowed, of) {
				t.Errorf("%s imports %s, which is for %s", of, path, strings.Join(allowed, " and "))
			}
		}
	}
	if importers == 0 {
		t.Error("nobody imports Prometheus: this test looks at nothing")
	}
}

// golist returns the lines that go list prints.
func golist(t *testing.T, args ...string) []string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command here to ask for imports:", err)
	}
	notice(t)
	var stderr bytes.Buffer
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(fmt.Errorf("go list: %w: %s", err, stderr.Bytes()))
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) < 2 && args[0] == "-deps" {
		t.Fatalf("go list %q printed %q", args, out)
	}
	return lines
}

// notice reads every directory of the module, so that go test runs this test again, and does not answer from its cache, once a file has
// changed: what go list reads it cannot know.
func notice(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != "../.." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
