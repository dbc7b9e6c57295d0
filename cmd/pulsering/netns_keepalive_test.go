//go:build e2e && unix

package main

import (
	"encoding/json"
	"errors"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// The cable of the other host is pulled: keep-alive ends the connection when it said it would.
func TestNetnsKeepalive(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads TCP_INFO")
	}
	t.Parallel() // it is waiting, for the most part
	net := newLAN(t, []string{"ant", "bee"})
	ant, bee := net.hosts["ant"], net.hosts["bee"]
	launchBy(t, bee.door, "bee", bee.ip+":7946", "127.0.0.1:8080").expect("joined", "bee") // its port takes connections
	cmd := exec.Command(ant.door, "keepalive", bee.ip+":7946", "--idle", "1s", "--interval", "1s", "--probes", "2", "--json")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill() })
	type line struct {
		Kind, End  string
		FoundAfter float64 `json:"found_after_s"`
		Unanswered int     `json:"unanswered_probes"`
	}
	var all []line
	var cut time.Time
	for lines := json.NewDecoder(out); ; {
		var l line
		if lines.Decode(&l) != nil {
			break
		}
		if all = append(all, l); l.Kind == "connected" {
			net.set(switches, "bee", "down")
			cut = time.Now()
		}
	}
	took := time.Since(cut)
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitFailed || !strings.Contains(stderr.String(), "timed out") {
		t.Errorf("%v: %s", err, &stderr)
	}
	unanswered := 0
	for _, l := range all {
		unanswered = max(unanswered, l.Unanswered)
	}
	if len(all) == 0 {
		t.Fatal("it printed nothing")
	}
	if last := all[len(all)-1]; all[0].FoundAfter != 3 || last.Kind != "ended" || last.End != "path" || unanswered == 0 {
		t.Errorf("%+v", all)
	}
	t.Logf("the path was cut, and found so after %s", seconds(took))
	if took < 2*time.Second || took > soon {
		t.Errorf("found after %v; want 3 s", took)
	}
}
