package main

import (
	"strings"
	"testing"
)

func TestStrangeVariables(t *testing.T) {
	for name, want := range map[string]string{
		"PULSERING_STALL_ALOWANCE":      "unknown variable PULSERING_STALL_ALOWANCE in the environment: did you mean PULSERING_STALL_ALLOWANCE?",
		"PULSERING_STALLALLOWANCE":      "did you mean PULSERING_STALL_ALLOWANCE?",
		"PULSERING_CONFIGS":             "did you mean PULSERING_CONFIG?",
		"PULSERING_VERSION":             "unknown variable PULSERING_VERSION in the environment",
		"PULSERING_PRINT_CONFIG":        "unknown variable PULSERING_PRINT_CONFIG in the environment",
		"PULSERING_\x1b[31m":            `unknown variable "PULSERING_\x1b[31m" in the environment`,
		"PULSERING_MAX_MESSAGE":         "", // the gateway's
		"PULSERING_PORT":                "", // Kubernetes's and Docker's
		"PULSERING_SERVICE_HOST":        "",
		"PULSERING_SERVICE_PORT_GOSSIP": "",
		"PULSERING_PORT_7946_UDP_ADDR":  "",
		"PULSERING_HTTP_SERVICE_PORT":   "",
		"PULSERING_HTTP_PORT_80_TCP":    "",
		"PULSERING_EVENT_MEMBER":        "", // a hook's
		"PULSERINGS":                    "",
		"PULSE_BEAT":                    "",
		"pulsering_beat":                "",
		"PULSERING_SERVICE_HOSTS":       "unknown variable PULSERING_SERVICE_HOSTS",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "never a duration")
			got := strings.Join(parsed(t, "node").warnings, "\n")
			if want == "" && got != "" || !strings.Contains(got, want) {
				t.Errorf("warned %q; want %q", got, want)
			}
		})
	}
}

// Where a variable says something, it is obeyed or an error, and it is of no interest to commands without a configuration.
func TestVariables(t *testing.T) {
	t.Setenv("PULSERING_HTTP", "never an address")
	t.Setenv("PULSERING_JSON", "yes")
	if code, _, stderr := pulsering(t, "node", "--print-config"); code != exitUsage || !strings.Contains(stderr, `PULSERING_HTTP: "never an address" is no address`) {
		t.Errorf("node: exit code %d, %s", code, stderr)
	}
	if s := parsed(t, "members"); s.cli.Members.HTTP != "" || s.cli.Members.JSON {
		t.Errorf("members: %+v", s.cli.Members)
	}
	t.Setenv("PULSERING_HTTP", "")
	if code, _, stderr := pulsering(t, "node", "--print-config"); code != exitUsage || !strings.Contains(stderr, "PULSERING_HTTP: is empty") {
		t.Errorf("an empty one: exit code %d, %s", code, stderr)
	}
	t.Setenv("PULSERING_HTTP", "127.0.0.1:0")
	t.Setenv("PULSERING_TAG", "zone=a,7")
	if s := parsed(t, "gateway"); s.cli.Gateway.HTTP != "127.0.0.1:0" || s.warnings != nil { // it has no tags
		t.Errorf("the gateway: %+v, %q", s.cli.Gateway, s.warnings)
	}
	if code, _, stderr := pulsering(t, "node", "--print-config"); code != exitUsage || !strings.Contains(stderr, `PULSERING_TAG: "7" is no tag`) {
		t.Errorf("half a tag: exit code %d, %s", code, stderr)
	}
	t.Setenv("PULSERING_TAG", "zone=a")
	t.Setenv("PULSERING_CONFIG", configFile(t, "beat: 50ms\nhttp: 127.0.0.1:1\n"))
	if s := parsed(t, "node"); !s.cli.Node.JSON || s.cli.Node.Beat != span(mustDuration("50ms")) || s.cli.Node.HTTP != "127.0.0.1:0" {
		t.Errorf("%+v", s.cli.Node)
	}
}
