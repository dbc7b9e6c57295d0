//go:build e2e && unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// A network of hosts inside this machine: each host is a network namespace of its own, with an address of its own and a
// cable (a veth pair) to a switch (a bridge). The switches are in one more namespace, so that nothing of it all is in the
// namespace of the machine.
type lan struct {
	t      *testing.T
	prefix string         // of the names of its namespaces
	reaper io.WriteCloser // is told each namespace before it is made
	hosts  map[string]host
}

// lans counts the networks, for names of their own.
var lans atomic.Int64

// host is a place to run a process at.
type host struct {
	ip   string
	door string // an executable that runs the binary there
}

// What the switches and cables are called: a host's cable is eth0 at the host, and has the host's name at its switch.
const (
	switches = "switches" // the namespace
	trunk    = "trunk"    // the cable between the two switches, at the first of them
)

// newLAN makes hosts at one switch, or at two with a cable between them. All of it is gone with the test.
func newLAN(t *testing.T, groups ...[]string) *lan {
	t.Helper()
	l := emptyLAN(t)
	must(t, l.namespace(switches))
	for i, group := range groups {
		bridge := fmt.Sprintf("switch%d", i+1)
		l.ip(switches, "link", "add", bridge, "up", "type", "bridge")
		for _, name := range group {
			l.plug(name, bridge)
		}
	}
	if len(groups) == 2 {
		l.ip(switches, "link", "add", trunk, "master", "switch1", "type", "veth", "peer", "name", "trunk2")
		l.ip(switches, "link", "set", "trunk2", "master", "switch2", "up")
		l.set(switches, trunk, "up")
	}
	return l
}

// emptyLAN is a network without hosts. It skips the test, with the reason, where there can be none.
func emptyLAN(t *testing.T) *lan {
	t.Helper()
	l := &lan{t: t, prefix: fmt.Sprintf("pulsering-%d-%d-", os.Getpid(), lans.Add(1)), hosts: map[string]host{}}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skipf("needs network namespaces: %v (Debian package iproute2)", err)
	}
	l.startReaper()
	if err := l.trial(); err != nil {
		t.Skipf("needs network namespaces, which cannot be made here by user %d: %v", os.Geteuid(), err)
	}
	return l
}

// trial makes one of each thing that a network is made of.
func (l *lan) trial() error {
	name := l.prefix + "trial"
	if err := l.namespace("trial"); err != nil {
		return err // and so would all the rest
	}
	return errors.Join(
		ip("-netns", name, "link", "add", "switch", "type", "bridge"),
		ip("-netns", name, "link", "add", "eth0", "type", "veth", "peer", "name", "port"),
		ip("netns", "exec", name, "true"),
	)
}

// plug makes a host at a switch.
func (l *lan) plug(name, bridge string) {
	l.t.Helper()
	h := host{fmt.Sprintf("10.77.0.%d", len(l.hosts)+1), filepath.Join(l.t.TempDir(), name)}
	l.hosts[name] = h
	must(l.t, l.namespace(name))
	l.set(name, "lo", "up")
	l.ip(name, "link", "add", "eth0", "type", "veth", "peer", "name", name, "netns", l.prefix+switches)
	l.ip(name, "addr", "add", h.ip+"/24", "dev", "eth0")
	l.set(name, "eth0", "up")
	l.ip(switches, "link", "set", name, "master", bridge, "up")
	l.open(name)
}

// open makes the door of a host.
func (l *lan) open(name string) {
	l.t.Helper()
	h := l.hosts[name]
	// It becomes the binary by two execs, so that signals to the child process reach the node.
	script := fmt.Sprintf("#!/bin/sh\nexec ip netns exec %s '%s' \"$@\"\n", l.prefix+name, binary)
	must(l.t, os.WriteFile(h.door, []byte(script), 0o700))
}

func (l *lan) namespace(name string) error {
	if _, err := fmt.Fprintln(l.reaper, l.prefix+name); err != nil {
		return err
	}
	return ip("netns", "add", l.prefix+name)
}

// startReaper starts a process that removes the namespaces that it has been told of once the test is over. It does not
// matter how the test ends: when the test process is killed, panics at its time limit, or gets a Ctrl-C, it cleans up
// nothing, but the reaper's input ends.
func (l *lan) startReaper() {
	l.t.Helper()
	var said bytes.Buffer
	cmd := exec.Command("sh", "-c", `for name in $(cat); do ip netns del "$name"; done`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C at the terminal is not for it
	cmd.Stderr = &said
	names, err := cmd.StdinPipe()
	must(l.t, err)
	must(l.t, cmd.Start())
	l.reaper = names
	l.t.Cleanup(func() {
		names.Close()
		cmd.Wait() // an error may be about a namespace that could not be made: what counts is what is left
		left, err := exec.Command("ip", "netns", "list").CombinedOutput()
		if err != nil || strings.Contains(string(left), l.prefix) {
			l.t.Errorf("namespaces left behind: %v\n%s%s", err, left, &said)
		}
	})
}

// ip runs the command of that name inside one of the namespaces.
func (l *lan) ip(namespace string, args ...string) {
	l.t.Helper()
	must(l.t, ip(append([]string{"-netns", l.prefix + namespace}, args...)...))
}

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// set takes an interface "down" or "up".
func (l *lan) set(namespace, link, state string) {
	l.t.Helper()
	l.ip(namespace, "link", "set", link, state)
}

// town starts a node at each of the hosts, and returns them once each has joined and seen all others up.
func (l *lan) town(names []string) []*member {
	l.t.Helper()
	var all []*member
	for _, name := range names {
		h := l.hosts[name]
		all = append(all, launchBy(l.t, h.door, name, h.ip+":7946", "127.0.0.1:8080", joining(all)...))
	}
	formed(all)
	return all
}

// states returns the state of every member that m knows, by name: "pulsering members", run at m's host.
func (l *lan) states(m *member) map[string]string {
	l.t.Helper()
	out, err := exec.Command(l.hosts[m.name].door, "members", "--http", m.http, "--json").Output()
	must(l.t, err)
	var members []memberLine
	must(l.t, json.Unmarshal(out, &members))
	states := make(map[string]string)
	for _, other := range members {
		states[other.Name] = other.State.String()
	}
	return states
}
