//go:build e2e && unix

package main

import (
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tellAt starts a gateway or a client at a host.
func tellAt(t *testing.T, h host, args ...string) *teller {
	t.Helper()
	return tellBy(t, h.door, t.TempDir(), args...)
}

// The cable of the clients' host is pulled, between two beats that are far apart: a ping stays
// unacknowledged. With --user-timeout the kernel ends the connections within that time from then on.
// Without it nothing does before φ has missed several beats.
func TestNetnsUserTimeout(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs TCP_USER_TIMEOUT")
	}
	t.Parallel() // it is waiting, for the most part
	const (
		interval = 4 * time.Second
		budget   = 2 * time.Second
		grain    = time.Second // of the kernel's timers, and of this machine
	)
	net := newLAN(t, []string{"ant", "bee"})
	ant, bee := net.hosts["ant"], net.hosts["bee"]
	cert, key := certificate(t, ant.ip)
	gate := func(port string, flags ...string) *teller {
		g := tellAt(t, ant, append([]string{"gateway", "--json", "--listen", ant.ip + ":" + port, "--tcp", ant.ip + ":1" + port,
			"--interval", interval.String(), "--cert", cert, "--key", key}, flags...)...)
		for name, url := range map[string]string{"ann": "wss://" + ant.ip + ":" + port + "/ws", "bob": "tls://" + ant.ip + ":1" + port} {
			tellAt(t, bee, "connect", url, "--session", name, "--json", "--ca", cert).expect("up", name)
		}
		return g
	}
	quick, patiently := gate("9000", "--user-timeout", budget.String()), gate("9100")
	time.Sleep(2 * interval)
	net.set(switches, "bee", "down")
	cut := time.Now()
	for _, name := range []string{"ann", "bob"} {
		from := quick.from
		l := quick.expect("away", name)
		took := l.Time.Sub(cut)
		t.Logf("%s: the path was cut, and found so after %s: %s", name, seconds(took), l.Cause)
		if l.Cause != "path" {
			t.Errorf("%s is away: %q, want path", name, l.Cause)
		}
		if limit := interval + budget + grain; took < budget || took > limit {
			t.Errorf("%s is away after %v, want %v to %v: a ping comes within %v", name, took, budget, limit, interval)
		}
		quick.from = from
	}
	patiently.never("away")
	for _, name := range []string{"ann", "bob"} {
		from := patiently.from
		l := patiently.expect("away", name)
		t.Logf("%s: without --user-timeout after %s: %s", name, seconds(l.Time.Sub(cut)), l.Cause)
		patiently.from = from
	}
	quick.signal(syscall.SIGINT)
	quick.ends()
	if log := quick.log.String(); strings.Contains(log, "does not look after") {
		t.Errorf("the gateway logs\n%s", log)
	}
}
