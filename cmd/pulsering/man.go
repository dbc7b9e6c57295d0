package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type manCmd struct {
	Command []string `arg:"" optional:"" help:"The command that the page is about. Default: the program."`
	Dir     text     `placeholder:"DIR" help:"Write all pages into this directory: pulsering.1, pulsering-node.1 and so on."`
}

func (manCmd) Help() string {
	return `Prints a manual page as troff source, made of what --help shows.

    pulsering man | man -l -
    pulsering man keys add | man -l -
    pulsering man --dir /usr/local/share/man/man1
`
}

// Run prints a page, or writes all of them.
func (c *manCmd) Run(app *kong.Kong, con console) error {
	pages := commandsOf(app.Model.Node)
	if c.Dir == "" {
		name := strings.Join(c.Command, " ")
		i := slices.IndexFunc(pages, func(n *kong.Node) bool { return words(n) == name })
		if i < 0 {
			return errMisused(fmt.Sprintf("man: %q is no command", name))
		}
		_, err := io.WriteString(con.out, manPage(pages[i]))
		return err
	}
	if len(c.Command) > 0 {
		return errMisused("man: --dir writes the pages of all commands: leave the command out")
	}
	if err := os.MkdirAll(string(c.Dir), 0o755); err != nil {
		return fmt.Errorf("--dir: %w", err)
	}
	for _, n := range pages {
		if err := os.WriteFile(filepath.Join(string(c.Dir), manName(n)+".1"), []byte(manPage(n)), 0o644); err != nil {
			return fmt.Errorf("--dir: %w", err)
		}
	}
	_, err := fmt.Fprintf(con.out, "%d pages are in %s\n", len(pages), printable(string(c.Dir)))
	return err
}

// manName is what a page is called: "pulsering-keys-add".
func manName(n *kong.Node) string {
	return strings.TrimSuffix("pulsering-"+strings.ReplaceAll(words(n), " ", "-"), "-")
}

// troff makes a text stand for itself, in ASCII, since not every man reads UTF-8.
func troff(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-':
			b.WriteString(`\-`)
		case r == '\'':
			b.WriteString(`\(aq`)
		case r == '`':
			b.WriteString(`\(ga`)
		case r == '^':
			b.WriteString(`\(ha`)
		case r == '~':
			b.WriteString(`\(ti`)
		case r > 126:
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	if strings.HasPrefix(b.String(), ".") {
		return `\&` + b.String()
	}
	return b.String()
}

// manPage is the page of a command, in the man macros.
func manPage(n *kong.Node) string {
	var b strings.Builder
	name := manName(n)
	date, version := built()
	fmt.Fprintf(&b, ".TH %s 1 %q %q Pulsering\n", strings.ToUpper(troff(name)), date, "pulsering "+version)
	help, detail := n.Help, n.Detail
	if n.Parent == nil {
		help, detail, _ = strings.Cut(help, "\n\n")
	}
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", troff(name), troff(lowered(strings.TrimSuffix(help, "."))))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n%s\n", troff(strings.TrimSpace("pulsering "+words(n))), troff(synopsis(n)))
	b.WriteString(".SH DESCRIPTION\n")
	if detail == "" {
		detail = help
	}
	manText(&b, detail)
	var below []*kong.Node
	for _, child := range n.Children {
		if !child.Hidden {
			below = append(below, child)
		}
	}
	if len(below) > 0 {
		b.WriteString(".SH COMMANDS\n")
		for _, child := range below {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", troff(child.Name), troff(child.Help))
		}
	}
	if len(n.Positional) > 0 {
		b.WriteString(".SH ARGUMENTS\n")
		for _, p := range n.Positional {
			fmt.Fprintf(&b, ".TP\n.I %s\n%s\n", troff(strings.ToUpper(p.Name)), troff(p.Help))
		}
	}
	b.WriteString(".SH OPTIONS\n")
	var variables [][2]string
	for _, f := range flagsOf(n) {
		spelt := spellings(f)
		slices.Reverse(spelt)
		line := `\fB` + strings.Join(escaped(spelt), `\fR, \fB`) + `\fR`
		if takesValue(f) {
			line += ` \fI` + troff(strings.Trim(f.FormatPlaceHolder(), `"`)) + `\fR`
		}
		fmt.Fprintf(&b, ".TP\n%s\n%s\n", line, troff(helpWithRange(f.Value)))
		if name := f.Tag.Get("variable"); name != "" {
			variables = append(variables, [2]string{name, "As --" + f.Name + ", which is stronger."})
		}
	}
	b.WriteString(".SH EXIT STATUS\n.TP\n.B 0\nAll went well.\n.TP\n.B 1\nSomething failed while running.\n.TP\n.B 2\n" +
		"It was used in a wrong way.\n.TP\n.B 128 + N\nSignal N cut it short.\n")
	b.WriteString(".SH ENVIRONMENT\n")
	for _, v := range append(variables, [2]string{"NO_COLOR", "Where it is not empty, nothing is coloured."}) {
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", troff(v[0]), troff(v[1]))
	}
	if n.Parent != nil {
		fmt.Fprintf(&b, ".SH SEE ALSO\n.BR %s (1)\n", troff(manName(n.Parent)))
	} else {
		fmt.Fprintf(&b, ".SH SEE ALSO\n")
		for i, child := range below {
			fmt.Fprintf(&b, ".BR %s (1)%s\n", troff(manName(child)), map[bool]string{true: "", false: ","}[i == len(below)-1])
		}
	}
	return b.String()
}

// manText writes paragraphs, and as examples those lines that are indented.
func manText(w io.Writer, text string) {
	example, between := false, false
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		indented := strings.HasPrefix(line, "    ")
		switch {
		case indented && !example:
			fmt.Fprint(w, ".PP\n.RS 4\n.EX\n")
		case !indented && example:
			fmt.Fprint(w, ".EE\n.RE\n")
		}
		example = indented
		if line == "" {
			between = true
			continue
		}
		if between && !indented {
			fmt.Fprintln(w, ".PP")
		}
		between = false
		fmt.Fprintln(w, troff(strings.TrimPrefix(line, "    ")))
	}
	if example {
		fmt.Fprint(w, ".EE\n.RE\n")
	}
}

func escaped(all []string) []string {
	for i, s := range all {
		all[i] = troff(s)
	}
	return all
}

// synopsis is what follows the command.
func synopsis(n *kong.Node) string {
	var parts []string
	for _, p := range n.Positional {
		part := strings.ToUpper(p.Name)
		if p.IsCumulative() {
			part += " ..."
		}
		if !p.Required {
			part = "[" + part + "]"
		}
		parts = append(parts, part)
	}
	if len(n.Children) > 0 {
		parts = append(parts, "COMMAND")
	}
	return strings.Join(append(parts, "[FLAGS]"), " ")
}

// lowered is a sentence as part of another.
func lowered(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// built is when and as what version this binary was made, as far as the Go tool recorded it.
func built() (date, version string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", "(unknown)"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" && len(s.Value) >= 10 {
			date = s.Value[:10]
		}
	}
	return date, info.Main.Version
}
