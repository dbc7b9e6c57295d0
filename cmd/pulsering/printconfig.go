package main

import (
	"fmt"
	"io"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v4"
)

// wantsPrint tells whether --print-config was given.
func (s *settings) wantsPrint() bool {
	f := s.command.Selected().Target.FieldByName("PrintConfig")
	return f.IsValid() && f.Bool()
}

// print writes the settings as a file of --config that gives the same ones, with a comment about where each is from. Secrets stand
// in files, whose paths are shown; a URL with a password in it is left to be filled in by hand.
func (s *settings) print(w io.Writer) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	var notes []string
	unicode := true // until something plays with the terminal: then all beyond ASCII is escaped
	for _, flag := range settable(s.command.Selected()) {
		text := s.shown(flag)
		switch {
		case text == "":
			notes = append(notes, flag.Name+": # not given")
			continue
		case hasPassword(flag):
			notes = append(notes, fmt.Sprintf("%s: %s # %s; the password is hidden", flag.Name, printable(text), s.source(flag)))
			continue
		}
		key, value := scalar(flag.Name), s.node(flag)
		if value.Kind == yaml.ScalarNode && !strings.Contains(value.Value, "\n") {
			value.LineComment = "# " + s.source(flag)
		} else {
			key.LineComment = "# " + s.source(flag)
		}
		unicode = unicode && isPlain(value)
		root.Content = append(root.Content, key, value)
	}
	out, err := yaml.Dump(root, yaml.WithUnicode(unicode))
	if err != nil {
		return err
	}
	for _, note := range notes {
		out = append(out, "# "+note+"\n"...)
	}
	_, err = w.Write(out)
	return err
}

// source says where a flag's value is from.
func (s *settings) source(flag *kong.Flag) string {
	if g := s.flags.given[flag.Value]; g != nil {
		return printable(g.source)
	}
	return "default"
}

// node is the value of a flag in YAML.
func (s *settings) node(flag *kong.Flag) *yaml.Node {
	switch target := flag.Target; target.Kind() {
	case sliceKind:
		list := &yaml.Node{Kind: yaml.SequenceNode}
		for i := range target.Len() {
			list.Content = append(list.Content, scalar(target.Index(i).String()))
		}
		return list
	case mapKind:
		pairs := &yaml.Node{Kind: yaml.MappingNode}
		for _, key := range sortedKeys(target) {
			pairs.Content = append(pairs.Content, scalar(key.String()), scalar(target.MapIndex(key).String()))
		}
		return pairs
	case reflect.Bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprint(target.Bool())}
	}
	text := flag.Default
	if g := s.flags.given[flag.Value]; g != nil {
		text = g.items[len(g.items)-1].text
	}
	if strings.Trim(text, "0123456789") == "" {
		return &yaml.Node{Kind: yaml.ScalarNode, Value: text}
	}
	return scalar(text)
}

// scalar is a text, quoted where YAML would take it for something else.
func scalar(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

// isPlain tells whether all texts below a node may be shown as they are. YAML escapes control characters, but not those that
// turn the direction of writing.
func isPlain(n *yaml.Node) bool {
	text := strings.ReplaceAll(n.Value, "\n", " ")
	return printable(text) == text && !slices.ContainsFunc(n.Content, func(n *yaml.Node) bool { return !isPlain(n) })
}

func sortedKeys(m reflect.Value) []reflect.Value {
	return slices.SortedFunc(slices.Values(m.MapKeys()), func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
}

// shown is the value of a flag in one line, without secrets; "": it has none.
func (s *settings) shown(flag *kong.Flag) string {
	n := s.node(flag)
	if n.Kind == yaml.ScalarNode {
		if flag.Target.Type() == reflect.TypeFor[webURL]() {
			return hidePassword(n.Value)
		}
		if file, ok := flag.Target.Interface().(keyFile); ok && n.Value != "" {
			return n.Value + ": " + ringText(file.ids())
		}
		return n.Value
	}
	var parts []string
	for i, part := range n.Content {
		switch {
		case n.Kind == yaml.SequenceNode:
			parts = append(parts, printable(part.Value))
		case i%2 == 0:
			parts = append(parts, printable(part.Value)+"="+printable(n.Content[i+1].Value))
		}
	}
	return strings.Join(parts, " ")
}

// hasPassword tells whether a flag is a URL with a password in it.
func hasPassword(flag *kong.Flag) bool {
	u, ok := flag.Target.Interface().(webURL)
	if !ok {
		return false
	}
	parsed, err := url.Parse(string(u))
	if err != nil {
		return false
	}
	_, has := parsed.User.Password()
	return has
}
