package main

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// What completion and man pages are made of: the grammar that kong reads arguments by.

// commandsOf lists a command and all below it, but for hidden ones, each before its own.
func commandsOf(root *kong.Node) []*kong.Node {
	all := []*kong.Node{root}
	for _, child := range root.Children {
		if !child.Hidden {
			all = append(all, commandsOf(child)...)
		}
	}
	return all
}

// words are what leads to a command, without the program: "keys list". Of the program itself it is empty.
func words(n *kong.Node) string {
	if n.Parent == nil {
		return ""
	}
	return strings.TrimSpace(words(n.Parent) + " " + n.Name)
}

// flagsOf lists the flags of a command, those first that it shares with the others.
func flagsOf(n *kong.Node) (flags []*kong.Flag) {
	for ; n != nil; n = n.Parent {
		for i := len(n.Flags) - 1; i >= 0; i-- {
			if !n.Flags[i].Hidden {
				flags = append(flags, n.Flags[i])
			}
		}
	}
	slices.Reverse(flags)
	return flags
}

// What may stand in the place of a value.
const (
	anyText   = ""
	ofFiles   = "files"
	ofMembers = "members"
)

// possible is what a value may be: one of a few words, or of a kind.
func possible(v *kong.Value) (words []string, kind string) {
	switch of := v.Tag.Get("of"); {
	case of != "":
		return strings.Split(of, ","), anyText
	case v.Enum != "":
		return v.EnumSlice(), anyText
	case v.Flag != nil && (slices.Contains([]string{"FILE", "PATH", "DIR"}, v.Flag.PlaceHolder)), v.Flag == nil && v.Name == "file":
		return nil, ofFiles
	case v.Flag == nil && v.Name == "name":
		return nil, ofMembers
	}
	return nil, anyText
}

// takesValue tells whether a word follows the flag.
func takesValue(f *kong.Flag) bool { return !f.IsBool() && !f.IsCounter() }

// spellings are the ways to write a flag.
func spellings(f *kong.Flag) []string {
	all := []string{"--" + f.Name}
	if f.Short != 0 {
		all = append(all, "-"+string(f.Short))
	}
	return all
}
