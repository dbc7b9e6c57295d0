package main

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/internal/input"
)

// keyPair is a certificate and its private key, as they are in two files. Where these change it is read again, for the connections from
// then on: certificates are renewed every few weeks, and that is no reason to end sessions.
type keyPair struct {
	cert, key string

	mu     sync.Mutex
	pair   *tls.Certificate
	read   [2]stamp // of the files when they were read last
	looked time.Time
}

// stamp tells one version of a file from another.
type stamp struct {
	at   time.Time
	size int64
}

// lookAgain is how long the files are taken to be as they were.
const lookAgain = time.Second

// readKeyPair reads the files. The error names the flags.
func readKeyPair(cert, key string) (*keyPair, error) {
	k := &keyPair{cert: cert, key: key, read: stamps(cert, key)}
	return k, k.load()
}

// load needs k.mu, unless nobody else has k yet.
func (k *keyPair) load() error {
	pair, err := k.readBoth()
	if err != nil {
		return fmt.Errorf("--cert %s, --key %s: %w: want a certificate and its private key, both in PEM", k.cert, k.key, err)
	}
	k.pair = &pair
	return nil
}

func (k *keyPair) readBoth() (pair tls.Certificate, err error) {
	cert, _, err := input.File(k.cert, longestPEM, true)
	if err != nil {
		return pair, err
	}
	key, _, err := input.File(k.key, longestPEM, true)
	if err != nil {
		return pair, err
	}
	return tls.X509KeyPair(cert, key)
}

// config is how to speak TLS with it. What cannot be read is logged, and what there was before holds: the two files are written one
// after the other.
func (k *keyPair) config(log hclog.Logger) *tls.Config {
	return &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return k.at(time.Now(), log), nil }}
}

// at is the certificate for a connection that begins now.
func (k *keyPair) at(now time.Time, log hclog.Logger) *tls.Certificate {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.Sub(k.looked) < lookAgain {
		return k.pair
	}
	k.looked = now
	there := stamps(k.cert, k.key)
	if there == k.read {
		return k.pair
	}
	k.read = there
	if err := k.load(); err != nil {
		log.Warn("the certificate has changed and cannot be read: the one before holds", "error", err)
	} else {
		log.Info("the certificate was read again", "until", k.pair.Leaf.NotAfter.UTC())
	}
	return k.pair
}

// stamps are those of the files, zero of one that is not there.
func stamps(cert, key string) (s [2]stamp) {
	for i, path := range [...]string{cert, key} {
		if info, err := os.Stat(path); err == nil {
			s[i] = stamp{info.ModTime().Round(0), info.Size()}
		}
	}
	return s
}
