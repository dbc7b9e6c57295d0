//go:build e2e && linux

package supervise

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pulsering/pulsering/internal/command"
)

func init() {
	roles["first"] = func(args []string) {
		go command.Reap(context.Background())
		supervising(args)
	}
	roles["hog"] = hogging
	roles["parent"] = func([]string) { hogging(nil) }
	roles["litter"] = littering
	roles["leave"] = func([]string) { exec.Command(os.Args[0], "nap").Start() }
	roles["nap"] = func([]string) { time.Sleep(100 * time.Millisecond) }
}

// hogging takes memory until it has no more.
func hogging([]string) {
	var kept [][]byte
	for {
		b := make([]byte, 1<<20)
		for i := range b {
			b[i] = byte(i)
		}
		kept = append(kept, b)
		if len(kept) > 4096 {
			fmt.Println("there is too much memory")
			os.Exit(0)
		}
	}
}

// littering leaves orphans to the first process, and waits until it has buried them.
func littering([]string) {
	for range 20 {
		exec.Command(os.Args[0], "leave").Run()
	}
	zombies := func() (n int) {
		stats, _ := filepath.Glob("/proc/[0-9]*/stat")
		for _, path := range stats {
			if b, _ := os.ReadFile(path); bytes.Contains(b, []byte(") Z 1 ")) {
				n++
			}
		}
		return n
	}
	time.Sleep(time.Second)
	most := zombies()
	for end := time.Now().Add(30 * time.Second); zombies() > 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			break
		}
	}
	fmt.Printf("zombies: %v, then %d\n", most > 0, zombies())
}

// image builds an image of this test's binary.
func image(t *testing.T) string {
	t.Helper()
	if out, err := exec.Command("docker", "info").CombinedOutput(); err != nil {
		t.Skipf("no Docker engine: %v\n%s", err, out)
	}
	dir := t.TempDir()
	build := exec.Command("go", "test", "-c", "-tags", "e2e", "-o", filepath.Join(dir, "t"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const dockerfile = "FROM scratch\nCOPY t /t\nENV " + roleEnv + "=1\nENTRYPOINT [\"/t\"]\n"
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o600); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("pulsering-supervise-test-%d", os.Getpid())
	if out, err := exec.Command("docker", "build", "-q", "-t", name, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Cleanup(func() { exec.Command("docker", "rmi", "-f", name).Run() })
	return name
}

// In a container the supervisor is the first process, buries orphans, passes on what "docker stop"
// sends, and knows when the kernel killed the service for memory.
func TestContainer(t *testing.T) {
	name := image(t)
	for _, c := range []struct {
		what string
		args []string
		want string
		code int
	}{
		{"killed for memory", []string{"first", "/t", "hog"}, "ended: killed by SIGKILL, out of memory, asked false, well false", 137},
		{"its child was killed for memory", []string{"first", "/t", "supervise", "/t", "hog"},
			"ended: exit status 137, probably out of memory, asked false, well false", 137},
		{"killed by itself", []string{"first", "/t", "no-such-role"}, "ended: exit status 2, asked false", 2},
		{"leaves orphans", []string{"first", "/t", "litter"}, "zombies: true, then 0", 0},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"run", "--rm", "--memory", "64m", "--memory-swap", "64m", "--network", "none", name}, c.args...)
			out, err := exec.Command("docker", args...).CombinedOutput()
			code := 0
			if e, ok := err.(*exec.ExitError); ok {
				code = e.ExitCode()
			}
			if code != c.code || !strings.Contains(string(out), c.want) {
				t.Errorf("%d %s; want %d and %q", code, out, c.code, c.want)
			}
		})
	}
	t.Run("docker stop", func(t *testing.T) {
		t.Parallel()
		cmd := exec.Command("docker", "run", "--rm", "--name", name, "--network", "none", name, "first", "/t", "service", "0")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for lines.Scan() && lines.Text() != "ready" {
		}
		began := time.Now()
		if out, err := exec.Command("docker", "stop", "-t", "30", name).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		var rest []string
		for lines.Scan() {
			rest = append(rest, lines.Text())
		}
		if err := cmd.Wait(); err != nil || time.Since(began) > 20*time.Second {
			t.Errorf("%v after %v: %q", err, time.Since(began), rest)
		}
		if all := strings.Join(rest, "\n"); !strings.Contains(all, "ended: exit status 0, asked true, well true") {
			t.Errorf("%q", rest)
		}
	})
}
