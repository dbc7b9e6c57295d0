package main

import "testing"

func TestEdits(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"beat", "beat", 0},
		{"bea", "beat", 1},
		{"beat", "bet", 1},
		{"beat", "boat", 1},
		{"baet", "beat", 1}, // one swap, not two changes
		{"ca", "abc", 3},    // what is swapped is not changed again: the restricted distance
		{"kitten", "sitting", 3},
		{"abcdef", "badcfe", 3},
	} {
		if got := edits(test.a, test.b); got != test.want {
			t.Errorf("edits(%q, %q) = %d, want %d", test.a, test.b, got, test.want)
		}
		if got := edits(test.b, test.a); got != test.want {
			t.Errorf("edits(%q, %q) = %d, want %d: it is a distance", test.b, test.a, got, test.want)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"name", "bind", "join", "tag", "http", "json", "log-level", "log-format", "beat", "stall-allowance", "heartbeats"}
	for wrong, want := range map[string]string{
		"stall-alowance":  "stall-allowance",
		"stall_allowance": "stall-allowance",
		"STALL_ALLOWANCE": "stall-allowance",
		"StallAllowance":  "stall-allowance",
		"baet":            "beat",
		"tags":            "tag",
		"logformat":       "log-format",
		"heartbeat":       "heartbeats",
		"jion":            "join",
		"x":               "",
		"":                "",
		"service-host":    "",
		"observers":       "",
	} {
		if got := nearest(wrong, names); got != want {
			t.Errorf("nearest(%q) = %q, want %q", wrong, got, want)
		}
	}
	if got := nearest(string(make([]byte, 1<<20)), names); got != "" {
		t.Errorf("for a megabyte: %q", got)
	}
}
