//go:build !linux

package tcp

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"time"
)

func readInfo(syscall.RawConn) (Info, error) { return Info{}, errSystem() }

func readKeepAlive(syscall.RawConn) (KeepAlive, error) { return KeepAlive{}, errSystem() }

func unread(syscall.RawConn) bool { return false }

func errSystem() error { return fmt.Errorf("%w: not read on %s", ErrNoInfo, runtime.GOOS) }

func setSlowReader(_ syscall.Conn, budget time.Duration) error {
	if budget == 0 {
		return nil
	}
	return fmt.Errorf("tcp: KeepAlive.SlowReader: %v: want 0 on %s, which has no TCP_USER_TIMEOUT: %w",
		budget, runtime.GOOS, errors.ErrUnsupported)
}
