//go:build unix

package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The first signal ends whoever waits for a file: a pipe without a writer here, as a network disk
// that hangs.
func TestSignalEndsReadingOfFiles(t *testing.T) {
	lonely(t)
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{
		"node --config PIPE --print-config", "node --key-file PIPE", "node --http 127.0.0.1:9 --http-token-file PIPE", "gateway --config PIPE",
		"keys add PIPE --http 127.0.0.1:9", "members --http https://127.0.0.1:9 --http-ca PIPE", "replay PIPE",
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		var out, stderr bytes.Buffer
		code := make(chan int, 1)
		go func() {
			code <- run(ctx, strings.Fields(strings.ReplaceAll(args, "PIPE", pipe)), console{out: &out, err: &stderr})
		}()
		select {
		case c := <-code:
			t.Errorf("%s ended by itself: %d\n%s", args, c, &stderr)
		case <-time.After(50 * time.Millisecond):
		}
		cancel(signalled{syscall.SIGTERM})
		select {
		case c := <-code:
			if want := "pulsering: error: stopped by a signal: terminated\n"; c != 143 || out.Len() > 0 || stderr.String() != want {
				t.Errorf("%s: %d %q %q", args, c, &out, &stderr)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s waits for the pipe", args)
		}
	}
}
