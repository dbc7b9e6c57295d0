//go:build e2e && unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// What a router does with packets that belong to no connection that it knows. Those from outside it
// drops.
const (
	natOpen    = "accept" // those from inside begin a new connection, as Linux does by itself
	natSilent  = "drop"
	natResets  = "reject with tcp reset"
	natRuleset = `table ip nat {
	chain post {
		type nat hook postrouting priority 100
		oifname "wan" masquerade
	}
	chain input {
		type filter hook input priority 0
		iifname "wan" drop
	}
	chain forward {
		type filter hook forward priority 0
		ct state invalid %s
	}
}
`
)

// The router of the network, and where the gateway is outside.
const (
	natRouter  = "192.168.77.1"
	natOutside = "203.0.113.2"
)

// newNAT makes a host inside, a router with NAT that forgets connections after so many seconds, and
// a host outside.
func newNAT(t *testing.T, forgets int, stray string) *lan {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs the NAT of Linux")
	}
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skipf("needs NAT: %v (Debian package nftables)", err)
	}
	l := emptyLAN(t)
	for _, name := range []string{"inside", "router", "outside"} {
		must(t, l.namespace(name))
		l.set(name, "lo", "up")
	}
	cable := func(name, ip, port, routerIP string) {
		l.ip(name, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", l.prefix+"router")
		l.ip(name, "addr", "add", ip+"/24", "dev", "eth0")
		l.set(name, "eth0", "up")
		l.ip("router", "addr", "add", routerIP+"/24", "dev", port)
		l.set("router", port, "up")
		l.hosts[name] = host{ip, filepath.Join(t.TempDir(), name)}
		l.open(name)
	}
	cable("inside", "192.168.77.2", "lan", natRouter)
	cable("outside", natOutside, "wan", "203.0.113.1")
	l.ip("inside", "route", "add", "default", "via", natRouter)
	loose := 0
	if stray == natOpen {
		loose = 1
	}
	router := "/proc/sys/net/netfilter/nf_conntrack_tcp_"
	settings := fmt.Sprintf("echo 1 >/proc/sys/net/ipv4/ip_forward && echo %d >%stimeout_established && echo %d >%sloose", forgets, router, loose, router)
	for _, step := range []struct {
		args  []string
		input string
	}{
		{[]string{"nft", "-f", "-"}, fmt.Sprintf(natRuleset, stray)},
		{[]string{"sh", "-c", settings}, ""},
	} {
		cmd := exec.Command("ip", append([]string{"netns", "exec", l.prefix + "router"}, step.args...)...)
		cmd.Stdin = strings.NewReader(step.input)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("needs NAT with a limit of its own, which cannot be made here: %v: %v: %s", step.args[0], err, out)
		}
	}
	return l
}

// A NAT that forgets after 16 s: a connection that sleeps 15 s is still open, one that sleeps 19 s
// is not, however the router answers. The keep-alive of either kernel after 15 s would keep it
// open.
func TestNetnsNAT(t *testing.T) {
	for how, stray := range map[string]string{"deaf": natOpen, "silence": natSilent, "reset": natResets} {
		t.Run(how, func(t *testing.T) {
			t.Parallel() // it is waiting, for the most part
			l := newNAT(t, 16, stray)
			inside, outside := l.hosts["inside"], l.hosts["outside"]
			gate := exec.Command(outside.door, "gateway", "--listen", natOutside+":9000", "--tcp", natOutside+":9001")
			gate.Env = append(os.Environ(), "HOME="+t.TempDir())
			var log, events bytes.Buffer
			gate.Stderr, gate.Stdout = &log, &events
			must(t, gate.Start())
			t.Cleanup(func() { gate.Process.Kill() })
			home := t.TempDir()
			type read struct {
				Kind, How, Network, Error string
				Sleep                     float64 `json:"sleep_s"`
				Held                      float64 `json:"held_s"`
				Forgotten                 float64 `json:"forgotten_s"`
				Interval                  float64 `json:"interval_s"`
				Complete                  bool
			}
			ask := func(url, longest string) (lines []read) {
				var out []byte
				var stderr bytes.Buffer
				for begin := time.Now(); time.Since(begin) < patient; time.Sleep(100 * time.Millisecond) {
					cmd := exec.Command(inside.door, "nat", url, "--longest", longest, "--patience", "3s", "--json")
					cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME="+home)
					stderr.Reset()
					cmd.Stderr = &stderr
					var err error
					if out, err = cmd.Output(); err == nil || !strings.Contains(stderr.String(), "nothing listens") { // yet
						break
					}
				}
				for line := range strings.Lines(string(out)) {
					var one read
					if err := json.Unmarshal([]byte(line), &one); err != nil {
						t.Errorf("%v: %s", err, line)
					}
					lines = append(lines, one)
				}
				if stderr.Len() > 0 || len(lines) == 0 {
					t.Fatalf("%s%s", out, &stderr)
				}
				return lines
			}
			begin := time.Now()
			lines := ask("ws://"+natOutside+":9000/ws", "19s")
			if last := lines[len(lines)-1]; last.Kind != "result" || !last.Complete || last.Held != 15 || last.Forgotten != 19 || last.How != how || last.Interval != 7.5 ||
				last.Network != "192.168.77.0/24 via "+natRouter {
				t.Errorf("%+v", lines)
			}
			t.Logf("found after %s", seconds(time.Since(begin)))
			file := filepath.Join(home, "pulsering", "networks.json")
			if b, err := os.ReadFile(file); err != nil || !strings.Contains(string(b), `"forgotten_ms": 19000`) || strings.Contains(string(b), "02:") {
				t.Errorf("%v: %s", err, b)
			}
			if again := ask("ws://"+natOutside+":9000/ws", "1s"); again[0].Kind != "network" || again[0].Held != 15 || again[0].Forgotten != 19 {
				t.Errorf("the next run does not know what this one found: %+v", again)
			}
			if b, err := os.ReadFile(file); err != nil || !strings.Contains(string(b), `"held_ms": 15000`) {
				t.Errorf("it forgot what this one found: %v, %s", err, b)
			}
			gate.Process.Signal(os.Interrupt)
			gate.Wait()
			if events.Len() > 0 || strings.Contains(log.String(), "DATA RACE") || t.Failed() {
				t.Errorf("the gateway tells of spare connections: %s\n%s", &events, &log)
			}
		})
	}
}
