package failure

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/image"
	"github.com/mayfly-run/mayfly/internal/policy"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/secret"
	"github.com/mayfly-run/mayfly/internal/tool"
)

func TestOf(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want Failure
	}{
		{"policy", &policy.DeniedError{}, Failure{run.CodePolicyDenied, 125, run.Denied}},
		{"not found", &engine.CommandError{NotFound: true}, Failure{run.CodeNotFound, 127, run.Failed}},
		{"not executable", &engine.CommandError{}, Failure{run.CodeNotExecutable, 126, run.Failed}},
		{"lost", fmt.Errorf("run: %w", engine.ErrLost), Failure{run.CodeSandboxLost, 125, run.Lost}},
		{"unsupported", &engine.Unsupported{}, Failure{run.CodeUnsupported, 125, run.Error}},
		{"secret", &secret.NotFoundError{Name: "a"}, Failure{run.CodeSecretNotFound, 125, run.Error}},
		{"image", &image.Error{Kind: image.ErrNotFound, Err: fs.ErrNotExist}, Failure{run.CodeImageNotFound, 125, run.Error}},
		{"registry", &image.Error{Kind: image.ErrTLS}, Failure{run.CodeRegistryRefused, 125, run.Error}},
		{"inputs and secrets", errors.Join(&tool.InputError{}, &secret.NotFoundError{}), Failure{run.CodeInvalidInput, 125, run.Error}},
		{"file", fmt.Errorf("read: %w", fs.ErrNotExist), Failure{run.CodeFileNotFound, 125, run.Error}},
		{"coded", fmt.Errorf("x: %w", run.NewError(run.CodeNoSpace, "full")), Failure{run.CodeNoSpace, 125, run.Error}},
		{"other", errors.New("anything"), Failure{run.CodeError, 125, run.Error}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Of(c.err); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
	if code := CodeOf(nil); code != "" {
		t.Errorf("CodeOf(nil) = %q, want none", code)
	}
}

// uncoded has the exported errors without a rule here, and the reasons.
var uncoded = map[string]string{
	"workflow.ErrRunning":    "it has its own code; failure can't import workflow",
	"image.Error":            "its Kind is one of image's variables, each of which has a rule",
	"document.ErrTooLarge":   "whoever reads the document has an error that says what it is",
	"api.Problem":            "it has the code that the server gave it (run.Coder)",
	"api.FingerprintError":   "it has its own code (run.Coder)",
	"archive.Error":          "the server answers with a problem, which has a code",
	"archive.DigestError":    "the server answers with a problem, which has a code",
	"store.DamagedError":     "the server answers with a problem, which has a code",
	"store.ErrNotFound":      "the server answers with a problem, which has a code",
	"store.ErrNotHeld":       "the server answers with a problem, which has a code",
	"workflow.ErrDamaged":    "the server ends the workflow with the reason",
	"store.ErrNoSpace":       "the server answers with no_space",
	"store.ErrGap":           "the server answers with a receipt, and the runner sends what is missing",
	"store.ErrUnreachable":   "the server answers with database_unavailable",
	"store.ErrSlow":          "the server answers with database_unavailable",
	"store.ErrUnsure":        "the server answers with server_unreachable",
	"store.ErrBusy":          "the server answers with busy",
	"store.ErrOver":          "the server answers with a problem, which has a code",
	"store.ErrChanged":       "the server answers with a problem, which has a code",
	"store.ErrTooManyDrafts": "the server answers with a problem, which has a code",
	"store.ErrExists":        "the server answers with a problem, which has a code",
	"store.ErrRepeated":      "the server answers with the answer that it has given before",
	"backup.ErrNoDatabase":   "mayflyd ends with the status 1 and a text",
	"backup.NotEmptyError":   "mayflyd ends with the status 1 and a text",
	"program.NotFoundError":  "Mayfly isn't installed in full: no program that runs it can do anything about that",
}

// TestEveryErrorHasACode: each error that a package exports has a rule, so that programs can distinguish it too.
func TestEveryErrorHasACode(t *testing.T) {
	have := map[string]bool{}
	for _, r := range rules() {
		if have[r.name] {
			t.Errorf("%s has two rules", r.name)
		}
		have[r.name] = true
	}
	found := 0
	unused := maps.Clone(uncoded)
	for _, pkg := range packages(t) {
		for _, name := range exportedErrors(t, pkg) {
			found++
			name = filepath.Base(pkg) + "." + name // as reflection names the package
			if !have[name] && uncoded[name] == "" {
				t.Errorf("%s has no code; give it a rule in failure.go", name)
			}
			delete(unused, name)
		}
	}
	if found < 30 {
		t.Errorf("only %d errors were found", found)
	}
	for name := range unused {
		t.Errorf("uncoded names %s, which doesn't exist", name)
	}
}

// packages are the folders of all packages below internal: of a new one, nobody needs to think here.
func packages(t *testing.T) (dirs []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			if d.Name() == "testdata" {
				return filepath.SkipDir
			}
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// exportedErrors returns the types of a package with a method Error, and its variables that begin with Err.
func exportedErrors(t *testing.T, dir string) (names []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			names = append(names, errorsOf(d)...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func errorsOf(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.Name != "Error" || d.Recv == nil || len(d.Type.Params.List) > 0 {
			return nil
		}
		receiver := d.Recv.List[0].Type
		if star, ok := receiver.(*ast.StarExpr); ok {
			receiver = star.X
		}
		if id, ok := receiver.(*ast.Ident); ok && id.IsExported() {
			names = append(names, id.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			v, ok := s.(*ast.ValueSpec)
			if !ok || d.Tok != token.VAR {
				continue
			}
			for _, id := range v.Names {
				if strings.HasPrefix(id.Name, "Err") {
					names = append(names, id.Name)
				}
			}
		}
	}
	return names
}

// TestEveryCodeIsDescribed: the constants, the table and the document have the same codes.
func TestEveryCodeIsDescribed(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "code.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var constants []string
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "Code") {
			constants = append(constants, strings.Trim(v.Values[0].(*ast.BasicLit).Value, `"`))
		}
		return true
	})
	var table, rows []string
	for _, c := range run.Codes() {
		table = append(table, string(c.Code))
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |", c.Code, c.Exit, c.Meaning, c.Source))
	}
	slices.Sort(constants)
	if sorted := slices.Sorted(slices.Values(table)); !slices.Equal(constants, sorted) {
		t.Errorf("the constants are\n%s\nand run.Codes has\n%s", constants, sorted)
	}
	for _, name := range table {
		if !regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`).MatchString(name) {
			t.Errorf("%q is not a code", name)
		}
	}
	document, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "TOOL-FORMAT.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(document), "\n## Codes\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var written []string
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "| `") {
			written = append(written, strings.TrimSpace(line))
		}
	}
	if !slices.Equal(written, rows) {
		t.Errorf("docs/TOOL-FORMAT.md, Codes, has\n%s\nwant\n%s", strings.Join(written, "\n"), strings.Join(rows, "\n"))
	}
}
