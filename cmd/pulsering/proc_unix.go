//go:build unix

package main

import "syscall"

// pause stops the process where it stands, as a virtual machine or a swapping host may.
func (p *proc) pause() error { return p.cmd.Process.Signal(syscall.SIGSTOP) }

// resume lets it go on.
func (p *proc) resume() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

// terminate asks it to end.
func (p *proc) terminate() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
