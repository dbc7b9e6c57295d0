package tcp

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/pulsering/pulsering/detector/link"
)

// What the errors of both directions mean is told whatever is between the socket and who reads: TLS, or a wrapper that hides it.
func TestEndCause(t *testing.T) {
	op := func(name string, errno syscall.Errno) error {
		return &net.OpError{Op: name, Net: "tcp", Err: os.NewSyscallError(name, errno)}
	}
	for _, test := range []struct {
		name        string
		read, write error
		want        link.Cause
	}{
		{"closed", io.EOF, nil, link.Clean},
		{"dead under a write", io.EOF, op("write", syscall.ETIMEDOUT), link.Path},
		{"dead, and closed here for it", net.ErrClosed, op("write", syscall.ETIMEDOUT), link.Path},
		{"a reset", op("read", syscall.ECONNRESET), nil, link.Clean},
		{"nobody reads", io.EOF, op("write", syscall.EPIPE), link.Clean},
		{"closed here", net.ErrClosed, nil, link.Local},
		{"cut off", io.ErrUnexpectedEOF, nil, 0},
		{"something else", errors.New("bad record MAC"), io.EOF, 0},
	} {
		if got := EndCause(test.read, test.write); got != test.want {
			t.Errorf("%s: read %v, write %v: %q, want %q", test.name, test.read, test.write, got, test.want)
		}
	}
}

// unseen is a stream whose socket nobody sees.
type unseen struct{ io.ReadWriteCloser }

// A session over a stream that hides its socket ends with a reset as over any other.
func TestResetOfAHiddenSocket(t *testing.T) {
	near, far := pair(t)
	server, err := link.NewServer(link.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	events := server.Events(t.Context())
	go server.Serve(t.Context(), NewServer(unseen{near}, 0))
	io.WriteString(far, "PING\n")
	for e := range events {
		switch e.Session.State {
		case link.Up:
			far.SetLinger(0)
			far.Close()
		case link.Away:
			if e.Session.Cause != link.Clean {
				t.Errorf("the session is away, %v", e.Session.Cause)
			}
			return
		}
	}
}
