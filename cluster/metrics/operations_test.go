package metrics

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"
)

const operations = "../../docs/operations"

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(operations, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// exported are the names of all series that a handler has.
func exported(t *testing.T) map[string]bool {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(told(everything()), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, f := range families {
		if f.GetType() == dto.MetricType_HISTOGRAM {
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				names[f.GetName()+part] = true
			}
			continue
		}
		names[f.GetName()] = true
	}
	// Not every system and build has these.
	names["process_cpu_seconds_total"], names["process_resident_memory_bytes"], names["go_build_info"] = true, true, true
	return names
}

var metricName = regexp.MustCompile(`\b(pulsering|process|go)_[a-z_]*[a-z]\b`)

func TestWhatTheDocumentsNameIsThere(t *testing.T) {
	names := exported(t)
	used := map[string]bool{}
	for _, file := range []string{"dashboard.json", "alerts.yaml", "alerts_test.yaml", "alerts.md", "README.md"} {
		for _, name := range metricName.FindAllString(read(t, file), -1) {
			used[name] = true
			if !names[name] && !names[name+"_count"] {
				t.Errorf("%s names %s, which nobody exports", file, name)
			}
		}
	}
	readme, dashboard := read(t, "README.md"), read(t, "dashboard.json")
	for name := range names {
		name = strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_sum")
		if !strings.HasPrefix(name, "pulsering_") || strings.HasSuffix(name, "_count") {
			continue
		}
		if !strings.Contains(readme, "`"+name) {
			t.Errorf("README.md does not explain %s", name)
		}
		if !strings.Contains(dashboard, name) {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
	if len(used) < 20 {
		t.Errorf("only %d names are used: are they looked for?", len(used))
	}
}

var (
	alertLine   = regexp.MustCompile(`(?m)^ +- alert: (\w+)$`)
	runbookLine = regexp.MustCompile(`(?m)^ +runbook_url: (\S+)$`)
	heading     = regexp.MustCompile(`(?m)^### (\w+)$`)
)

func first(matches [][]string) []string {
	var all []string
	for _, m := range matches {
		all = append(all, m[1])
	}
	return all
}

// Each alert has what to do, at the address that it gives, and a test in which it fires and one in which it does not.
func TestEachAlertHasARunbookAndTests(t *testing.T) {
	alerts := first(alertLine.FindAllStringSubmatch(read(t, "alerts.yaml"), -1))
	links := first(runbookLine.FindAllStringSubmatch(read(t, "alerts.yaml"), -1))
	sections := first(heading.FindAllStringSubmatch(read(t, "alerts.md"), -1))
	if !slices.Equal(alerts, sections) {
		t.Errorf("alerts.yaml has %v, alerts.md %v", alerts, sections)
	}
	if len(alerts) == 0 || len(links) != len(alerts) {
		t.Fatalf("%d alerts have %d runbook_url", len(alerts), len(links))
	}
	tests := read(t, "alerts_test.yaml")
	for i, alert := range alerts {
		want := "https://github.com/pulsering/pulsering/blob/main/docs/operations/alerts.md#" + strings.ToLower(alert)
		if links[i] != want {
			t.Errorf("%s links to %s, want %s", alert, links[i], want)
		}
		if !strings.Contains(tests, "- alertname: "+alert+"\n") {
			t.Errorf("alerts_test.yaml has nothing for which %s fires", alert)
		}
		if !regexp.MustCompile(`alertname: ` + alert + `, eval_time: \w+, exp_alerts: \[\]`).MatchString(tests) {
			t.Errorf("alerts_test.yaml has nothing for which %s does not fire", alert)
		}
	}
}

// board is what the test looks at of a dashboard.
type board struct {
	Templating struct {
		List []struct{ Name, Type string }
	}
	Panels []struct {
		ID          int
		Type, Title string
		Description string
		GridPos     struct{ X, Y, W, H int }
		Targets     []struct{ Expr, RefID string }
	}
}

func readBoard(t *testing.T) *board {
	t.Helper()
	var b board
	if err := json.Unmarshal([]byte(read(t, "dashboard.json")), &b); err != nil {
		t.Fatal(err)
	}
	return &b
}

// Panels lie on a grid of 24 columns, beside each other; each says what it shows, and asks for the chosen nodes only.
func TestDashboard(t *testing.T) {
	b := readBoard(t)
	var variables []string
	for _, v := range b.Templating.List {
		variables = append(variables, v.Name)
	}
	if want := []string{"datasource", "job", "instance"}; !slices.Equal(variables, want) {
		t.Errorf("variables are %v, want %v", variables, want)
	}
	taken, ids := map[[2]int]string{}, map[int]string{}
	for _, p := range b.Panels {
		if other, twice := ids[p.ID]; twice || p.ID == 0 {
			t.Errorf("%s and %s have the number %d", p.Title, other, p.ID)
		}
		ids[p.ID] = p.Title
		if g := p.GridPos; g.X < 0 || g.W < 1 || g.X+g.W > 24 {
			t.Errorf("%s is beyond the 24 columns: %+v", p.Title, g)
		}
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other, twice := taken[at]; twice {
					t.Fatalf("%s lies over %s at %v", p.Title, other, at)
				}
				taken[at] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Title == "" || p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("panel %d (%s) lacks a title, a description or a query", p.ID, p.Title)
		}
		for _, q := range p.Targets {
			for _, name := range metricName.FindAllString(q.Expr, -1) {
				if !strings.Contains(q.Expr, name+`{job=~"$job", instance=~"$instance"`) {
					t.Errorf("%s: %s is not of the chosen nodes in %s", p.Title, name, q.Expr)
				}
			}
		}
	}
}

// promtool is Prometheus's own checker, of Debian's package prometheus.
func promtool(t *testing.T, dir string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Skipf("%v: apt-get install prometheus (or its archive) has it", err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPromtool(t *testing.T) {
	for _, name := range []string{"alerts.yaml", "alerts_test.yaml", "prometheus.yml"} {
		read(t, name) // so that go test knows that it depends on them
	}
	t.Run("rules", func(t *testing.T) { promtool(t, operations, "check", "rules", "alerts.yaml") })
	t.Run("rules fire", func(t *testing.T) { promtool(t, operations, "test", "rules", "alerts_test.yaml") })
	t.Run("config", func(t *testing.T) { promtool(t, operations, "check", "config", "prometheus.yml") })
	t.Run("dashboard", func(t *testing.T) {
		// The queries of the dashboard, as rules: promtool reads no dashboards.
		rules := "groups:\n- name: dashboard\n  rules:\n"
		values := strings.NewReplacer("$__rate_interval", "1m", "$job", "pulsering", "$instance", "a")
		for _, p := range readBoard(t).Panels {
			for _, q := range p.Targets {
				text, _ := json.Marshal(values.Replace(q.Expr))
				rules += fmt.Sprintf("  - record: panel_%d_%s\n    expr: %s\n", p.ID, q.RefID, text)
			}
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "panels.yaml"), []byte(rules), 0o600); err != nil {
			t.Fatal(err)
		}
		promtool(t, dir, "check", "rules", "panels.yaml")
	})
}
