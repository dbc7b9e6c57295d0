//go:build e2e && unix

package main

import (
	"strings"
	"testing"
	"time"
)

// What a host's interfaces, addresses and routes make of a node that is told none of them.

// anywhere starts a node at a host, on all its addresses, with none to advertise.
func (l *lan) anywhere(name string, flags ...string) *member {
	l.t.Helper()
	return launchBy(l.t, l.hosts[name].door, name, "0.0.0.0:7946", "127.0.0.1:8080", append(flags, "--log-level", "info")...)
}

// readdress gives a host another address.
func (l *lan) readdress(name, from, to string) {
	l.t.Helper()
	l.ip(name, "addr", "del", from+"/24", "dev", "eth0")
	l.ip(name, "addr", "add", to+"/24", "dev", "eth0")
}

// Each host has docker's bridge with the same address, or one address on the loopback interface, beside its own.
func TestNetnsAdvertisesWhatOthersReach(t *testing.T) {
	for what, add := range map[string]func(*lan, string){
		"docker0 up": func(l *lan, name string) {
			l.ip(name, "link", "add", "docker0", "type", "bridge")
			l.ip(name, "addr", "add", "172.17.0.1/16", "dev", "docker0")
			l.set(name, "docker0", "up")
		},
		"docker0 down": func(l *lan, name string) {
			l.ip(name, "link", "add", "docker0", "type", "bridge")
			l.ip(name, "addr", "add", "172.17.0.1/16", "dev", "docker0")
		},
		"VIP on lo": func(l *lan, name string) { l.ip(name, "addr", "add", "10.96.0.10/32", "dev", "lo") },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			net := newLAN(t, []string{"ant", "bee"})
			addr := map[string]string{"ant": "203.0.113.1", "bee": "203.0.113.2"} // public ones
			for name, h := range net.hosts {
				net.readdress(name, h.ip, addr[name])
				add(net, name)
			}
			ant := net.anywhere("ant")
			ant.logs("joined: Ctrl-C")
			bee := net.anywhere("bee", "--join", addr["ant"]+":7946")
			bee.expect("up", "ant", at(addr["ant"]+":7946"))
			ant.expect("up", "bee", at(addr["bee"]+":7946"))
		})
	}
}

// A node that starts before its host has an address waits for one, and does not advertise loopback.
func TestNetnsStartsBeforeTheNetwork(t *testing.T) {
	net := newLAN(t, []string{"ant", "bee"})
	ant := net.anywhere("ant")
	ant.logs("joined: Ctrl-C")
	own := net.hosts["bee"].ip
	net.ip("bee", "addr", "del", own+"/24", "dev", "eth0")
	bee := net.anywhere("bee", "--join", net.hosts["ant"].ip+":7946")
	bee.logs("no route to any seed yet")
	net.ip("bee", "addr", "add", own+"/24", "dev", "eth0")
	bee.expect("up", "ant")
	ant.expect("up", "bee", at(own+":7946"))
}

// A host that gets another address ends its node, which says why.
func TestNetnsAddressChange(t *testing.T) {
	net := newLAN(t, []string{"ant", "bee", "cat"})
	ant := net.anywhere("ant")
	ant.logs("joined: Ctrl-C")
	seed := net.hosts["ant"].ip + ":7946"
	bee, cat := net.anywhere("bee", "--join", seed), net.anywhere("cat", "--join", seed)
	formed([]*member{ant, bee, cat})
	net.readdress("cat", net.hosts["cat"].ip, "10.77.0.33")
	cat.exits(1, "lost the address", net.hosts["cat"].ip, "10.77.0.33")
	ant.expect("down", "cat")
	bee.expect("down", "cat")
	t.Log("The supervisor starts it again.")
	again := net.anywhere("cat", "--join", seed)
	again.expect("up", "ant")
	ant.expect("up", "cat", at("10.77.0.33:7946"))
}

// A network that is down has no address for a while, and is as it was afterwards.
func TestNetnsAddressComesBack(t *testing.T) {
	net := newLAN(t, []string{"ant", "bee", "cat"})
	ant := net.anywhere("ant")
	ant.logs("joined: Ctrl-C")
	seed, own := net.hosts["ant"].ip+":7946", net.hosts["cat"].ip
	bee, cat := net.anywhere("bee", "--join", seed), net.anywhere("cat", "--join", seed)
	all := []*member{ant, bee, cat}
	formed(all)
	net.ip("cat", "addr", "del", own+"/24", "dev", "eth0")
	cat.logs("waiting for it")
	net.ip("cat", "addr", "add", own+"/24", "dev", "eth0")
	ant.settles("up", "cat")
	cat.settles("up", "ant")
}

// A seed that is this host's own loopback address is no member: the node waits for the other one.
func TestNetnsOwnSeedIsNobody(t *testing.T) {
	net := newLAN(t, []string{"ant", "bee"})
	bee := net.anywhere("bee", "--join", "127.0.0.1:7946,"+net.hosts["ant"].ip+":7946")
	bee.logs("no seed answers yet")
	if log := bee.lastLog(1000); strings.Contains(log, "joined: Ctrl-C") {
		t.Errorf("bee joined nobody:\n%s", log)
	}
	began := time.Now()
	ant := net.anywhere("ant")
	inTime(t, bee, bee.expect("up", "ant"), began)
	ant.expect("up", "bee")
}

// Two members advertise one address: who had it first says so.
func TestNetnsTwoMembersOneAddress(t *testing.T) {
	net := newLAN(t, []string{"ant", "bee"})
	const shared = "10.77.0.99:7946"
	ant := net.anywhere("ant", "--advertise", shared)
	ant.logs("joined: Ctrl-C")
	net.anywhere("bee", "--advertise", shared, "--join", net.hosts["ant"].ip+":7946")
	ant.logs("two members advertise one address")
}
