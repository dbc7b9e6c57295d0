package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// certificate makes a certificate for 127.0.0.1 and hosts, and writes it and its key to files.
func certificate(t *testing.T, hosts ...string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gateway"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	for _, h := range hosts {
		template.IPAddresses = append(template.IPAddresses, net.ParseIP(h))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, b []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", secret)
}

// What is wrong with a gateway's and a client's flags is said in their terms, before anything listens.
func TestFlagsOfSessions(t *testing.T) {
	cert, key := certificate(t)
	_, other := certificate(t)
	for _, test := range []struct {
		args []string
		says []string
	}{
		{[]string{"gateway", "--cert", cert}, []string{"--cert: there is no --key", "or neither"}},
		{[]string{"gateway", "--key", key}, []string{"--key: there is no --cert", "or neither"}},
		{[]string{"gateway", "--cert", cert, "--key", other}, []string{"--cert", "--key", "does not match"}},
		{[]string{"gateway", "--cert", key, "--key", key}, []string{"--cert", "want a certificate"}},
		{[]string{"gateway", "--cert", cert + "x", "--key", key}, []string{"--cert", "no such file"}},
		{[]string{"gateway", "--cert", "", "--key", key}, []string{"--cert: is empty"}},
		{[]string{"connect", "ws://127.0.0.1:1/ws", "--ca", cert}, []string{"--ca", "want wss:// or tls://"}},
		{[]string{"connect", "tcp://127.0.0.1:1", "--ca", cert}, []string{"--ca", "want wss:// or tls://"}},
		{[]string{"connect", "tls://127.0.0.1:1", "--ca", key}, []string{"--ca", "holds no certificate"}},
		{[]string{"connect", "wss://127.0.0.1:1/ws", "--ca", cert + "x"}, []string{"--ca", "no such file"}},
		{[]string{"connect", "tls://127.0.0.1"}, []string{"want host:port"}},
		{[]string{"connect", "ws://127.0.0.1:1/ws", "--session", strings.Repeat("x", 129)}, []string{"--session: 129 bytes: want at most 128"}},
		{[]string{"gateway", "--origin", "https://pages.example"}, []string{"--origin", "want HOST or HOST:PORT"}},
		{[]string{"gateway", "--user-timeout", "999ms"}, []string{"--user-timeout", "1s to 24h"}},
		{[]string{"gateway", "--user-timeout", "25h"}, []string{"--user-timeout", "1s to 24h"}},
		{[]string{"gateway", "--user-timeout", "1000500us"}, []string{"--user-timeout", "whole milliseconds"}},
	} {
		code, stdout, stderr := pulsering(t, test.args...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, "--help") {
			t.Errorf("%s: exit code %d, %q, %q", test.args, code, stdout, stderr)
		}
		for _, want := range test.says {
			if !strings.Contains(stderr, want) {
				t.Errorf("%s: %q is not in %q", test.args, want, stderr)
			}
		}
	}
}

// The limits of --user-timeout are the library's.
func TestUserTimeoutLimits(t *testing.T) {
	for text, ok := range map[string]bool{"1s": true, "24h": true, "1234ms": true, "1000500us": false} {
		c := gatewayCmd{UserTimeout: span(mustDuration(text))}
		if err := c.keepAlive().Validate(); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
		if runtime.GOOS == "linux" && (len(c.wrong()) == 0) != ok {
			t.Errorf("%s: %v", text, c.wrong())
		}
	}
}

// What bounds the number of connections hides nothing of their sockets.
func TestSlotsShowTheSocket(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	limited := limit(l, 1, func(bool) {})
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	near, err := limited.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	raw, err := near.(*slotConn).SyscallConn()
	if err != nil || raw == nil {
		t.Errorf("raw socket %v, %v", raw, err)
	}
	if near.(*slotConn).NetConn() == nil {
		t.Error("no connection below")
	}
	if err := near.(*slotConn).CloseWrite(); err != nil {
		t.Error(err)
	}
	if n, err := far.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read %d, %v after the other half was closed", n, err)
	}
	if _, err := far.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if n, err := near.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("read %d, %v while this half is open", n, err)
	}
}
