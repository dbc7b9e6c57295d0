package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/cluster"
)

// fakeNode is what a reload changes.
type fakeNode struct {
	tags  map[string]string
	seeds []string
	keys  [][]byte
	err   error
}

func (f *fakeNode) SetTags(_ context.Context, tags map[string]string) error {
	if f.err == nil {
		f.tags = tags
	}
	return f.err
}

func (f *fakeNode) SetSeeds(seeds []string) error {
	f.seeds = seeds
	return f.err
}

func (f *fakeNode) SetKeys(_ context.Context, keys [][]byte) error {
	if f.err == nil {
		f.keys = keys
	}
	return f.err
}

func (f *fakeNode) KeyIDs() []string { return keyFile{keys: f.keys}.ids() }

// reloading is a reloader of a node with arguments, and what it logs.
type reloading struct {
	*reloader
	t    *testing.T
	node *fakeNode
	log  strings.Builder
}

func newReloading(t *testing.T, guard *guard, args ...string) *reloading {
	t.Helper()
	r := &reloading{t: t, node: new(fakeNode)}
	log := hclog.New(&hclog.LoggerOptions{Output: &r.log, Level: hclog.Info})
	r.reloader = newReloader(t.Context(), parsed(t, args...), r.node, new(lookup), guard, log)
	return r
}

// says reloads, and checks what is logged: these texts and no other lines.
func (r *reloading) says(want ...string) {
	r.t.Helper()
	r.log.Reset()
	r.reload(r.t.Context())
	lines := strings.Split(strings.TrimSpace(r.log.String()), "\n")
	if len(lines) != len(want) {
		r.t.Errorf("want %d lines:\n%s", len(want), r.log.String())
	}
	for _, w := range want {
		if !strings.Contains(r.log.String(), w) {
			r.t.Errorf("no %q in\n%s", w, r.log.String())
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReload(t *testing.T) {
	file := configFile(t, "tag: {zone: a}\nbeat: 50ms\n")
	r := newReloading(t, nil, "node", "--config", file, "--label", "blue")
	r.says("nothing has changed")

	t.Log("what can change does, and what cannot is said, each time anew")
	write(t, file, "tag: {zone: b}\nbeat: 60ms\nlog-level: debug\nlabel: red\nobservers: 4\n")
	want := []string{"tag: changed: from=zone=a to=zone=b", "log-level: changed: from=info to=debug", "beat: needs a restart, stays 50ms: wanted=60ms by=" + file + ":2",
		"observers: needs a restart, stays 8: wanted=4", "reloaded: changed=2"}
	r.says(want...)
	if r.node.tags["zone"] != "b" || !r.reloader.log.IsDebug() {
		t.Errorf("tags %v, debug %v", r.node.tags, r.reloader.log.IsDebug())
	}
	r.says(want[2], want[3], "reloaded: changed=0")
	t.Log("back to what it was at the start")
	write(t, file, "beat: 50ms\n")
	r.says("tag: changed: from=zone=b", "log-level: changed: from=debug to=info", "reloaded: changed=2")
	if len(r.node.tags) != 0 {
		t.Errorf("tags %v", r.node.tags)
	}

	write(t, file, "beat: 50ms\njoin: [a, 'file:/seeds']\n")
	r.says("join: changed: from=\"\" to=\"a:7946 file:/seeds\"", "reloaded: changed=1")
	write(t, file, "beat: 50ms\njoin: [a]\n")
	r.says("join: changed: from=\"a:7946 file:/seeds\" to=a:7946", "reloaded: changed=1")
	if !slices.Equal(r.node.seeds, []string{"a:7946"}) {
		t.Errorf("seeds %v", r.node.seeds)
	}
	write(t, file, "beat: 50ms\n")
	r.says("join: changed", "reloaded: changed=1")

	t.Log("what the node refuses stays as it was, and is tried again")
	write(t, file, "beat: 50ms\ntag: {zone: c}\n")
	r.node.err = errors.New("no more tags")
	r.says(`tag: cannot be changed: error="no more tags"`)
	r.node.err = nil
	r.says("tag: changed: from=\"\" to=zone=c", "reloaded: changed=1")
}

// A wrong file changes nothing, and all that is wrong is said.
func TestReloadOfWrongFiles(t *testing.T) {
	good := "tag: {zone: a}\n"
	file := configFile(t, good)
	r := newReloading(t, nil, "node", "--config", file)
	for text, want := range map[string][]string{
		"tag: {zone: b}\nbeat: 0s\nnmae: x\n": {`unknown key \"nmae\" in `, ":2: beat: 0s is out of range"},
		"tag: {zone: b":                       {"no YAML"},
		"":                                    {"holds no key"},
		"tag: {zone: b}\nname: a b":           {":2: name: "},
	} {
		write(t, file, text)
		r.log.Reset()
		r.reload(t.Context())
		for _, w := range append(want, "nothing is reloaded", fmt.Sprintf("errors=%d", len(want))) {
			if !strings.Contains(strings.ReplaceAll(r.log.String(), `"nmae"`, `\"nmae\"`), w) {
				t.Errorf("%q: no %q in\n%s", text, w, r.log.String())
			}
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	r.says("no such file", "nothing is reloaded")
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	r.says("is a directory", "nothing is reloaded")
	if r.node.tags != nil {
		t.Errorf("tags %v", r.node.tags)
	}
	os.Remove(file)
	write(t, file, good)
	r.says("nothing has changed")
}

// Each flag that there is can change, or the log says that it does not: none is forgotten.
func TestReloadKnowsAllFlags(t *testing.T) {
	values := samples(t)
	file := configFile(t, "http: 127.0.0.1:9\n")
	var applied []string
	for _, flag := range settable(parsed(t, "node").command.Selected()) {
		value := values[flag.Name]
		if value[0] == "" {
			continue
		}
		before := "http: 127.0.0.1:9\n"
		if flag.Name == "http" {
			before = ""
		}
		write(t, file, before+inYAML(flag.Name, value[0]))
		r := newReloading(t, nil, "node", "--config", file)
		write(t, file, before+inYAML(flag.Name, value[1]))
		r.reload(t.Context())
		switch log := r.log.String(); {
		case strings.Contains(log, flag.Name+": changed"):
			applied = append(applied, flag.Name)
		case !strings.Contains(log, flag.Name+": needs a restart, stays "):
			t.Errorf("--%s: %s", flag.Name, log)
		case !reflect.DeepEqual(flagNamed(r.now, flag.Name).Target.Interface(), flagNamed(parsed(t, "node", "--http=127.0.0.1:9", "--"+flag.Name+"="+value[0]), flag.Name).Target.Interface()):
			t.Errorf("--%s does not stay", flag.Name)
		}
	}
	if want := []string{"join", "key-file", "tag", "log-level"}; !slices.Equal(applied, want) {
		t.Errorf("changed: %v; want %v", applied, want)
	}
}

// A file that a flag names counts by what it holds.
func TestReloadReadsKeysAnew(t *testing.T) {
	values := samples(t)
	file := filepath.Join(t.TempDir(), "key")
	write(t, file, "AAECAwQFBgcICQoLDA0ODw==")
	r := newReloading(t, nil, "node", "--key-file", file)
	if !r.now.rereads() {
		t.Error("there is nothing to reload")
	}
	r.node.keys = r.now.cli.Node.KeyFile.keys
	r.says("reloaded: nothing has changed")
	old := cluster.KeyID(r.node.keys[0])
	write(t, file, "BBECAwQFBgcICQoLDA0ODw==\nAAECAwQFBgcICQoLDA0ODw==")
	r.node.err = errors.New("cluster: Keys: nothing was changed, as b lacks it")
	r.says(fmt.Sprintf(`key-file: cannot be changed: error="--key-file: nothing was changed, as b lacks it" stays="%s: encrypts with %s"`, file, old))
	r.node.err = nil
	next, _ := readKeyFile(file, false)
	r.says(fmt.Sprintf(`key-file: changed: from="%s: encrypts with %s" to="%[1]s: encrypts with %[3]s, has %[2]s"`, file, old, next.ids()[0]),
		"reloaded: changed=1")
	if len(r.node.keys) != 2 || r.node.keys[0][0] != 4 {
		t.Errorf("%d keys", len(r.node.keys))
	}
	t.Log("keys that were changed while it runs")
	r.node.keys = append(slices.Clone(next.keys), []byte("0123456789abcdef"))
	r.says(fmt.Sprintf(`key-file: out of date, since this node's keys were changed while it runs: write them there too: file="%s: encrypts with %s, has %s"`+
		` node="encrypts with %[2]s, has %[3]s, %s"`, file, next.ids()[0], old, cluster.KeyID(r.node.keys[2])), "reloaded: nothing has changed")
	r.node.keys = next.keys
	if strings.Contains(r.log.String(), "BBEC") || strings.Contains(r.log.String(), "AAEC") {
		t.Errorf("the log tells a key:\n%s", r.log.String())
	}
	t.Log("a node that takes none")
	delete(r.apply, "key-file")
	write(t, file, "CCECAwQFBgcICQoLDA0ODw==")
	r.says("key-file: needs a restart, stays "+file+": encrypts with ", "reloaded")
	write(t, file, "rubbish")
	r.says("--key-file: "+file+": line 1 is no base64", "nothing is reloaded")
	for args, want := range map[string]bool{
		"":                                      false,
		"--beat 1s":                             false,
		"--config " + configFile(t, "beat: 1s"): true,
		"--http 127.0.0.1:1 --http-token-file " + values["http-token-file"][0]: true,
	} {
		if got := parsed(t, append([]string{"node"}, strings.Fields(args)...)...).rereads(); got != want {
			t.Errorf("%s: %v; want %v", args, got, want)
		}
	}
}

// What cannot change may make wrong what can: then nothing does.
func TestReloadOfMixtures(t *testing.T) {
	token := samples(t)["http-token-file"][0]
	file := configFile(t, "http: 0.0.0.0:9\nhttp-token-file: "+token+"\n")
	guard, err := newGuard(parsed(t, "node", "--config", file).cli.Node.httpFlags)
	if err != nil {
		t.Fatal(err)
	}
	r := newReloading(t, guard, "node", "--config", file)
	write(t, file, "http: 127.0.0.1:9\ntag: {zone: a}\n")
	r.says("http: needs a restart, stays 0.0.0.0:9", "beside what needs a restart, the rest of the new configuration is wrong",
		"other machines reach 0.0.0.0:9", "nothing is reloaded")
	if r.node.tags != nil || guard.token() == "" {
		t.Error("something has changed")
	}
}

// What --http is given may be a name: a reload does not open to other machines the address that it stands for.
func TestReloadKeepsANamedAddressGuarded(t *testing.T) {
	token := samples(t)["http-token-file"][0]
	file := configFile(t, "http: myhost:9\nhttp-token-file: "+token+"\n")
	args := []string{"node", "--config", file}
	for addr, open := range map[string]bool{"203.0.113.1:9": true, "0.0.0.0:9": true, "127.0.1.1:9": false} {
		write(t, file, "http: myhost:9\nhttp-token-file: "+token+"\n")
		guard, err := newGuard(parsed(t, args...).cli.Node.httpFlags)
		if err != nil {
			t.Fatal(err)
		}
		if err := guard.admits(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))); err != nil {
			t.Errorf("%s with a token: %v", addr, err)
		}
		r := newReloading(t, guard, args...)
		write(t, file, "http: myhost:9\n")
		if open {
			r.says("http-token-file: cannot be changed: error=\"--http: other machines reach " + addr)
			r.says("http-token-file: cannot be changed")
		} else {
			r.says("http-token-file: changed", "reloaded: changed=1")
		}
		if got := guard.token() != ""; got != open {
			t.Errorf("%s: it has a token: %v", addr, got)
		}
	}
}

// A certificate that comes or goes needs a restart, and is no reason to keep an old token.
func TestReloadTokenBesideCertificate(t *testing.T) {
	pair, _ := certFiles(t, t.TempDir())
	without, with := "http: 127.0.0.1:9\n", "http: 127.0.0.1:9\nhttp-cert: "+pair[1]+"\nhttp-key: "+pair[3]+"\n"
	for _, change := range [][2]string{{without, with}, {with, without}} {
		token := tempFile(t, "token", someToken)
		file := configFile(t, change[0]+"http-token-file: "+token+"\n")
		guard, err := newGuard(parsed(t, "node", "--config", file).cli.Node.httpFlags)
		if err != nil {
			t.Fatal(err)
		}
		spoken := guard.tls() != nil
		r := newReloading(t, guard, "node", "--config", file)
		write(t, token, "another-token-of-ours")
		write(t, file, change[1]+"http-token-file: "+token+"\n")
		const restart = `cannot be changed: error="with and without TLS are different services: that needs a restart"`
		r.says("http-token-file: changed", "http-cert: "+restart, "http-key: "+restart)
		r.says("http-cert: "+restart, "http-key: "+restart)
		if guard.token() != "another-token-of-ours" || (guard.tls() != nil) != spoken {
			t.Errorf("token %q, TLS %v", guard.token(), guard.tls() != nil)
		}
	}
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := configFile(t, "tag: {zone: a}\n")
		r := newReloading(t, nil, "node", "--config", file)
		ctx, cancel := context.WithCancel(t.Context())
		asked, done := make(chan struct{}), make(chan struct{})
		go func() { r.follow(ctx, asked); close(done) }()
		write(t, file, "tag: {zone: b}\n")
		asked <- struct{}{}
		synctest.Wait()
		if r.node.tags["zone"] != "b" {
			t.Errorf("tags %v", r.node.tags)
		}
		cancel()
		<-done
		go r.follow(ctx, nil) // without signals; ctx has ended
	})
}
