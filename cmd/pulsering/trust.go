package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/pulsering/pulsering/internal/input"
)

// trusted is which gateways in TLS are spoken to.
type trusted struct {
	CA text `name:"ca" placeholder:"FILE" help:"Certificates (PEM) to trust with wss:// and tls://, in place of the system's: those of authorities, or the gateway's own."`
}

// wrong returns what is wrong with the flag for a gateway.
func (t trusted) wrong(gateway gatewayURL) []error {
	if _, err := t.trust(gateway); err != nil {
		return []error{err}
	}
	return nil
}

// trust is which certificates of a gateway are good; nil: those that the system trusts.
func (t trusted) trust(gateway gatewayURL) (*tls.Config, error) {
	switch {
	case t.CA == "":
		return nil, nil
	case gateway.at != nil && !gateway.secure():
		return nil, fmt.Errorf("--ca: %s is not in TLS: want wss:// or tls://, or leave it out", gateway)
	}
	pem, _, err := input.File(string(t.CA), longestPEM, true) // once to see what is wrong, and once for good
	if err != nil {
		return nil, fmt.Errorf("--ca: %w: give the file with the certificates to trust", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca: %s holds no certificate: want PEM, which begins with -----BEGIN CERTIFICATE-----", t.CA)
	}
	return &tls.Config{RootCAs: pool}, nil
}
