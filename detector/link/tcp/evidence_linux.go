package tcp

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func readInfo(socket syscall.RawConn) (Info, error) {
	var raw *unix.TCPInfo
	err := control(socket, "TCP_INFO", func(fd int) (err error) {
		raw, err = unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		return err
	})
	if err != nil {
		return Info{}, err
	}
	ms := func(n uint32) time.Duration { return time.Duration(n) * time.Millisecond }
	us := func(n uint32) time.Duration { return time.Duration(n) * time.Microsecond }
	return Info{
		State:            stateName(raw.State),
		LastDataSent:     ms(raw.Last_data_sent),
		LastDataReceived: ms(raw.Last_data_recv),
		LastAckReceived:  ms(raw.Last_ack_recv),
		Unacked:          int(raw.Unacked),
		Retransmits:      int(raw.Retransmits),
		TotalRetransmits: int(raw.Total_retrans),
		Probes:           int(raw.Probes),
		Backoff:          int(raw.Backoff),
		RTO:              us(raw.Rto),
		RTT:              us(raw.Rtt),
		RTTVar:           us(raw.Rttvar),
		BytesAcked:       raw.Bytes_acked,
		BytesReceived:    raw.Bytes_received,
		NotSent:          int(raw.Notsent_bytes),
		Window:           int(raw.Snd_wnd),
	}, nil
}

func readKeepAlive(socket syscall.RawConn) (KeepAlive, error) {
	var on, idle, interval, probes, slow int
	err := control(socket, "keep-alive", func(fd int) error {
		for _, option := range []struct {
			level, name int
			value       *int
		}{
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE, &on},
			{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, &idle},
			{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, &interval},
			{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, &probes},
			{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, &slow},
		} {
			var err error
			if *option.value, err = unix.GetsockoptInt(fd, option.level, option.name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return KeepAlive{}, err
	}
	return KeepAlive{
		Idle:       time.Duration(idle) * time.Second,
		Interval:   time.Duration(interval) * time.Second,
		Probes:     probes,
		SlowReader: time.Duration(slow) * time.Millisecond,
		Off:        on == 0,
	}, nil
}

func unread(socket syscall.RawConn) bool {
	n := 0
	err := control(socket, "SIOCINQ", func(fd int) (err error) {
		n, err = unix.IoctlGetInt(fd, unix.SIOCINQ)
		return err
	})
	return err == nil && n > 0
}

func setSlowReader(conn syscall.Conn, budget time.Duration) error {
	socket, err := conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("tcp: no raw socket: %w", err)
	}
	return control(socket, "TCP_USER_TIMEOUT", func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(budget.Milliseconds()))
	})
}

// control runs f on the socket. What is no TCP socket (a Unix one) gives ErrNoInfo.
func control(socket syscall.RawConn, what string, f func(fd int) error) error {
	var failed error
	if err := socket.Control(func(fd uintptr) { failed = f(int(fd)) }); err != nil {
		return fmt.Errorf("tcp: %s: %w", what, err)
	}
	switch {
	case errors.Is(failed, unix.ENOPROTOOPT), errors.Is(failed, unix.EOPNOTSUPP):
		return fmt.Errorf("%w: %s: %w", ErrNoInfo, what, failed)
	case failed != nil:
		return fmt.Errorf("tcp: %s: %w", what, failed)
	}
	return nil
}
