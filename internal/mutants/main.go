// Command mutants makes small mistakes in packages, one at a time, and tells which of them the tests
// do not notice. Coverage says that a line ran; only a mistake in it says whether a rule holds.
//
//	go run ./internal/mutants [-n 60] [-seed 1] [-quick REGEXP] [-only REGEXP] PACKAGE…
//
// The mistakes are spread evenly over all places where one can be made; another seed makes others.
// No file is changed: the compiler is given a copy of the file that it is in (go help build,
// -overlay). Tests whose names match -quick run first, and all of them where these notice nothing.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run() error {
	n := flag.Int("n", 60, "how many mistakes")
	seed := flag.Uint64("seed", 1, "which ones")
	quick := flag.String("quick", "", "names of the tests to run first, a regular expression")
	only := flag.String("only", "", "files to make mistakes in, a regular expression")
	list := flag.Bool("list", false, "show the mistakes, and make none")
	limit := flag.Duration("limit", 10*time.Minute, "time for one run of the tests: one that hangs is noticed")
	flag.Parse()
	if flag.NArg() == 0 {
		return errors.New("which packages? Give directories, such as ./cluster")
	}
	files, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	var all []mistake
	for _, dir := range flag.Args() {
		found, err := mistakesIn(dir, files)
		if err != nil {
			return err
		}
		all = append(all, found...)
	}
	survived := 0
	chosen := choose(all, *n, *seed)
	for i, m := range chosen {
		fmt.Printf("%2d/%d %v: ", i+1, len(chosen), m)
		if *list {
			fmt.Println()
			continue
		}
		begun := time.Now()
		noticed, err := try(ctx, m, *quick, *limit)
		if err != nil {
			return err
		}
		fmt.Printf("%s, %.0f s\n", noticed, time.Since(begun).Seconds())
		if noticed == "SURVIVED" {
			survived++
		}
	}
	if !*list {
		fmt.Printf("%d of %d were noticed\n", len(chosen)-survived, len(chosen))
	}
	return nil
}

// mistake is one change of one file.
type mistake struct {
	dir, file   string
	line        int
	text        string // of the line, without the mistake
	what        string
	apply, undo func()
	source      *source
}

func (m mistake) String() string {
	return fmt.Sprintf("%s:%d: %s in `%s`", m.file, m.line, m.what, m.text)
}

// source is a parsed file.
type source struct {
	set  *token.FileSet
	tree *ast.File
}

// mistakesIn finds all that can be made in the package of a directory, file by file, in their order.
func mistakesIn(dir string, only *regexp.Regexp) (all []mistake, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("%s: no Go files", dir)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || !only.MatchString(file) {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		src := &source{set: token.NewFileSet()}
		if src.tree, err = parser.ParseFile(src.set, file, text, parser.ParseComments); err != nil {
			return nil, err
		}
		lines := strings.Split(string(text), "\n")
		add := func(at token.Pos, what string, apply, undo func()) {
			line := src.set.Position(at).Line
			all = append(all, mistake{dir, file, line, strings.TrimSpace(lines[line-1]), what, apply, undo, src})
		}
		for _, d := range src.tree.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
				ast.Inspect(f.Body, func(n ast.Node) bool { return visit(n, add) })
			}
		}
	}
	return all, nil
}

var (
	wrongOperator = map[token.Token]token.Token{
		token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
		token.EQL: token.NEQ, token.NEQ: token.EQL, token.LAND: token.LOR, token.LOR: token.LAND,
		token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL,
	}
	// For people alone: what the log says, and errors.
	talk = regexp.MustCompile(`\blog\b|\.log\.|Errorf|errors\.New|Sprintf|^panic`)
)

// visit adds the mistakes that can be made at a node, and tells whether to look into it.
func visit(n ast.Node, add func(token.Pos, string, func(), func())) bool {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		right := n.Op
		if wrong, ok := wrongOperator[right]; ok && !isText(n.X) && !isText(n.Y) {
			add(n.OpPos, fmt.Sprintf("%v for %v", wrong, right), func() { n.Op = wrong }, func() { n.Op = right })
		}
	case *ast.IfStmt:
		cond := n.Cond
		add(n.Pos(), "never", func() { n.Cond = both(cond, "false", token.LAND) }, func() { n.Cond = cond })
		add(n.Pos(), "always", func() { n.Cond = both(cond, "true", token.LOR) }, func() { n.Cond = cond })
	case *ast.BlockStmt:
		without(&n.List, add)
	case *ast.CaseClause:
		without(&n.Body, add)
		for i, cond := range n.List {
			if _, compares := cond.(*ast.BinaryExpr); compares {
				add(cond.Pos(), "never", func() { n.List[i] = both(cond, "false", token.LAND) }, func() { n.List[i] = cond })
			}
		}
	case *ast.CallExpr:
		if talk.MatchString(printed(n.Fun)) {
			return false
		}
	}
	return true
}

// without adds that a statement is left out, where what is left may compile.
func without(list *[]ast.Stmt, add func(token.Pos, string, func(), func())) {
	for i, s := range *list {
		switch s := s.(type) {
		case *ast.ExprStmt:
			if call, ok := s.X.(*ast.CallExpr); !ok || talk.MatchString(printed(call.Fun)) {
				continue
			}
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue
			}
		case *ast.IncDecStmt, *ast.BranchStmt:
		default:
			continue
		}
		whole := *list
		less := slices.Delete(slices.Clone(whole), i, i+1)
		add(s.Pos(), "left out", func() { *list = less }, func() { *list = whole })
	}
}

// both is cond, joined with a constant so that everything in it is still used.
func both(cond ast.Expr, constant string, op token.Token) ast.Expr {
	return &ast.BinaryExpr{X: &ast.ParenExpr{X: cond}, Op: op, Y: ast.NewIdent(constant)}
}

func isText(e ast.Expr) bool {
	lit, ok := e.(*ast.BasicLit)
	return ok && lit.Kind == token.STRING
}

func printed(e ast.Expr) string {
	var b bytes.Buffer
	_ = format.Node(&b, token.NewFileSet(), e)
	return b.String()
}

// choose returns n of them, spread evenly.
func choose(all []mistake, n int, seed uint64) []mistake {
	dice := rand.New(rand.NewPCG(seed, 0))
	n = min(n, len(all))
	chosen := make([]mistake, n)
	for i := range chosen {
		chosen[i] = all[int((float64(i)+dice.Float64())*float64(len(all))/float64(n))]
	}
	return chosen
}

// try makes a mistake and runs the tests of its package.
func try(ctx context.Context, m mistake, quick string, limit time.Duration) (string, error) {
	tmp, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	var text bytes.Buffer
	m.apply()
	err = format.Node(&text, m.source.set, m.source.tree)
	m.undo()
	if err != nil {
		return "", err
	}
	wrong := filepath.Join(tmp, "wrong.go")
	right, err := filepath.Abs(m.file)
	if err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {right: wrong}})
	if err != nil {
		return "", err
	}
	list := filepath.Join(tmp, "overlay.json")
	if err := errors.Join(os.WriteFile(wrong, text.Bytes(), 0o600), os.WriteFile(list, overlay, 0o600)); err != nil {
		return "", err
	}
	test := func(args ...string) (string, error) {
		args = append([]string{"test", "-overlay", list, "-vet=off", "-count=1", "-failfast", "-timeout", limit.String()}, args...)
		cmd := exec.CommandContext(ctx, "go", append(args, "./"+filepath.Clean(m.dir))...)
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		out, err := cmd.CombinedOutput()
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		switch {
		case err == nil:
			return "", nil
		case bytes.Contains(out, []byte("[build failed]")):
			return "does not compile", nil
		}
		if at := bytes.Index(out, []byte("--- FAIL: ")); at >= 0 {
			name, _, _ := bytes.Cut(out[at+len("--- FAIL: "):], []byte(" "))
			return "noticed by " + string(name), nil
		}
		return "noticed: it hangs or panics", nil
	}
	if quick != "" {
		if noticed, err := test("-run", quick); err != nil || noticed != "" {
			return noticed, err
		}
	}
	noticed, err := test()
	if noticed == "" && err == nil {
		noticed = "SURVIVED"
	}
	return noticed, err
}
