//go:build e2e && linux

package deploy

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// The flags and variables of each manifest are those that the command knows: it is asked what it makes of them. So a flag that is renamed
// is renamed here too.
func TestManifestFlags(t *testing.T) {
	secrets := secretFiles(t)
	t.Run("compose", func(t *testing.T) {
		var file struct {
			Services map[string]struct {
				Command     []string
				Environment map[string]string
			}
		}
		decode(t, "compose.yaml", &file)
		for _, name := range []string{"ant", "bee", "cat", "dog", "elk"} {
			node := file.Services[name]
			config := resolved(t, strings.NewReplacer("/run/secrets", secrets), node.Command, node.Environment)
			wants(t, config, "http: 0.0.0.0:8080 # --http", "expect: 3 # --expect", "  zone: ")
		}
	})
	t.Run("kubernetes", func(t *testing.T) {
		const sample = "10.1.2.3" // of whatever the downward API fills in, but for the name
		node := statefulSet(t).Spec.Template.Spec.Containers[0]
		env, values := map[string]string{}, []string{"/etc/pulsering/secret", secrets}
		for _, v := range node.Env {
			value := v.Value
			if v.ValueFrom != nil {
				value = sample
			}
			value = strings.NewReplacer(values...).Replace(value)
			env[v.Name], values = value, append(values, "$("+v.Name+")", value)
		}
		config := resolved(t, strings.NewReplacer(values...), node.Args, env)
		wants(t, config, "name: "+sample+" # PULSERING_NAME", "advertise: "+sample+":7946 # --advertise", "  zone: "+sample, "  host: "+sample, "state-dir: /var/lib/pulsering # PULSERING_STATE_DIR")
	})
	t.Run("systemd", func(t *testing.T) {
		unit, err := os.ReadFile("systemd/pulsering.service")
		must(t, err)
		must(t, exec.Command("cp", "systemd/pulsering.yaml", secrets).Run())
		paths := strings.NewReplacer("/etc/pulsering", secrets, "%d", secrets, "%S", "/var/lib", "%t", "/run")
		start := setting(t, unit, "ExecStart")
		env := map[string]string{}
		for _, pair := range strings.Fields(setting(t, unit, "Environment")) {
			k, v, _ := strings.Cut(pair, "=")
			env[k] = paths.Replace(v)
		}
		config := resolved(t, paths, strings.Fields(start)[1:], env)
		wants(t, config, "http: 127.0.0.1:8080 # ", "control: /run/pulsering/control.sock # PULSERING_CONTROL", "state-dir: /var/lib/pulsering # PULSERING_STATE_DIR")
	})
	t.Run("image", func(t *testing.T) {
		dockerfile, err := os.ReadFile("../Dockerfile")
		must(t, err)
		env := map[string]string{}
		for _, v := range regexp.MustCompile(`(PULSERING_\w+)=(\S+)`).FindAllSubmatch(dockerfile, -1) {
			env[string(v[1])] = string(v[2])
		}
		config := resolved(t, strings.NewReplacer(), []string{"node"}, env)
		wants(t, config, "http: 127.0.0.1:8080 # PULSERING_HTTP", "state-dir: /var/lib/pulsering # PULSERING_STATE_DIR")
	})
}

// resolved is what the command makes of arguments and variables, without a warning.
func resolved(t *testing.T, paths *strings.Replacer, args []string, env map[string]string) string {
	t.Helper()
	args = slices.Clone(args)
	for i := range args {
		args[i] = paths.Replace(args[i])
	}
	cmd := exec.Command(binary, append(args, "--print-config")...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	for _, k := range slices.Sorted(maps.Keys(env)) {
		cmd.Env = append(cmd.Env, k+"="+env[k])
	}
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil || said.Len() > 0 {
		t.Fatalf("%v with %v: %v\n%s", args, env, err, &said)
	}
	return out.String()
}

func wants(t *testing.T, config string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(config, line) {
			t.Errorf("no %q in\n%s", line, config)
		}
	}
}

// setting is the one value of a key of a unit.
func setting(t *testing.T, unit []byte, key string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^`+key+`=(.*)$`).FindAllSubmatch(unit, -1)
	if len(found) != 1 {
		t.Fatalf("%s stands there %d times: want it once", key, len(found))
	}
	return string(found[0][1])
}

// object is what the tests read of a Kubernetes object.
type object struct {
	Kind string
	Spec struct {
		PodManagementPolicy      string `yaml:"podManagementPolicy"`
		PublishNotReadyAddresses bool   `yaml:"publishNotReadyAddresses"`
		Selector                 any
		Template                 struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct{ Containers []kubeContainer }
		}
	}
}

type kubeContainer struct {
	Args []string
	Env  []struct {
		Name, Value string
		ValueFrom   any `yaml:"valueFrom"`
	}
}

func objects(t *testing.T) (all []object) {
	t.Helper()
	text, err := os.ReadFile("kubernetes/ring.yaml")
	must(t, err)
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var o object
		err := decoder.Decode(&o)
		if errors.Is(err, io.EOF) {
			return all
		}
		must(t, err)
		all = append(all, o)
	}
}

func statefulSet(t *testing.T) object {
	t.Helper()
	all := objects(t)
	i := slices.IndexFunc(all, func(o object) bool { return o.Kind == "StatefulSet" })
	if i < 0 || len(all[i].Spec.Template.Spec.Containers) != 1 {
		t.Fatal("ring.yaml has no StatefulSet with one container")
	}
	return all[i]
}

// A ring whose nodes wait for each other gets going only where all start at once, and are found before they are ready.
func TestKubernetesStartsAtAll(t *testing.T) {
	if policy := statefulSet(t).Spec.PodManagementPolicy; policy != "Parallel" {
		t.Errorf("podManagementPolicy: %q", policy)
	}
	for _, o := range objects(t) {
		if o.Kind == "Service" && !o.Spec.PublishNotReadyAddresses {
			t.Error("the service does not publish addresses of pods that are not ready")
		}
	}
}

func decode(t *testing.T, path string, to any) {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	must(t, yaml.Unmarshal(text, to))
}

// systemd finds nothing wrong with the unit. Its binary need not be installed here: it is the one under test.
func TestSystemdUnit(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skipf("needs systemd-analyze: %v", err)
	}
	unit, err := os.ReadFile("systemd/pulsering.service")
	must(t, err)
	here := filepath.Join(t.TempDir(), "pulsering.service")
	must(t, os.WriteFile(here, bytes.ReplaceAll(unit, []byte("/usr/local/bin/pulsering"), []byte(binary)), 0o644))
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", here).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// Prometheus reads the configuration of the Compose file.
func TestPrometheusConfiguration(t *testing.T) {
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skipf("needs promtool: %v", err)
	}
	if out, err := exec.Command("promtool", "check", "config", "--syntax-only", "prometheus.yml").CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}
