//go:build !linux

package main

import "net"

// deafen is for Linux. Elsewhere the kernel goes on acknowledging for a device whose path is cut,
// so that it looks stuck, or silent.
func deafen(net.Conn, bool) error { return nil }
