package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell choice `arg:"" of:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (completionCmd) Help() string {
	return `Prints what makes the shell complete commands, flags, their values, files and the names of members.

    source <(pulsering completion bash)                                # in ~/.bashrc
    pulsering completion zsh > "${fpath[1]}/_pulsering"                # then a new shell
    pulsering completion fish > ~/.config/fish/completions/pulsering.fish
`
}

// Run prints the script.
func (c *completionCmd) Run(app *kong.Kong, con console) error {
	var b strings.Builder
	map[choice]func(io.Writer, *kong.Node){"bash": completeBash, "zsh": completeZsh, "fish": completeFish}[c.Shell](&b, app.Model.Node)
	_, err := io.WriteString(con.out, b.String())
	return err
}

// namesCmd prints the names of members for completion, one a line, and no error.
type namesCmd struct{ askedNode }

// Run prints the names that no shell has to quote.
func (c *namesCmd) Run(ctx context.Context, con console) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second) // who presses the key waits for it
	defer cancel()
	var members []memberLine
	if node, err := c.open(ctx); err != nil || node.get(ctx, "/v1/members", &members) != nil {
		return nil
	}
	for _, m := range members {
		if printable(m.Name) == m.Name && !strings.ContainsAny(m.Name, " \t'\"\\$`&|;<>()*?[]{}!#~") {
			fmt.Fprintln(con.out, m.Name)
		}
	}
	return nil
}

const askNames = "pulsering complete-names 2>/dev/null"

// stepping is the part of the scripts of bash and zsh that finds out which command is written. It goes into $at: path is the search
// path in zsh.
func stepping(w io.Writer, root *kong.Node) {
	fmt.Fprintln(w, `    case "$at $w" in`)
	for _, n := range commandsOf(root) {
		if n != root {
			fmt.Fprintf(w, "      %q) at=%q;;\n", words(n.Parent)+" "+n.Name, words(n))
		}
	}
	fmt.Fprintln(w, "    esac")
}

// quoted is a text for bash and zsh.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func completeBash(w io.Writer, root *kong.Node) {
	fmt.Fprint(w, `# bash completion for pulsering
_pulsering() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} at= w i
  for ((i = 1; i < COMP_CWORD; i++)); do
    w=${COMP_WORDS[i]}
`)
	stepping(w, root)
	fmt.Fprint(w, `  done
  COMPREPLY=()
  case "$at $prev" in
`)
	reply := func(words []string, kind string) string {
		switch kind {
		case ofFiles:
			return `COMPREPLY=($(compgen -f -- "$cur")); compopt -o filenames 2>/dev/null`
		case ofMembers:
			return `COMPREPLY=($(compgen -W "$(` + askNames + `)" -- "$cur"))`
		}
		return `COMPREPLY=($(compgen -W ` + quoted(strings.Join(words, " ")) + ` -- "$cur"))`
	}
	for _, n := range commandsOf(root) {
		for _, f := range flagsOf(n) {
			if !takesValue(f) {
				continue
			}
			for _, s := range spellings(f) {
				fmt.Fprintf(w, "    %q) %s; return;;\n", words(n)+" "+s, reply(possible(f.Value)))
			}
		}
	}
	fmt.Fprint(w, "  esac\n  case $at in\n")
	for _, n := range commandsOf(root) {
		var options, below []string
		for _, f := range flagsOf(n) {
			options = append(options, "--"+f.Name)
		}
		for _, child := range n.Children {
			if !child.Hidden {
				below = append(below, child.Name)
			}
		}
		fmt.Fprintf(w, "    %q)\n      if [[ $cur == -* ]]; then %s; return; fi\n", words(n), reply(options, anyText))
		if len(below) > 0 {
			fmt.Fprintf(w, "      %s\n", reply(below, anyText))
		}
		for _, p := range n.Positional {
			if some, kind := possible(p); some != nil || kind != anyText {
				fmt.Fprintf(w, "      %s\n", reply(some, kind))
			}
		}
		fmt.Fprintln(w, "      ;;")
	}
	fmt.Fprint(w, "  esac\n}\ncomplete -F _pulsering pulsering\n")
}

func completeZsh(w io.Writer, root *kong.Node) {
	fmt.Fprint(w, `#compdef pulsering
# zsh completion for pulsering
_pulsering() {
  local at= w prev=${words[CURRENT-1]}
  local -a some
  for w in ${words[2,CURRENT-1]}; do
`)
	stepping(w, root)
	fmt.Fprint(w, "  done\n  case \"$at $prev\" in\n")
	reply := func(words []string, kind string) string {
		switch kind {
		case ofFiles:
			return "_files"
		case ofMembers:
			return `some=(${(f)"$(` + askNames + `)"}); compadd -a some`
		}
		if len(words) == 0 {
			return "_message value"
		}
		return "compadd -- " + strings.Join(words, " ")
	}
	for _, n := range commandsOf(root) {
		for _, f := range flagsOf(n) {
			if !takesValue(f) {
				continue
			}
			for _, s := range spellings(f) {
				fmt.Fprintf(w, "    %q) %s; return;;\n", words(n)+" "+s, reply(possible(f.Value)))
			}
		}
	}
	// _describe takes what stands before the first colon for the word.
	describe := func(name, help string) string { return quoted(name + ":" + help) }
	fmt.Fprint(w, "  esac\n  case $at in\n")
	for _, n := range commandsOf(root) {
		fmt.Fprintf(w, "    %q)\n      if [[ $PREFIX == -* ]]; then\n        some=(\n", words(n))
		for _, f := range flagsOf(n) {
			fmt.Fprintf(w, "          %s\n", describe("--"+f.Name, f.Help))
		}
		fmt.Fprint(w, "        )\n        _describe flag some\n        return\n      fi\n")
		if len(n.Children) > 0 {
			fmt.Fprint(w, "      some=(\n")
			for _, child := range n.Children {
				if !child.Hidden {
					fmt.Fprintf(w, "        %s\n", describe(child.Name, child.Help))
				}
			}
			fmt.Fprint(w, "      )\n      _describe command some\n")
		}
		for _, p := range n.Positional {
			if some, kind := possible(p); some != nil || kind != anyText {
				fmt.Fprintf(w, "      %s\n", reply(some, kind))
			}
		}
		fmt.Fprintln(w, "      ;;")
	}
	fmt.Fprint(w, `  esac
}
if [[ $funcstack[1] == _pulsering ]]; then _pulsering "$@"; else compdef _pulsering pulsering; fi
`)
}

func completeFish(w io.Writer, root *kong.Node) {
	quote := func(s string) string {
		return "'" + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), "'", `\'`) + "'"
	}
	fmt.Fprint(w, `# fish completion for pulsering
function __pulsering_path
    set -l path
    for w in (commandline -opc)[2..-1]
        switch "$path $w"
`)
	for _, n := range commandsOf(root) {
		if n != root {
			fmt.Fprintf(w, "            case %s\n                set path %s\n", quote(words(n.Parent)+" "+n.Name), quote(words(n)))
		}
	}
	fmt.Fprint(w, `        end
    end
    test "$path" = "$argv"
end
complete -c pulsering -f
`)
	values := func(words []string, kind string) string {
		switch kind {
		case ofFiles:
			return " -F"
		case ofMembers:
			return " -a " + quote("("+askNames+")")
		}
		if len(words) == 0 {
			return ""
		}
		return " -a " + quote(strings.Join(words, " "))
	}
	for _, n := range commandsOf(root) {
		begin := "complete -c pulsering -n " + quote("__pulsering_path "+words(n))
		for _, child := range n.Children {
			if !child.Hidden {
				fmt.Fprintf(w, "%s -a %s -d %s\n", begin, child.Name, quote(child.Help))
			}
		}
		for _, p := range n.Positional {
			if v := values(possible(p)); v != "" {
				fmt.Fprintf(w, "%s%s\n", begin, v)
			}
		}
		for _, f := range flagsOf(n) {
			line := begin + " -l " + f.Name
			if f.Short != 0 {
				line += " -s " + string(f.Short)
			}
			line += " -d " + quote(f.Help)
			if takesValue(f) {
				line += " -x" + values(possible(f.Value))
			}
			fmt.Fprintln(w, strings.Replace(line, " -x -F", " -r -F", 1))
		}
	}
}
