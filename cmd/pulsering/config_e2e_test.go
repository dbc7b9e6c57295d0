//go:build e2e && unix

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A configuration from three sources, printed and fed back, makes a node; the others see what it says.
func TestConfiguredNode(t *testing.T) {
	ant := town(t, []string{"ant"})[0]
	file := configFile(t, "name: wrong\ntag:\n  zone: a\n  rack: '7'\nbeat: 100ms\njoin: ["+ant.addr+"]\n")
	t.Setenv("PULSERING_CONFIG", file)
	t.Setenv("PULSERING_NAME", "bee")
	t.Setenv("PULSERING_BEAT", "120ms")
	t.Setenv("PULSERING_PORT", "tcp://10.0.0.1:7946") // Kubernetes's
	code, out, stderr := command(t, "node", "--print-config", "--observers", "4")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	for _, want := range []string{"name: bee # PULSERING_NAME", "rack: '7'", "tag: # " + file + ":2", "beat: 120ms # PULSERING_BEAT", "observers: 4 # --observers",
		"stall-allowance: 400ms # default"} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, name := range []string{"CONFIG", "NAME", "BEAT"} {
		os.Unsetenv("PULSERING_" + name)
	}
	bee := launch(t, "bee", freshAddr(t), "--config", configFile(t, out))
	up := ant.expect("up", "bee")
	if up.Tags["zone"] != "a" || up.Tags["rack"] != "7" {
		t.Errorf("bee has tags %v", up.Tags)
	}
	bee.expect("up", "ant")
}

func TestWrongConfiguration(t *testing.T) {
	file := configFile(t, "stall_alowance: 1s\nbeat: 0s\n")
	t.Setenv("PULSERING_OBSERVERS", "7")
	code, out, stderr := command(t, "node", "--config", file)
	for _, want := range []string{`unknown key "stall_alowance" in ` + file + ":1: did you mean stall-allowance?", file + ":2: beat: 0s is out of range", `PULSERING_OBSERVERS: "7"`} {
		if !strings.Contains(stderr, "pulsering: error: "+want) {
			t.Errorf("no %q in\n%s", want, stderr)
		}
	}
	if code != exitUsage || out != "" {
		t.Errorf("exit code %d, %q", code, out)
	}
	if code, _, stderr := command(t, "node", "--http", "0.0.0.0:8080"); code != exitUsage || !strings.Contains(stderr, "--http-token-file FILE") {
		t.Errorf("open to strangers: exit code %d, %s", code, stderr)
	}
}

// SIGHUP changes the tags, of which the others are told; what needs a restart is said, and a wrong file changes nothing.
func TestReloadOfNode(t *testing.T) {
	heeds(t, syscall.SIGHUP)
	ant := town(t, []string{"ant"})[0]
	file := configFile(t, "tag: {zone: a}\n")
	bee := launch(t, "bee", freshAddr(t), "--config", file, "--join", ant.addr)
	ant.expect("up", "bee")
	bee.logs("joined:")
	hup := func() { must(t, bee.cmd.Process.Signal(syscall.SIGHUP)) }

	write(t, file, "tag: {zone: b, rack: '7'}\nbeat: 200ms\n")
	hup()
	told := ant.expect("updated", "bee", func(e eventLine) bool { return e.Tags["zone"] == "b" })
	if told.Tags["rack"] != "7" {
		t.Errorf("tags %v", told.Tags)
	}
	bee.logs("beat: needs a restart, stays 125ms")
	bee.logs("reloaded")

	write(t, file, "tag: {zone: c}\nbeet: 1s\n")
	hup()
	bee.logs("nothing is reloaded")
	bee.logs(`did you mean beat?`)
	must(t, os.Remove(file))
	hup()
	bee.logs("no such file")

	t.Log("two in a row, while the file changes for the last time")
	write(t, file, "tag: {zone: d}\n")
	hup()
	hup()
	ant.expect("updated", "bee", func(e eventLine) bool { return e.Tags["zone"] == "d" && len(e.Tags) == 1 })
	for _, e := range ant.sinceHere() {
		if e.Member == "bee" && (e.Kind == "down" || e.Kind == "left" || e.Tags["zone"] == "c") {
			t.Errorf("ant says of bee: %s %v", e.Kind, e.Tags)
		}
	}
	must(t, bee.terminate())
	ant.expect("left", "bee")
	bee.exits(0, "left")
}

// A key is exchanged by its file and SIGHUP, step by step as the file's comment says: nobody is lost on the way, and who has only the
// new key is a member.
func TestReloadOfKeys(t *testing.T) {
	heeds(t, syscall.SIGHUP)
	var keys [2]string
	for i := range keys {
		_, keys[i], _ = command(t, "keygen")
	}
	file := filepath.Join(t.TempDir(), "keys")
	write(t, file, keys[0])
	all := town(t, []string{"ant", "bee", "cat"}, "--key-file", file)
	for i, text := range []string{keys[0] + keys[1], keys[1] + keys[0], keys[1]} {
		write(t, file, text)
		for _, m := range all {
			must(t, m.cmd.Process.Signal(syscall.SIGHUP))
		}
		for _, m := range all {
			for deadline := time.Now().Add(patient); strings.Count(m.lastLog(1000), "key-file: changed") <= i; time.Sleep(20 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%s did not take the keys", m.name)
				}
			}
		}
	}
	dog := launch(t, "dog", freshAddr(t), append(joining(all), "--key-file", file)...)
	for _, m := range all {
		m.expect("up", "dog")
		dog.expect("up", m.name)
	}
	onlyDown(t, append(all, dog))
}

// Under nohup a SIGHUP is nothing, also where there is something to reload.
func TestHangupOfConfiguredNode(t *testing.T) {
	file := configFile(t, "tag: {zone: a}\n")
	nohup := filepath.Join(t.TempDir(), "nohup")
	must(t, os.WriteFile(nohup, []byte("#!/bin/sh\ntrap '' HUP\nexec "+binary+" \"$@\"\n"), 0o700))
	ant := launchBy(t, nohup, "ant", freshAddr(t), freshAddr(t), "--config", file)
	ant.logs("joined:")
	write(t, file, "tag: {zone: b}\n")
	must(t, ant.cmd.Process.Signal(syscall.SIGHUP))
	bee := launch(t, "bee", freshAddr(t), "--join", ant.addr)
	if up := bee.expect("up", "ant"); up.Tags["zone"] != "a" {
		t.Errorf("tags %v", up.Tags)
	}
	if log := ant.lastLog(1000); strings.Contains(log, "reload") || strings.Contains(log, "leaving") {
		t.Errorf("it says\n%s", log)
	}
}

func TestLogInJSON(t *testing.T) {
	ant := launch(t, "ant", freshAddr(t), "--log-format", "json")
	ant.logs("joined:")
	must(t, ant.terminate())
	ant.exits(0)
	for line := range strings.Lines(ant.lastLog(1000)) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry["@message"] == nil || entry["@level"] == nil {
			t.Errorf("%v: %s", err, line)
		}
	}
}
