package main

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// deafen has the kernel drop each packet that comes to a socket, as a cable that is cut does: the
// other end's packets are then not acknowledged. It is a filter that takes no packet, which anybody
// may put on a socket of one's own (socket(7), SO_ATTACH_FILTER).
func deafen(conn net.Conn, deaf bool) error {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		if !deaf {
			set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
			return
		}
		none := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
		program := unix.SockFprog{Len: uint16(len(none)), Filter: &none[0]}
		set = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
	})
	if err != nil {
		return err
	}
	return set
}
