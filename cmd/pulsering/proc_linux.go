package main

import "syscall"

// ownGroup puts a child into a process group of its own, so that a Ctrl-C at the terminal reaches the parent alone, and
// has the kernel kill it when the thread that started it ends: with the parent, whatever ends that. The parent must not
// let that thread end before, see runtime.LockOSThread.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
