//go:build !unix

package ws

import (
	"net"
	"syscall"
)

// rawConn is nil: here sockets are read and written in the plain way.
func rawConn(net.Conn) syscall.RawConn { return nil }
