package main

import (
	"reflect"
	"strings"
	"testing"
)

// printed is what --print-config says to arguments.
func printed(t *testing.T, args ...string) string {
	t.Helper()
	code, out, stderr := pulsering(t, append(args, "--print-config")...)
	if code != 0 || stderr != "" {
		t.Fatalf("%q: exit code %d, %s", args, code, stderr)
	}
	return out
}

// What is printed can be fed back and gives the same: for each flag that there is.
func TestPrintConfigRoundTrip(t *testing.T) {
	values := samples(t)
	for try := range 3 {
		args := []string{"node"}
		for _, flag := range settable(parsed(t, "node").command.Selected()) {
			if value := values[flag.Name][try]; value != "" {
				args = append(args, "--"+flag.Name+"="+value)
			}
		}
		args = append(args, "--tag", "more=a, b: c # d", "--tag", "ümlaut=\u202e", "--join", "exec:a, b")
		out := printed(t, args...)
		if strings.ContainsAny(out, "\x1b\u202e") {
			t.Errorf("what plays with terminals is printed:\n%s", out)
		}
		want, got := parsed(t, args...), parsed(t, "node", "--config", configFile(t, out))
		for i, flag := range want.command.Selected().Flags {
			if flag.Name == "config" {
				continue
			}
			other := got.command.Selected().Flags[i]
			if !reflect.DeepEqual(flag.Target.Interface(), other.Target.Interface()) {
				t.Errorf("--%s: %v becomes %v in\n%s", flag.Name, flag.Target.Interface(), other.Target.Interface(), out)
			}
		}
		if again := printed(t, "node", "--config", configFile(t, out)); withoutComments(again) != withoutComments(out) {
			t.Errorf("printed again it is\n%s, not\n%s", again, out)
		}
	}
	out := printed(t, "gateway", "--origin", "a,b", "--grace", "never", "--max-message", "7")
	if again := printed(t, "gateway", "--config", configFile(t, out)); withoutComments(again) != withoutComments(out) || !strings.Contains(out, "grace: never") {
		t.Errorf("the gateway's printed again is\n%s, not\n%s", again, out)
	}
}

func withoutComments(yaml string) string {
	var lines []string
	for line := range strings.Lines(yaml) {
		before, _, _ := strings.Cut(line, " # ")
		lines = append(lines, strings.TrimSpace(before))
	}
	return strings.Join(lines, "\n")
}

func TestPrintConfigSources(t *testing.T) {
	t.Setenv("PULSERING_BEAT", "50ms")
	file := configFile(t, "\ntag: {zone: a}\nobservers: 4\nbeat: 60ms\n")
	out := printed(t, "node", "--config", file, "--name", "null", "--json", "--join", "b,a")
	for _, want := range []string{
		"name: 'null' # --name\n",
		"join: # --join\n- b:7946\n- a:7946\n",
		"tag: # " + file + ":2\n  zone: a\n",
		"observers: 4 # " + file + ":3\n",
		"beat: 50ms # PULSERING_BEAT\n",
		"json: true # --json\n",
		"stall-allowance: 400ms # default\n",
		"# label: # not given\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "print-config") || strings.Contains(out, "\nconfig") {
		t.Errorf("what no file may say:\n%s", out)
	}
}

// Secrets stay where they are; where they are is shown.
func TestPrintConfigHidesSecrets(t *testing.T) {
	values := samples(t)
	out := printed(t, "node", "--key-file", values["key-file"][0], "--http", "127.0.0.1:1", "--http-token-file", values["http-token-file"][0],
		"--check-http", "http://me:hunter2@a/")
	for _, secret := range []string{"AAEC", strings.Repeat("a", 16), "hunter2"} {
		if strings.Contains(out, secret) {
			t.Errorf("%s is shown:\n%s", secret, out)
		}
	}
	for _, want := range []string{"key-file: " + values["key-file"][0], "http-token-file: " + values["http-token-file"][0],
		"# check-http: http://me:xxxxx@a/ # --check-http; the password is hidden\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// A wrong configuration is not printed, which makes the flag a check of one.
func TestPrintConfigChecks(t *testing.T) {
	if code, out, stderr := pulsering(t, "node", "--print-config", "--config", configFile(t, "beat: 0s")); code != exitUsage || out != "" || !strings.Contains(stderr, "beat") {
		t.Errorf("exit code %d, %q, %q", code, out, stderr)
	}
	var stderr strings.Builder
	if code := run(t.Context(), []string{"node", "--print-config"}, console{out: fullDisk{}, err: &stderr}); code != exitFailed || !strings.Contains(stderr.String(), "no space left") {
		t.Errorf("on a full disk: exit code %d, %q", code, stderr.String())
	}
	t.Setenv("PULSERING_BAET", "1s")
	if code, _, stderr := pulsering(t, "node", "--print-config"); code != 0 || !strings.Contains(stderr, "warning: unknown variable PULSERING_BAET") {
		t.Errorf("with a strange variable: exit code %d, %q", code, stderr)
	}
}
