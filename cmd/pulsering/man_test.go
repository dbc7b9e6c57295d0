package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// grammar is that of the command.
func grammar(t *testing.T) *kong.Node {
	t.Helper()
	var c cli
	var flags reader
	parser, err := kong.New(&c, append(flags.options(), kong.Name("pulsering"), kong.Description("Tells members.\n\nNew here?"))...)
	if err != nil {
		t.Fatal(err)
	}
	return parser.Model.Node
}

// Every command has a page, with all of its flags and an example, in ASCII alone, and without a line that troff would take for its own.
func TestManPages(t *testing.T) {
	ours := regexp.MustCompile(`^\.(TH|SH|TP|B|I|BR|PP|RS|RE|EX|EE)\b`)
	for _, n := range commandsOf(grammar(t)) {
		page := manPage(n)
		for _, f := range flagsOf(n) {
			if !strings.Contains(page, troff("--"+f.Name)) {
				t.Errorf("%s: no --%s", manName(n), f.Name)
			}
		}
		if _, example, _ := strings.Cut(page, ".EX\n"); n.Leaf() && !strings.Contains(example, troff("pulsering "+words(n))) {
			t.Errorf("%s: no example in\n%s", manName(n), page)
		}
		if strings.ContainsFunc(page, func(r rune) bool { return r > 126 || r < ' ' && r != '\n' }) {
			t.Errorf("%s: more than ASCII in\n%s", manName(n), page)
		}
		for line := range strings.SplitSeq(page, "\n") {
			if strings.HasPrefix(line, ".") && !ours.MatchString(line) || strings.HasPrefix(line, "'") {
				t.Errorf("%s: %q", manName(n), line)
			}
		}
	}
	for from, to := range map[string]string{`.SH x`: `\&.SH x`, `'x`: `\(aqx`, `a\b`: `a\eb`, `φ--`: `\[u03C6]\-\-`} {
		if got := troff(from); got != to {
			t.Errorf("%q: %q; want %q", from, got, to)
		}
	}
}

func TestManCommand(t *testing.T) {
	if code, out, stderr := pulsering(t, "man"); code != 0 || stderr != "" || !strings.Contains(out, ".SH NAME\npulsering \\- tells the members") {
		t.Errorf("%d %q %q", code, out, stderr)
	}
	if code, out, _ := pulsering(t, "man", "keys", "add"); code != 0 || !strings.HasPrefix(out, `.TH PULSERING\-KEYS\-ADD 1`) {
		t.Errorf("%d %q", code, out)
	}
	for _, args := range [][]string{{"nothing"}, {"keys", "\x1b"}, {"node", "--dir", "x"}} {
		if code, out, stderr := pulsering(t, append([]string{"man"}, args...)...); code != exitUsage || out != "" || strings.Contains(stderr, "\x1b") {
			t.Errorf("%v: %d %q %q", args, code, out, stderr)
		}
	}
	dir := filepath.Join(t.TempDir(), "man1")
	if code, out, stderr := pulsering(t, "man", "--dir", dir); code != 0 || !strings.HasSuffix(out, " pages are in "+dir+"\n") {
		t.Errorf("%d %q %q", code, out, stderr)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil || len(pages) != len(commandsOf(grammar(t))) {
		t.Errorf("%v %q", err, pages)
	}
	lint, err := exec.LookPath("mandoc")
	if err != nil {
		t.Skip("mandoc is not here, which would check the pages")
	}
	out, _ := exec.Command(lint, append([]string{"-Tlint", "-Wwarning"}, pages...)...).CombinedOutput()
	for line := range strings.SplitSeq(string(out), "\n") {
		if line != "" && !strings.Contains(line, "missing date") { // of a build without its commit
			t.Error(line)
		}
	}
}

// Each script is one that its shell understands, and names all commands and flags.
func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		code, script, stderr := pulsering(t, "completion", shell)
		if code != 0 || stderr != "" {
			t.Fatalf("%s: %d %q", shell, code, stderr)
		}
		for _, n := range commandsOf(grammar(t)) {
			if !strings.Contains(script, n.Name) {
				t.Errorf("%s: no %s", shell, n.Name)
			}
			for _, f := range flagsOf(n) {
				if !strings.Contains(script, "-l "+f.Name) && !strings.Contains(script, "--"+f.Name) {
					t.Errorf("%s: no --%s", shell, f.Name)
				}
			}
		}
		if strings.Contains(script, "'complete-names") {
			t.Errorf("%s: what is hidden is offered", shell)
		}
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("%s is not here, which would check its script", shell)
			continue
		}
		if out, err := exec.Command(path, "-n", tempFile(t, "script", script)).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
	}
	if code, _, stderr := pulsering(t, "completion", "tcsh"); code != exitUsage || !strings.Contains(stderr, `"tcsh" is none of bash, zsh, fish`) {
		t.Errorf("%d %q", code, stderr)
	}
}

// What is offered for a line, whose last word is being written.
func TestCompletes(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash here")
	}
	_, script, _ := pulsering(t, "completion", "bash")
	dir := t.TempDir()
	fake := "#!/bin/sh\n[ \"$1\" = complete-names ] && printf 'orders-1\\norders-2\\npayments\\n'\n"
	if err := os.WriteFile(filepath.Join(dir, "pulsering"), []byte(fake), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ring.key"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fish, _ := exec.LookPath("fish")
	zsh, _ := exec.LookPath("zsh")
	for line, want := range map[string]string{
		"pulsering ke":                             "keepalive keygen keys",
		"pulsering comp":                           "completion",
		"pulsering keys ":                          "add list remove use",
		"pulsering keys use --js":                  "--json",
		"pulsering explain o":                      "orders-1 orders-2",
		"pulsering replay --model n":               "normal",
		"pulsering replay r":                       "ring.key",
		"pulsering completion ":                    "bash fish zsh",
		"pulsering node --key-file ri":             "ring.key",
		"pulsering ping --http 127.0.0.1:1 pa":     "payments",
		"pulsering node --name keys --log-level d": "debug",
	} {
		line := strings.TrimLeft(line, " ")
		quoted := make([]string, 0, 8)
		for _, w := range strings.Split(line, " ") {
			quoted = append(quoted, "'"+w+"'")
		}
		cmd := exec.Command(bash, "--norc", "-c", script+"\nCOMP_WORDS=("+strings.Join(quoted, " ")+"); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _pulsering; _pulsering; printf '%s\n' \"${COMPREPLY[@]}\"")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		out, err := cmd.Output()
		if got := offered(out); err != nil || got != want {
			t.Errorf("bash: %q: %q, %v; want %q", line, got, err, want)
		}
		if zsh != "" {
			// What zsh offers with is replaced by what prints it.
			_, script, _ := pulsering(t, "completion", "zsh")
			cmd := exec.Command(zsh, "-f", "-c", `compdef() { : }; compadd() { [[ $1 == -a ]] && print -l -- ${(P)2} || print -l -- "${@:2}" }
_describe() { print -l -- ${${(P)2}%%:*} }; _files() { print -l -- $PREFIX*(N) }; _message() { : }
`+script+"\nwords=("+strings.Join(quoted, " ")+"); CURRENT=$#words; PREFIX=$words[-1]; _pulsering")
			cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
			if out, err := cmd.Output(); err != nil || !strings.Contains(" "+offered(out)+" ", " "+strings.Fields(want)[0]+" ") {
				t.Errorf("zsh: %q: %q, %v; want %q", line, offered(out), err, want)
			}
		}
		if fish == "" {
			continue
		}
		_, script, _ := pulsering(t, "completion", "fish")
		cmd = exec.Command(fish, "--no-config", "-c", script+"\ncomplete -C '"+line+"'")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "HOME="+dir)
		if out, err = cmd.Output(); err != nil || !strings.Contains(" "+offered(out)+" ", " "+strings.Fields(want)[0]+" ") {
			t.Errorf("fish: %q: %q, %v; want %q", line, offered(out), err, want)
		}
	}
}

func offered(out []byte) string {
	var words []string
	for line := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
		word, _, _ := strings.Cut(line, "\t")
		words = append(words, word)
	}
	slices.Sort(words)
	return strings.Join(slices.Compact(words), " ")
}

// What works is told of: in the help, and with it on the man page and where words are suggested.
func TestNoFlagIsHidden(t *testing.T) {
	for _, n := range commandsOf(grammar(t)) {
		for _, f := range n.Flags {
			if f.Hidden {
				t.Errorf("%s --%s works, and no help tells of it", words(n), f.Name)
			}
		}
	}
	if _, help, _ := pulsering(t, "node", "--help"); !strings.Contains(help, "--check-exec=COMMAND") {
		t.Error("node --help does not tell of --check-exec")
	}
}
