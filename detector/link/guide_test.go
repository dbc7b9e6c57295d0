package link_test

import (
	"bufio"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/tcp"
)

const guide = "../../docs/heartbeats.md"

// blocks are the blocks of code in a language that the guide has.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		found = append(found, m[1])
	}
	if len(found) == 0 {
		t.Fatalf("no block of %s in %s", language, guide)
	}
	return found
}

// output is what a program of the guide says that it prints, as Go's examples do.
var output = regexp.MustCompile(`(?m)^// Output:\n((?:// .*\n)+)`)

// Each Go program of the guide is one that the compiler and vet take, and prints what stands below it.
func TestGuideBuilds(t *testing.T) {
	for _, program := range blocks(t, "go") {
		file := filepath.Join(t.TempDir(), "main.go")
		if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
			t.Fatal(err)
		}
		says := output.FindStringSubmatch(program)
		if says == nil { // it goes on for ever, and linking it takes longest
			if out, err := exec.Command("go", "vet", file).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s\nof\n%s", err, out, program)
			}
			continue
		}
		want := regexp.MustCompile(`(?m)^// `).ReplaceAllString(says[1], "")
		if out, err := exec.Command("go", "run", file).CombinedOutput(); err != nil || string(out) != want {
			t.Errorf("it prints %q (%v), want %q, of\n%s", out, err, want, program)
		}
	}
}

// The guide's client in Python stays up at a server: it answers its pings.
func TestGuideInPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 here")
	}
	server, err := link.NewServer(link.Config{Interval: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go server.Serve(context.Background(), tcp.NewServer(conn, 0))
		}
	}()
	script := filepath.Join(t.TempDir(), "client.py")
	if err := os.WriteFile(script, []byte(blocks(t, "python")[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(listener.Addr().String())
	client := exec.CommandContext(t.Context(), python, script, host, port)
	var said strings.Builder
	client.Stderr = &said
	out, err := client.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		client.Process.Kill()
		client.Wait()
		if t.Failed() {
			t.Logf("the client said %s", &said)
		}
	}()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || strings.TrimSpace(line) != "PONG hello" {
		t.Errorf("the client was answered %q (%v), want PONG hello", line, err)
	}
	for deadline := time.Now().Add(30 * time.Second); server.Stats().Beats.Load() < 10; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d beats in half a minute", server.Stats().Beats.Load())
		}
	}
	if s := server.Sessions(); len(s) != 1 || s[0].RTT == 0 {
		t.Errorf("sessions %+v, want one with a round-trip time", s)
	}
}
