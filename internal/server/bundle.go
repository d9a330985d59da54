package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/content"
	"github.com/mayfly-run/mayfly/internal/run"
	"github.com/mayfly-run/mayfly/internal/shape"
	"github.com/mayfly-run/mayfly/internal/store"
	"github.com/mayfly-run/mayfly/internal/tempdir"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

const (
	// deepestFile bounds the folders that a file of a bundle is in, and mostFolders all of them.
	deepestFile = 32
	mostFolders = 20_000
)

// digestOf returns a bundle's digest, and its manifest. Bundles with the same files have the same.
func digestOf(b *api.Bundle) (digest string, manifest []byte, err error) {
	manifest, err = json.Marshal(b)
	return archive.Digest(manifest), manifest, err
}

// bundleOf reads the bundle of a version.
func bundleOf(v store.Version) (b api.Bundle, err error) {
	if err := json.Unmarshal(v.Manifest, &b); err != nil {
		return b, fmt.Errorf("read version %d of %s: %w", v.Version, v.Tool, err)
	}
	return b, nil
}

// loaded is what a bundle defines. It isn't changed.
type loaded struct {
	tool *tool.Tool // ready to be sent to a runner
	// workflow is set instead for a workflow.
	workflow *definition.Workflow
	digest   string // of the bundle, and its manifest
	manifest []byte
	warnings []shape.Problem
}

func (l *loaded) kind() string {
	if l.workflow != nil {
		return "workflow"
	}
	return "tool"
}

// bytes is about how much memory it takes.
func (l *loaded) bytes() int {
	n := 16<<10 + 2*len(l.manifest)
	add := func(t *tool.Tool) {
		if t != nil && t.Script != nil {
			n += len(t.Script.Text)
		}
	}
	add(l.tool)
	if l.workflow != nil {
		for _, step := range l.workflow.All() {
			add(step.Uses.Tool)
		}
	}
	return n
}

const (
	// mostCached is how many bytes of bundles are kept, since reading one takes longer than everything else that a run needs.
	mostCached = 64 << 20
	// loadedFor is for how long a bundle is kept. After that, its tree of files is put into the archive again: what no run
	// has needed for longer than orphaned is deleted there.
	loadedFor = orphaned / 2
)

// load reads what a bundle defines. Its contents must be in the archive.
func (s *Server) load(ctx context.Context, b *api.Bundle) (_ *loaded, err error) {
	digest, manifest, err := digestOf(b)
	if err != nil {
		return nil, err
	}
	if l, ok := s.tools.get(digest); ok {
		return l, nil
	}
	leave, err := s.loading.enter(ctx, digest)
	if err != nil {
		return nil, err
	}
	defer leave()
	if l, ok := s.tools.get(digest); ok { // another request has read it meanwhile
		return l, nil
	}
	dir, err := tempdir.New()
	if err != nil {
		return nil, &outageError{err}
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	folder := filepath.Join(dir.Path, "tool")
	if err := s.unpack(ctx, b, folder); err != nil {
		return nil, err
	}
	l, err := s.parse(ctx, b, dir.Path, folder)
	if err != nil {
		return nil, relative(err, folder)
	}
	l.digest, l.manifest = digest, manifest
	s.tools.put(digest, l, l.bytes())
	return l, nil
}

func wrongBundle(where, text string) error {
	p := problem(http.StatusUnprocessableEntity, run.CodeInvalidInput, "the bundle is wrong: "+text, "")
	p.Errors = []api.Wrong{{Where: where, Message: text}}
	return p
}

// outageError is an error that isn't the definition's, whatever it wraps: a content is missing, which may only mean that the archive isn't
// mounted, or the database doesn't answer, or there is no folder to read a bundle in.
type outageError struct{ error }

func (e *outageError) Unwrap() error { return e.error }

// noBundles are what the system answers when it can't do its work, whatever is in a bundle.
var noBundles = []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EIO, syscall.EROFS}

// outage says whether an error goes away without a change of what a bundle defines.
func outage(err error) bool {
	var down *outageError
	var kept *archive.Error
	return errors.As(err, &down) || errors.As(err, &kept) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		slices.ContainsFunc(noBundles, func(one error) bool { return errors.Is(err, one) })
}

// cantMake is the error of a file or folder that can't be made in a bundle's folder.
func cantMake(where, what, file string, err error) error {
	if outage(err) {
		return fmt.Errorf("make %s %q: %w", what, file, err)
	}
	why := "another file has its name"
	if errors.Is(err, syscall.ENAMETOOLONG) {
		why = "its name is too long"
	}
	return wrongBundle(where, fmt.Sprintf("%s %q can't be made: %s", what, file, why))
}

// unpack makes a bundle's folder.
func (s *Server) unpack(ctx context.Context, b *api.Bundle, folder string) (err error) {
	if err := os.Mkdir(folder, 0o700); err != nil {
		return &outageError{err}
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return &outageError{err}
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	if err := checkFiles(b); err != nil {
		return err
	}
	for i, f := range b.Files {
		where := fmt.Sprintf("body.files[%d]", i)
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if dir := filepath.Dir(f.Path); dir != "." {
			if err := root.MkdirAll(dir, 0o700); err != nil {
				return cantMake(where, "the folder of", f.Path, err)
			}
		}
		if err := s.unpackFile(ctx, root, f, where); err != nil {
			return err
		}
	}
	return nil
}

// checkFiles checks that the files of a bundle can be in one folder. Whether their names are short enough for it, it doesn't know.
func checkFiles(b *api.Bundle) error {
	size := int64(0)
	files, folders := map[string]bool{}, map[string]bool{}
	for i, f := range b.Files {
		where := fmt.Sprintf("body.files[%d]", i)
		if deep := strings.Count(f.Path, "/"); deep > deepestFile {
			return wrongBundle(where, fmt.Sprintf("%q is in more than %d folders", f.Path, deepestFile))
		}
		for dir := path.Dir(f.Path); dir != "." && dir != "/" && !folders[dir]; dir = path.Dir(dir) {
			folders[dir] = true
		}
		if len(folders) > mostFolders {
			return wrongBundle(where, fmt.Sprintf("the files are in more than %d folders", mostFolders))
		}
		if f.Path == "." || !fs.ValidPath(f.Path) || strings.ContainsAny(f.Path, "\\\x00") {
			return wrongBundle(where, fmt.Sprintf("%q is not a path of a file in a folder", f.Path))
		}
		if size += f.Size; size > api.MostBundleBytes {
			return wrongBundle(where, fmt.Sprintf("the files are larger than %d MiB together", api.MostBundleBytes>>20))
		}
		if files[f.Path] {
			return cantMake(where, "the file", f.Path, fs.ErrExist)
		}
		files[f.Path] = true
	}
	for i, f := range b.Files {
		if folders[f.Path] {
			return cantMake(fmt.Sprintf("body.files[%d]", i), "the file", f.Path, fs.ErrExist)
		}
	}
	return nil
}

func notSent(where string, f api.File) error {
	return wrongBundle(where, fmt.Sprintf("the content %s of %q was not sent", f.Digest, f.Path))
}

func wrongSize(where string, f api.File, size int64) error {
	return wrongBundle(where, fmt.Sprintf("%q has %d bytes, not %d", f.Path, size, f.Size))
}

func (s *Server) unpackFile(ctx context.Context, root *os.Root, f api.File, where string) (err error) {
	in, size, err := s.archive.Open(ctx, f.Digest)
	if errors.Is(err, fs.ErrNotExist) {
		return &outageError{notSent(where, f)}
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	if size != f.Size {
		return wrongSize(where, f, size)
	}
	mode := fs.FileMode(0o600)
	if f.Executable {
		mode = 0o700
	}
	out, err := root.OpenFile(f.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return cantMake(where, "the file", f.Path, err)
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// parse reads the definition in a bundle's folder, and puts the files of its volumes into the archive.
func (s *Server) parse(ctx context.Context, b *api.Bundle, dir, folder string) (*loaded, error) {
	if !fs.ValidPath(b.Definition) {
		return nil, wrongBundle("body.definition", fmt.Sprintf("%q is not a path of a file in a folder", b.Definition))
	}
	if !slices.ContainsFunc(b.Files, func(f api.File) bool { return f.Path == b.Definition }) {
		return nil, wrongBundle("body.definition", fmt.Sprintf("%q is not among the files", b.Definition))
	}
	file := filepath.Join(folder, filepath.FromSlash(b.Definition))
	in := &bundled{s: s, trees: content.Store(filepath.Join(dir, "trees")), root: folder, dir: filepath.Dir(file)}
	def, err := in.load(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, wrongBundle("body.definition", fmt.Sprintf("%q is not among the files", b.Definition))
	}
	if err != nil {
		return nil, err
	}
	sent(def)
	l := &loaded{warnings: relativeTo(folder, def.Warnings())}
	if def.Workflow != nil {
		l.workflow = def.Workflow
		return l, findInBundle(def.Workflow, func(step *definition.Step) (*tool.Tool, error) { return in.toolOf(ctx, step) })
	}
	l.tool = def.Tool
	return l, in.ready(ctx, l.tool)
}

// bundled are the files of a bundle.
type bundled struct {
	s     *Server
	trees content.Store
	root  string                // the bundle's folder
	dir   string                // the folder of its definition
	tools map[string]*tool.Tool // those that were read, by their files; ready
}

// load reads a definition in the bundle. What it knows of places is relative to the bundle's folder: of this machine's, nothing is in
// what is said to whoever sent it, or sent to a runner.
func (b *bundled) load(file string) (*definition.Definition, error) {
	data, err := shape.ReadFile(file, "definition")
	if err != nil {
		return nil, err
	}
	def, err := definition.Parse(b.name(file), data)
	if err == nil {
		def.SetDir(filepath.Dir(file))
	}
	return def, err
}

func (b *bundled) loadTool(file string) (*tool.Tool, error) {
	data, err := shape.ReadFile(file, "tool")
	if err != nil {
		return nil, err
	}
	t, err := tool.Parse(b.name(file), data)
	if err == nil {
		t.Source.Dir = filepath.Dir(file)
	}
	return t, err
}

// name is the path of a file in the bundle.
func (b *bundled) name(file string) string {
	return filepath.ToSlash(strings.TrimPrefix(file, b.root+string(filepath.Separator)))
}

// toolOf returns the tool of a step if it is in the bundle, and nil for one that is not: a project may have it.
func (b *bundled) toolOf(ctx context.Context, step *definition.Step) (*tool.Tool, error) {
	t, name := step.Uses.Tool, step.Uses.Name
	switch {
	case t != nil: // defined in place
	case definition.IsPath(name):
		path := filepath.Join(b.dir, filepath.FromSlash(name))
		if filepath.IsAbs(name) || !b.has(path) {
			return nil, fmt.Errorf("%s is outside of the workflow's folder; have its steps name tools of the project", name)
		}
		if !shape.IsFile(path) {
			return nil, fmt.Errorf("%s is not among the files that were sent", name)
		}
		return b.toolIn(ctx, path)
	default:
		file, err := b.find(name)
		if err != nil || file == "" {
			return nil, err
		}
		return b.toolIn(ctx, file)
	}
	return t, b.ready(ctx, t)
}

// toolIn returns the tool in a file, ready to be sent to a runner. It is read once, however many steps run it.
func (b *bundled) toolIn(ctx context.Context, file string) (*tool.Tool, error) {
	if t := b.tools[file]; t != nil {
		return t.Clone(), nil
	}
	t, err := b.loadTool(file)
	if err == nil {
		err = b.ready(ctx, t)
	}
	if err != nil {
		return nil, err
	}
	if b.tools == nil {
		b.tools = map[string]*tool.Tool{}
	}
	b.tools[file] = t
	return t.Clone(), nil
}

// has says whether a path is in the bundle's folder; whether there is a file, it doesn't say.
func (b *bundled) has(path string) bool {
	inside, err := filepath.Rel(b.root, path)
	return err == nil && filepath.IsLocal(inside)
}

// find returns the file of a tool with a name in the bundle, or "". It looks nowhere else.
func (b *bundled) find(name string) (string, error) {
	if wrong, hint := tool.CheckName(name); wrong != "" {
		return "", fmt.Errorf("tool %s %s; %s", shape.Quote(name), wrong, hint)
	}
	for dir := b.dir; ; dir = filepath.Dir(dir) {
		for _, file := range definition.Candidates(dir, name) {
			if shape.IsFile(file) {
				return file, nil
			}
		}
		if dir == b.root {
			return "", nil
		}
	}
}

// ready makes a tool one that can be sent to a runner: it reads its files, and puts those of its volumes into the archive.
func (b *bundled) ready(ctx context.Context, t *tool.Tool) error {
	t.Source.Sent = true
	if err := t.ReadFiles(); err != nil {
		return err
	}
	if err := t.Runnable(); err != nil {
		return err
	}
	if err := t.Pack(ctx, b.trees); err != nil {
		return err
	}
	if digest := t.Source.Files; digest != "" {
		if err := b.s.keepTree(ctx, b.trees, digest); err != nil {
			return err
		}
	}
	t.Source.Dir = "" // of this machine
	return nil
}

// keepTree puts a tree of files into the archive.
func (s *Server) keepTree(ctx context.Context, trees content.Store, digest string) (err error) {
	path, err := trees.Path(digest)
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return s.archive.Put(ctx, digest, f)
}

// relative returns err with the places that it names relative to the bundle's folder.
func relative(err error, folder string) error {
	var wrong *shape.Error
	if !errors.As(err, &wrong) {
		return err
	}
	return &shape.Error{Problems: relativeTo(folder, wrong.Problems)}
}

// sent says of the tools in a definition that they came with it.
func sent(def *definition.Definition) {
	if def.Tool != nil {
		def.Tool.Source.Sent = true
		return
	}
	for _, step := range def.Workflow.All() {
		if step.Uses.Tool != nil {
			step.Uses.Tool.Source.Sent = true
		}
	}
}

// relativeTo returns problems with the places that they name relative to a folder.
func relativeTo(folder string, all []shape.Problem) []shape.Problem {
	within := func(text string) string {
		return strings.ReplaceAll(strings.ReplaceAll(text, folder+"/", ""), folder, "the folder of the files")
	}
	problems := make([]shape.Problem, len(all))
	for i, p := range all {
		p.File = strings.TrimPrefix(p.File, folder+"/")
		p.Text, p.Hint = within(p.Text), within(p.Hint)
		problems[i] = p
	}
	return problems
}
