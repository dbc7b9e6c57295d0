package cluster

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The core is given the time, starts nothing, waits for nothing and locks nothing: whatever it does follows from its inputs.
func TestCoreReadsNoClock(t *testing.T) {
	forbidden := []string{"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.NewTimer", "time.AfterFunc", "time.Tick"}
	owners := []string{"core", "record", "near", "inquiry", "opinion", "suspicion", "penalty", "fading", "roll"}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	set, methods := gotoken.NewFileSet(), 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range tree.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil || !slices.Contains(owners, receiver(f)) {
				continue
			}
			methods++
			ast.Inspect(f.Body, func(n ast.Node) bool {
				at := set.Position(f.Pos())
				switch n := n.(type) {
				case *ast.GoStmt, *ast.SelectStmt, *ast.SendStmt:
					t.Errorf("%s: %s starts or waits for something", at, f.Name.Name)
				case *ast.SelectorExpr:
					if x, ok := n.X.(*ast.Ident); ok && slices.Contains(forbidden, x.Name+"."+n.Sel.Name) || n.Sel.Name == "Lock" || n.Sel.Name == "RLock" {
						t.Errorf("%s: %s in %s", at, n.Sel.Name, f.Name.Name)
					}
				}
				return true
			})
		}
	}
	if methods < 100 {
		t.Errorf("%d methods of the core were looked at", methods)
	}
}

func receiver(f *ast.FuncDecl) string {
	typ := f.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if name, ok := typ.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}
