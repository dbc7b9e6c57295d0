//go:build e2e && linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A node with a configuration lives through a SIGHUP, but not through the end of the terminal that it was started from, wherever
// its output goes: nobody could end it there any more.
func TestTerminalCloses(t *testing.T) {
	heeds(t, syscall.SIGHUP)
	ant := town(t, []string{"ant"})[0]
	for _, where := range []string{"terminal", "file"} {
		t.Log("output to a", where)
		master, terminal := openTerminal(t)
		name, file := "bee-"+where, configFile(t, "tag: {zone: a}\n")
		cmd := exec.Command(binary, "node", "--name", name, "--bind", freshAddr(t), "--join", ant.addr, "--config", file)
		var log tap
		cmd.Stdin, cmd.Stderr = terminal, &log
		if where == "terminal" {
			cmd.Stdout = terminal
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0, Pdeathsig: syscall.SIGKILL}
		must(t, cmd.Start())
		t.Cleanup(func() { cmd.Process.Kill() })
		terminal.Close()
		ant.expect("up", name)
		log.await(t, "joined:")

		write(t, file, "tag: {zone: b}\n")
		must(t, cmd.Process.Signal(syscall.SIGHUP))
		ant.expect("updated", name, func(e eventLine) bool { return e.Tags["zone"] == "b" })

		master.Close()
		ant.expect("left", name)
		if code := ends(cmd); code != 0 {
			t.Errorf("exit code %d", code)
		}
		log.await(t, "leaving: cause=\"stopped by a signal: hangup\"")
	}
	onlyDown(t, []*member{ant})
}

// openTerminal makes a terminal, with the end that a window would have.
func openTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	must(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	must(t, err)
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	must(t, err)
	return master, terminal
}
