// Package internal holds no code: this test says what the packages beside it may do.
package internal

import (
	"bufio"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

const module = "github.com/pulsering/pulsering/"

// may is what each package imports, beside the harmless part of the standard library. Arrows point one
// way: a package is told of no other that could tell of it.
var may = map[string][]string{
	"attention": {},
	"claim":     {},
	"path":      {module + "internal/pace", module + "phiaccrual"},
	"quorum":    {},
	"ring":      {"hash/fnv"},
	"throttle":  {},
	"wire":      {module + "cluster/internal/claim", "encoding/binary", "github.com/hashicorp/go-msgpack/v2/codec", "hash/crc32", "net/netip", "sync", "unicode", "unicode/utf8"},
}

var harmless = []string{"cmp", "errors", "fmt", "iter", "maps", "math", "slices", "strings", "time"}

// Whoever decides is given the time, starts nothing and waits for nothing.
var forbidden = []string{"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.NewTimer", "time.Tick", "time.AfterFunc"}

const (
	longestComment = 100 // columns, a tab being four
	longestFile    = 300 // lines
)

func TestPackagesKeepToThemselves(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, e.Name())
		}
	}
	if want := slices.Sorted(maps.Keys(may)); !slices.Equal(dirs, want) {
		t.Errorf("the packages are %q, and rules are there for %q", dirs, want)
	}
	for _, dir := range dirs {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(files), err)
		}
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				look(t, dir, file)
			}
		}
	}
}

func look(t *testing.T, dir, file string) {
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range tree.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(harmless, path) && !slices.Contains(may[dir], path) {
			t.Errorf("%s imports %s", set.Position(i.Pos()), path)
		}
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			t.Errorf("%s starts a goroutine", set.Position(n.Pos()))
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && slices.Contains(forbidden, x.Name+"."+n.Sel.Name) {
				t.Errorf("%s: %s.%s", set.Position(n.Pos()), x.Name, n.Sel.Name)
			}
		}
		return true
	})
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		lines++
		line := strings.ReplaceAll(s.Text(), "\t", "    ")
		if strings.Contains(line, "//") && utf8.RuneCountInString(line) > longestComment {
			t.Errorf("%s:%d: a comment that ends in column %d", file, lines, utf8.RuneCountInString(line))
		}
	}
	if lines > longestFile {
		t.Errorf("%s has %d lines", file, lines)
	}
}
