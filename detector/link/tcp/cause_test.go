package tcp

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/pulsering/pulsering/detector/link"
)

// How a socket ended is told whatever is above it, and of what is none nothing is.
func TestEndCauseBelowTLS(t *testing.T) {
	near, _ := pair(t)
	pipe, far := net.Pipe()
	defer pipe.Close()
	defer far.Close()
	timeout := &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.ETIMEDOUT)}
	for _, test := range []struct {
		name        string
		conn        net.Conn
		read, write error
		want        link.Cause
	}{
		{"a socket", near, io.EOF, timeout, link.Path},
		{"TLS", tls.Client(near, nil), io.EOF, timeout, link.Path},
		{"TLS in TLS", tls.Client(tls.Client(near, nil), nil), net.ErrClosed, timeout, link.Path},
		{"TLS, closed", tls.Server(near, nil), io.EOF, nil, link.Clean},
		{"TLS, cut off", tls.Server(near, nil), io.ErrUnexpectedEOF, nil, 0},
		{"a pipe", pipe, io.EOF, timeout, 0},
		{"TLS over a pipe", tls.Client(pipe, nil), io.EOF, timeout, 0},
	} {
		if got := EndCause(test.conn, test.read, test.write); got != test.want {
			t.Errorf("%s: read %v, write %v: %q, want %q", test.name, test.read, test.write, got, test.want)
		}
	}
}
