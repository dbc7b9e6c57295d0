package discovery

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain lets this program be started again as another process, with a state directory or a source.
func TestMain(m *testing.M) {
	switch of := os.Getenv("DISCOVERY_TEST_OF"); os.Getenv("DISCOVERY_TEST") {
	case "":
		goleak.VerifyTestMain(m)
	case "hold": // and have a child that outlives this process
		if _, err := Open(of); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "DISCOVERY_TEST=sleep")
		if err := child.Start(); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(child.Process.Pid)
		time.Sleep(time.Minute)
	case "save": // without end
		s, err := Open(of)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		_, boot := s.Last()
		for {
			boot++
			members := []Member{{"b", "10.0.0.2:7946"}, {"c", fmt.Sprintf("10.0.0.3:%d", 1+boot%60000)}}
			if err := s.Save(members, boot); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			fmt.Println(boot)
		}
	case "ask":
		s, err := Parse(of)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		s.Discover(context.Background())
	case "sleep":
		time.Sleep(time.Minute)
	}
}

// again starts this program as another process.
func again(t *testing.T, what, of string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "DISCOVERY_TEST="+what, "DISCOVERY_TEST_OF="+of)
	t.Cleanup(func() {
		if cmd.Process != nil && cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	return cmd
}

// wantError fails unless err tells all of parts.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not tell %q", err, p)
		}
	}
}

// within fails when f takes much longer than the limits of these tests.
func within(t *testing.T, f func()) {
	t.Helper()
	began := time.Now()
	f()
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
}

// TestBoundaries: whoever embeds cluster gets none of this package, and this package stands alone.
func TestBoundaries(t *testing.T) {
	if testing.Short() {
		t.Skip("asks the go command")
	}
	deps := func(pkg string) string {
		out, err := exec.Command("go", "list", "-deps", pkg).CombinedOutput()
		if err != nil {
			t.Skipf("go list: %v: %s", err, out)
		}
		return string(out)
	}
	const module = "github.com/pulsering/pulsering/"
	if d := deps(module + "cluster"); strings.Contains(d, "cluster/discovery") || strings.Contains(d, "gofrs/flock") {
		t.Error("cluster imports discovery or what only discovery needs")
	}
	d := deps(module + "cluster/discovery")
	for _, not := range []string{module + "cluster\n", "hashicorp", "miekg"} {
		if strings.Contains(d, not) {
			t.Errorf("discovery imports %q", not)
		}
	}
}
