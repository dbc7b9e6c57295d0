package main

import (
	"bytes"
	"crypto/tls"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// A certificate that is renewed holds for the connections from then on. While its files do not belong together, or are gone, the one
// before holds, and the log says so once.
func TestCertificateIsRenewed(t *testing.T) {
	cert, key := certificate(t)
	k, err := readKeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	log := hclog.New(&hclog.LoggerOptions{Output: &out})
	now := time.Now()
	look := func() *tls.Certificate {
		now = now.Add(lookAgain)
		return k.at(now, log)
	}
	write := func(to, from string) {
		t.Helper()
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(to, time.Time{}, now); err != nil { // whatever the file system's clock ticks in
			t.Fatal(err)
		}
	}
	first := look()
	if look() != first || out.Len() > 0 {
		t.Errorf("nothing has changed, and it was read again: %s", &out)
	}
	newCert, newKey := certificate(t)
	write(cert, newCert)
	if a, b := look(), look(); a != first || b != first || strings.Count(out.String(), "cannot be read") != 1 {
		t.Errorf("half of a change holds, or is not logged once: %s", &out)
	}
	write(key, newKey)
	if k.at(now, log) != first {
		t.Error("the files are looked at for each connection")
	}
	second := look()
	if second.Leaf.Equal(first.Leaf) || strings.Count(out.String(), "read again") != 1 {
		t.Errorf("the first certificate still holds: %s", &out)
	}
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	if a, b := look(), look(); a != second || b != second || strings.Count(out.String(), "cannot be read") != 2 {
		t.Errorf("without a file the second does not hold, or that is not logged once: %s", &out)
	}
	write(cert, newCert)
	if !look().Leaf.Equal(second.Leaf) {
		t.Error("the file is back, and its certificate does not hold")
	}
}
