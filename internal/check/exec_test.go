//go:build unix

package check

import (
	"testing"
	"time"
)

func TestExec(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"true":      "",
		"echo fine": "",
		"exit 3":    "exit status 3",
		"echo first; echo no room >&2; echo; exit 2": "exit status 2: no room",
		"printf '\\033[2Jx'; exit 1":                 "exit status 1: �[2Jx",
		"kill -KILL $$":                              "killed by SIGKILL",
		"no-such-check":                              "exit status 127: sh: 1: no-such-check: not found",
	} {
		got := ""
		if err := once(t.Context(), time.Minute, Exec(line)); err != nil {
			got = reason(err)
		}
		if got != want {
			if line == "no-such-check" && len(got) > len("exit status 127: ") {
				continue // shells differ in what they say
			}
			t.Errorf("%s: %q; want %q", line, got, want)
		}
	}
}

func TestExecLimit(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"sleep 1000", "yes", `trap "" TERM; while :; do sleep 1000; done`, "echo; sleep 1000 & wait"} {
		began := time.Now()
		err := once(t.Context(), 300*time.Millisecond, Exec(line))
		if err == nil || err.Error() != "no result within 300ms" {
			t.Errorf("%s: %v", line, err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: it took %v", line, took)
		}
	}
}
