package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v4"

	"github.com/pulsering/pulsering/internal/input"
)

// The file of --config is YAML: one key for each flag, named as the flag is. What stands behind a key is what would stand behind
// the flag, letter by letter: YAML's own types are of no interest, so 1.10 and no are texts here. A flag that may be given
// several times is a list, one of key=value pairs a mapping. Anchors, aliases, merging and explicit types are refused: there is
// nothing to share in a file of thirty keys, and an alias can blow up.

const (
	// longestConfig bounds the file, in bytes: a file of every key is a twentieth of it.
	longestConfig = 64 << 10

	// mostErrors bounds what is said about one file: who gave the wrong one need not read a page for each of its lines.
	mostErrors = 25
)

// readConfig reads the values that a file gives to a command's flags, by name. Errors name file and line; what is not wrong
// is returned beside them; where the file cannot be read, they begin with at, which named it.
func readConfig(path, at string, flags []*kong.Flag, again bool) (map[string]*given, []error) {
	text, _, err := input.File(path, longestConfig, again)
	if err != nil {
		return nil, []error{fmt.Errorf("%s: %w", at, err)}
	}
	root, err := configTree(path, bytes.TrimPrefix(text, []byte("\ufeff"))) // a byte-order mark
	if err != nil {
		return nil, []error{err}
	}
	return configValues(path, root, flags)
}

// configTree is the mapping that a text is. Aliases are not followed, so that it is no larger than the text.
func configTree(path string, text []byte) (*yaml.Node, error) {
	if n, why := badByte(text); n > 0 {
		return nil, fmt.Errorf("%s:%d: %s", path, n, why)
	}
	var document yaml.Node
	err := yaml.Load(text, &document)
	var wrong *yaml.LoadError
	switch {
	case err == nil:
	case errors.As(err, &wrong) && wrong.Mark.Line > 0:
		return nil, fmt.Errorf("%s:%d: no YAML: %s", path, wrong.Mark.Line, printable(yamlReason(text, wrong)))
	case strings.Contains(err.Error(), "no documents"):
		return nil, fmt.Errorf("%s holds no key: give it one, like beat: 125ms, or leave the file out", path)
	case strings.Contains(err.Error(), "multiple"):
		return nil, fmt.Errorf("%s holds several documents: want one, without lines of ---", path)
	default:
		return nil, fmt.Errorf("%s: no YAML: %w", path, err)
	}
	root := document.Content[0]
	switch {
	case isNull(root):
		return nil, fmt.Errorf("%s holds no key: give it one, like beat: 125ms, or leave the file out", path)
	case root.Kind != yaml.MappingNode:
		return nil, fmt.Errorf("%s:%d: want keys and values, like beat: 125ms", path, root.Line)
	case len(root.Content) == 0:
		return nil, fmt.Errorf("%s holds no key: give it one, like beat: 125ms, or leave the file out", path)
	}
	return root, nil
}

// badByte returns the line of the first byte that no configuration has; 0: there is none.
func badByte(text []byte) (line int, why string) {
	line = 1
	for rest := text; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && size == 1:
			return line, fmt.Sprintf("byte %#02x is no UTF-8: save the file as UTF-8", rest[0])
		case r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f:
			return line, fmt.Sprintf("control character %q: want text", r)
		case r == '\n':
			line++
		}
		rest = rest[size:]
	}
	return 0, ""
}

// yamlReason says what is wrong in words for the person who wrote it.
func yamlReason(text []byte, wrong *yaml.LoadError) string {
	lines := bytes.Split(text, []byte("\n"))
	if n := wrong.Mark.Line; n <= len(lines) {
		if indent := lines[n-1][:len(lines[n-1])-len(bytes.TrimLeft(lines[n-1], " \t"))]; bytes.ContainsRune(indent, '\t') {
			return "the line begins with a tab: indent with spaces"
		}
	}
	if wrong.ContextMsg != "" {
		return fmt.Sprintf("%s, %s that begins in line %d", wrong.Message, wrong.ContextMsg, wrong.ContextMark.Line)
	}
	return wrong.Message
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Tag == "!!null" && n.Style&yaml.TaggedStyle == 0
}

// configValues are the values in a mapping.
func configValues(path string, root *yaml.Node, flags []*kong.Flag) (map[string]*given, []error) {
	values := make(map[string]*given)
	var errs []error
	known := make(map[string]*kong.Flag)
	var names []string
	for _, flag := range flags {
		known[flag.Name] = flag
		names = append(names, flag.Name)
	}
	lines := make(map[string]int)
	for i := 0; i+1 < len(root.Content); i += 2 {
		if len(errs) >= mostErrors {
			errs = append(errs[:mostErrors], fmt.Errorf("%s: there is more that is wrong: is it a configuration of this command?", path))
			break
		}
		key, value := root.Content[i], root.Content[i+1]
		at := fmt.Sprintf("%s:%d", path, key.Line)
		if why := noText(key); why != "" {
			errs = append(errs, fmt.Errorf("%s: a key %s", at, why))
			continue
		}
		flag := known[key.Value]
		if flag == nil {
			errs = append(errs, fmt.Errorf("unknown key %.64q in %s%s", key.Value, at, didYouMean(key.Value, names)))
			continue
		}
		if first := lines[key.Value]; first > 0 {
			errs = append(errs, fmt.Errorf("%s: %s: is given twice, in line %d too: give it once", at, key.Value, first))
			continue
		}
		lines[key.Value] = key.Line
		g, wrong := configValue(path, key.Value, value, flag.Target.Kind() == sliceKind, flag.Target.Kind() == mapKind)
		errs = append(errs, wrong...)
		if g != nil {
			g.source = at
			values[key.Value] = g
		}
	}
	return values, errs
}

// configValue is the value of a key, or of none where all of it is wrong.
func configValue(path, key string, value *yaml.Node, list, pairs bool) (*given, []error) {
	g := new(given)
	var errs []error
	at := func(n *yaml.Node) string { return fmt.Sprintf("%s:%d: %s", path, n.Line, key) }
	add := func(n *yaml.Node, before, what string) {
		if why := noText(n); why != "" {
			errs = append(errs, fmt.Errorf("%s: %s%s", at(n), what, why))
			return
		}
		g.items = append(g.items, item{text: before + n.Value, at: at(n)})
	}
	switch {
	case value.Kind == yaml.SequenceNode && (list || pairs):
		if len(value.Content) == 0 {
			errs = append(errs, fmt.Errorf("%s: is an empty list: give it a value, or leave the key out", at(value)))
		}
		for _, n := range value.Content {
			add(n, "", "")
		}
	case value.Kind == yaml.MappingNode && pairs:
		if len(value.Content) == 0 {
			errs = append(errs, fmt.Errorf("%s: is empty: give it a pair, or leave the key out", at(value)))
		}
		for i := 0; i+1 < len(value.Content); i += 2 {
			k, v := value.Content[i], value.Content[i+1]
			if why := noText(k); why != "" {
				errs = append(errs, fmt.Errorf("%s: a key %s", at(k), why))
			} else if strings.Contains(k.Value, "=") {
				errs = append(errs, fmt.Errorf("%s: key %.64q has a =: take another one", at(k), k.Value))
			} else {
				add(v, k.Value+"=", fmt.Sprintf("%.64q ", k.Value))
			}
		}
	case value.Kind == yaml.SequenceNode || value.Kind == yaml.MappingNode:
		want := "one value"
		if list {
			want = "a list, or one value"
		}
		errs = append(errs, fmt.Errorf("%s: want %s", at(value), want))
	default:
		add(value, "", "")
	}
	if len(g.items) == 0 {
		return nil, errs
	}
	return g, errs
}

// noText tells why a node is no text; "": it is one.
func noText(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.AliasNode:
		return fmt.Sprintf("is the alias %.64q: write out what it stands for", n.Value)
	case n.Kind != yaml.ScalarNode:
		return "is a list or a mapping: want one value"
	case n.Style&yaml.TaggedStyle != 0:
		return fmt.Sprintf("has the type %.64q: leave that out", n.Tag)
	case n.Tag == "!!merge":
		return "is <<, which merges: write out the keys"
	case isNull(n):
		return `has no value: give it one, or leave it out ("" is an empty text)`
	}
	return ""
}
