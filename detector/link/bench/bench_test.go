//go:build linux

package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test's program be started again as a server or client.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		if err := act(role); err != nil {
			os.Stderr.WriteString(role + ": " + err.Error() + "\n")
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestAllServersAnswerForEachConnection(t *testing.T) {
	o, err := parse([]string{
		"--conns", "50", "--rounds", "2", "--seconds", "1", "--settle", "1s", "--interval", "100ms",
	})
	if err != nil {
		t.Fatal(err)
	}
	var out, log bytes.Buffer
	if err := rounds(t.Context(), o, &out, &log); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	t.Logf("\n%s", &out)
	for _, name := range serverNames() {
		if !strings.Contains(out.String(), "| "+name+" | ") {
			t.Errorf("no row of %s", name)
		}
	}
}

func TestInterruptionEndsAllProcesses(t *testing.T) {
	o, err := parse([]string{"--conns", "50", "--rounds", "9", "--seconds", "60", "--settle", "0s"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	var out, log bytes.Buffer
	begin := time.Now()
	if err := rounds(ctx, o, &out, &log); err == nil {
		t.Error("no error")
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	if out.Len() > 0 {
		t.Errorf("a table of no round:\n%s", &out)
	}
}

func TestSessionsWithoutSockets(t *testing.T) {
	o, err := parse([]string{
		"--memory", "500", "--seconds", "1", "--settle", "2s", "--interval", "100ms",
	})
	if err != nil {
		t.Fatal(err)
	}
	var out, log bytes.Buffer
	if err := inMemory(t.Context(), o, &out, &log); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	if !strings.Contains(out.String(), "| 500 | 0 |") {
		t.Errorf("not all are up:\n%s", &out)
	}
	t.Logf("\n%s", &out)
}

func TestBadFlagsAreNamed(t *testing.T) {
	for _, args := range [][]string{
		{"--servers", "nobody"}, {"--rounds", "0"}, {"--interval", "1ms"}, {"more"},
	} {
		if _, err := parse(args); err == nil || !strings.HasPrefix(err.Error(), "bench: ") {
			t.Errorf("%q: %v", args, err)
		}
	}
}
