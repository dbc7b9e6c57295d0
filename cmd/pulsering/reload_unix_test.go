//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What was a pipe at the start is not read again: the node would wait for a writer, and could not end meanwhile.
func TestReloadOfPipes(t *testing.T) {
	pair, _ := certFiles(t, t.TempDir())
	for flag, text := range map[string]string{
		"key-file": "AAECAwQFBgcICQoLDA0ODw==\n", "http-token-file": someToken, "http-cert": contents(t, pair[1]), "config": "tag: {zone: a}\n",
	} {
		pipe := filepath.Join(t.TempDir(), "pipe")
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
		go os.WriteFile(pipe, []byte(text), 0o600) // which waits for its reader
		args := []string{"node", "--" + flag, pipe}
		if flag != "key-file" && flag != "config" {
			args = append(args, "--http", "127.0.0.1:9")
		}
		if flag == "http-cert" {
			args = append(args, pair[2:]...)
		}
		r := newReloading(t, nil, args...)
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.reload(t.Context())
		}()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatalf("--%s: a reload waits for the pipe", flag)
		}
		for _, want := range []string{"--" + flag + ": " + pipe + " is no regular file", "nothing is reloaded: all stays as it was"} {
			if !strings.Contains(r.log.String(), want) {
				t.Errorf("no %q in\n%s", want, &r.log)
			}
		}
	}
}

func contents(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
