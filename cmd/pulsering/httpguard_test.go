package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

const someToken = "0123456789abcdef"

// certFiles writes a certificate for 127.0.0.1 and its key to files, and returns the flags.
func certFiles(t *testing.T, dir string) (flags []string, serial string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	number, _ := rand.Int(rand.Reader, big.NewInt(1<<60))
	template := &x509.Certificate{SerialNumber: number, NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{{127, 0, 0, 1}}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPath, keyPath := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, certPath, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	write(t, keyPath, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	return []string{"--http-cert", certPath, "--http-key", keyPath}, number.String()
}

// Who is open to other machines without a token or TLS does not start, and is told how to go on.
func TestHTTPRefusesStrangers(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, someToken+"\n")
	tls, _ := certFiles(t, t.TempDir())
	for addr, open := range map[string]bool{"127.0.0.1:0": false, "127.1.2.3:0": false, "[::1]:0": false, "[::ffff:127.0.0.1]:0": false,
		"0.0.0.0:0": true, ":0": true, "[::]:0": true, "203.0.113.1:0": true, "[fe80::1%eth0]:0": true} {
		code, _, stderr := pulsering(t, "node", "--http", addr, "--print-config")
		if refused := code == exitUsage; refused != open {
			t.Errorf("%s: exit code %d, %s", addr, code, stderr)
		}
		for _, want := range []string{"--http: ", "--http-token-file FILE", "--http-cert FILE", "--http 127.0.0.1:0"} {
			if open && !strings.Contains(stderr, want) {
				t.Errorf("%s: the error does not name %s: %s", addr, want, stderr)
			}
		}
		for _, guard := range [][]string{{"--http-token-file", token}, tls} {
			if code, _, stderr := pulsering(t, append([]string{"node", "--http", addr, "--print-config"}, guard...)...); code != 0 {
				t.Errorf("%s %s: exit code %d, %s", addr, guard, code, stderr)
			}
		}
	}
	for _, args := range [][]string{{"--http-token-file", token}, tls, tls[:2], tls[2:], {"--http", "127.0.0.1:1", tls[0], tls[1], tls[2], tls[1]}} {
		if code, _, stderr := pulsering(t, append([]string{"node"}, args...)...); code != exitUsage || !strings.Contains(stderr, "--http-") {
			t.Errorf("%v: exit code %d, %s", args, code, stderr)
		}
	}
}

func TestTokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	for text, want := range map[string]string{
		someToken:                            "",
		someToken + "\r\n":                   "",
		strings.Repeat("x", 1024):            "",
		"":                                   "the token is 0 characters long: want at least 16",
		"secret\n":                           "the token is 6 characters long: want at least 16",
		"secret" + strings.Repeat("x", 2000): "longer than 1024",
		"secret" + strings.Repeat("x", 3000): "has 3006 bytes: want at most 2048",
		"secret and secret":                  "character 7 ",
		"secretsecretsecret\nsecret":         "character 19 ",
		"secretsecretsecr\xe4t":              "character 17 ",
	} {
		write(t, path, text)
		got, err := readTokenFile(path, false)
		if want == "" && (err != nil || got.token != strings.TrimSpace(text)) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.20q: %v; want %q", text, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), path)) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := readTokenFile(filepath.Dir(path), false); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a directory: %v", err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	write(t, path, someToken)
	for mode, exposed := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o700: false, 0o640: true, 0o644: true, 0o604: true, 0o620: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := pulsering(t, "node", "--http", "127.0.0.1:1", "--http-token-file", path, "--print-config")
		if (code == exitUsage) != exposed || exposed && !strings.Contains(stderr, "chmod 600 "+path) {
			t.Errorf("mode %o: exit code %d, %s", mode, code, stderr)
		}
	}
}

// guarded serves as these arguments of a node say.
func guarded(t *testing.T, args ...string) (*served, *guard) {
	t.Helper()
	flags := parsed(t, args...).cli.Node.httpFlags
	guard, err := newGuard(flags)
	if err != nil {
		t.Fatal(err)
	}
	on, err := serving{http: string(flags.HTTP), guard: guard}.start(hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(on.close)
	return on, guard
}

// The token lets in who wants to change something, and a reload exchanges it.
func TestToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write(t, path, someToken)
	args := []string{"node", "--http", "127.0.0.1:0", "--http-token-file", path}
	on, guard := guarded(t, args...)
	on.web.Joined(newFakeRing())
	ask := func(authorization string) int {
		request, _ := http.NewRequest("PUT", "http://"+on.http.String()+"/v1/log-level", strings.NewReader(`{"level":"info"}`))
		if authorization != "" {
			request.Header.Set("Authorization", authorization)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if body, _ := io.ReadAll(answer.Body); answer.StatusCode == http.StatusUnauthorized &&
			(!strings.Contains(string(body), "--http-token-file") || answer.Header.Get("WWW-Authenticate") == "") {
			t.Errorf("%q", body)
		}
		return answer.StatusCode
	}
	try := func(token string, want int) {
		t.Helper()
		if got := ask(token); got != want {
			t.Errorf("Authorization: %q: %d; want %d", token, got, want)
		}
	}
	for _, wrong := range []string{"", someToken, "Bearer", "Bearer ", "Bearer " + someToken[1:], "Bearer " + someToken + "x", "Basic " + someToken} {
		try(wrong, http.StatusUnauthorized)
	}
	try("Bearer "+someToken, http.StatusOK)

	r := newReloading(t, guard, args...)
	write(t, path, "another-token-of-ours")
	r.says("http-token-file: changed", "reloaded: changed=1")
	try("Bearer "+someToken, http.StatusUnauthorized)
	try("Bearer another-token-of-ours", http.StatusOK)
	write(t, path, "short")
	r.says("the token is 5 characters long", "nothing is reloaded")
	try("Bearer another-token-of-ours", http.StatusOK)
}

// A reload exchanges the certificate with its key.
func TestReloadCertificate(t *testing.T) {
	dir := t.TempDir()
	flags, first := certFiles(t, dir)
	args := append([]string{"node", "--http", "127.0.0.1:0"}, flags...)
	on, guard := guarded(t, args...)
	serial := func() string {
		t.Helper()
		conn, err := tls.Dial("tcp", on.http.String(), &tls.Config{InsecureSkipVerify: true}) // whose it is, is the question
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	if got := serial(); got != first {
		t.Errorf("certificate %s; want %s", got, first)
	}
	r := newReloading(t, guard, args...)
	_, second := certFiles(t, dir)
	r.says("http-cert: changed", "http-key: changed", "reloaded: changed=2")
	if got := serial(); got != second {
		t.Errorf("after a reload certificate %s; want %s", got, second)
	}
	t.Log("a key that does not fit")
	other := t.TempDir()
	certFiles(t, other)
	key, err := os.ReadFile(filepath.Join(other, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "key.pem"), string(key))
	r.says("want a certificate and its private key", "nothing is reloaded")
	if got := serial(); got != second {
		t.Errorf("after a wrong key certificate %s; want %s", got, second)
	}
}
