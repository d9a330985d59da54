package run_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestExitStatuses: exit statuses are written as numbers only in the two files that define them.
func TestExitStatuses(t *testing.T) {
	defined := map[string]bool{"internal/run/status.go": true, "internal/engine/status.go": true}
	root := filepath.Join("..", "..")
	checked := 0
	for _, dir := range []string{"internal", "cmd/mayfly"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && d.Name() == "enginetest" { // a test suite whose tools choose their exit statuses
				return fs.SkipDir
			}
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			name, err := filepath.Rel(root, path)
			if err != nil || defined[filepath.ToSlash(name)] {
				return err
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, path, nil, 0)
			if err != nil {
				return err
			}
			checked++
			for _, n := range literalStatuses(file) {
				t.Errorf("%s: an exit status is written as a number; use a constant of package run or engine", fset.Position(n.Pos()))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if checked < 100 {
		t.Errorf("only %d files were looked at", checked)
	}
}

// TestLiteralStatuses: literalStatuses finds exit statuses and no other numbers.
func TestLiteralStatuses(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "x.go", `package x
const exitOdd = 126
func f() {
	r.ExitCode, n = 137, 5
	r.Status, r.ExitCode = failed, 1
	_ = T{Code: 125}
	_ = exitError{status: 1}
	_ = 128 + int(sig)
	if e.Code != 137 {
	}
	// Not these:
	r.ExitCode = 0
	_ = HTTP{Status: 404}
	_ = []byte{127, 0, 0, 1}
	_ = 128 << 10
	if e.Code != 0 {
	}
}`, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(literalStatuses(file)); n != 7 {
		t.Errorf("found %d, want 7", n)
	}
}

// literalStatuses returns the numbers in a file that can only be exit statuses: those that are assigned to, compared with or
// named as one, and 128 plus a signal.
func literalStatuses(file *ast.File) (found []ast.Node) {
	add := func(target string, value ast.Expr) {
		lit, ok := value.(*ast.BasicLit)
		if ok && lit.Kind == token.INT && lit.Value != "0" && isStatus(target) {
			found = append(found, lit)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			add(nameOf(n.Key), n.Value)
		case *ast.AssignStmt:
			for i := range n.Lhs {
				if len(n.Lhs) == len(n.Rhs) {
					add(nameOf(n.Lhs[i]), n.Rhs[i])
				}
			}
		case *ast.ValueSpec:
			for i, name := range n.Names {
				if i < len(n.Values) {
					add(name.Name, n.Values[i])
				}
			}
		case *ast.BinaryExpr:
			add(nameOf(n.X), n.Y)
			number, ok := n.X.(*ast.BasicLit)
			_, call := n.Y.(*ast.CallExpr)
			if ok && call && n.Op == token.ADD && number.Value == strconv.Itoa(128) {
				found = append(found, n)
			}
		}
		return true
	})
	return found
}

func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// isStatus reports whether a name is one for exit statuses. A Status is HTTP's.
func isStatus(name string) bool {
	return name == "Code" || name == "ExitCode" || name == "status" || strings.HasPrefix(name, "exit") && name != "exit" ||
		strings.HasPrefix(name, "status") || strings.HasPrefix(name, "Exit")
}
