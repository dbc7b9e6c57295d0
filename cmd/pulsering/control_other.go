//go:build !unix || solaris || aix

package main

import (
	"errors"
	"net"
)

// listenControl has nothing to listen on: sockets have no owner here who alone may open them.
func listenControl(string) (net.Listener, error) {
	return nil, errors.New("is not possible on this system: use --http with --http-token-file")
}
