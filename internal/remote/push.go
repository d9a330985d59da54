package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/api"
	"github.com/mayfly-run/mayfly/internal/archive"
	"github.com/mayfly-run/mayfly/internal/tool"
	"github.com/mayfly-run/mayfly/internal/workflow/definition"
)

// Sent says how much of a bundle was sent.
type Sent struct {
	Files, Bytes       int64 // of the bundle
	NewFiles, NewBytes int64 // that the server didn't have
}

// Part says what goes with a definition.
type Part int

const (
	// Own is what the definition names by path: the script and the files of volumes, and of a workflow its tools with theirs.
	Own Part = iota
	// Named is Own with the tools that a workflow names and that are found here.
	Named
	// Folder is all of the definition's folder.
	Folder
)

// Send sends what the server doesn't have of a definition's files, and returns the bundle. file is the definition.
func (r *Remote) Send(ctx context.Context, file string, def *definition.Definition, what Part) (*api.Bundle, Sent, error) {
	var sent Sent
	parts, err := partsOf(file, def, what)
	if err != nil {
		return nil, sent, err
	}
	b, contents, err := bundle(parts)
	if err != nil {
		return nil, sent, err
	}
	digests := []string{}
	for _, f := range b.Files {
		sent.Files, sent.Bytes = sent.Files+1, sent.Bytes+f.Size
		digests = append(digests, f.Digest)
	}
	slices.Sort(digests)
	missing, err := r.Missing(ctx, r.Project, slices.Compact(digests))
	if err != nil {
		return nil, sent, err
	}
	for _, digest := range missing {
		data, ok := contents[digest]
		if !ok {
			return nil, sent, fmt.Errorf("the server asks for the content %s, which isn't in the folder", digest)
		}
		if err := r.PutContent(ctx, r.Project, digest, bytes.NewReader(data)); err != nil {
			return nil, sent, err
		}
		sent.NewFiles, sent.NewBytes = sent.NewFiles+1, sent.NewBytes+int64(len(data))
	}
	return b, sent, nil
}

// SendText sends a definition that isn't in a file.
func (r *Remote) SendText(ctx context.Context, text string) (*api.Bundle, error) {
	digest := archive.Digest([]byte(text))
	err := r.PutContent(ctx, r.Project, digest, strings.NewReader(text))
	return &api.Bundle{Definition: "tool.yaml", Files: []api.File{{Path: "tool.yaml", Digest: digest, Size: int64(len(text))}}}, err
}

// named are the files and folders that a tool's definition names.
func named(t *tool.Tool) (paths []string) {
	if t.Script != nil && t.Script.File != "" {
		paths = append(paths, t.Script.File)
	}
	for _, v := range t.Volumes {
		if v.File != "" {
			paths = append(paths, v.File)
		}
	}
	return paths
}

// parts are the files and folders of a bundle, in a folder that has them all.
type parts struct {
	dir   string
	file  string // the definition, in dir
	paths []string
}

// partsOf finds what goes with a definition.
func partsOf(file string, def *definition.Definition, what Part) (*parts, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	dir := filepath.Dir(file)
	if what == Folder {
		return &parts{dir: dir, file: filepath.Base(file), paths: []string{"."}}, nil
	}
	all := []string{file}
	add := func(t *tool.Tool, dir string) {
		for _, p := range named(t) {
			all = append(all, filepath.Join(dir, p))
		}
	}
	if def.Workflow == nil {
		add(def.Tool, dir)
		return within(all)
	}
	for _, step := range def.Workflow.All() {
		if step.Uses.Tool != nil {
			add(step.Uses.Tool, dir)
			continue
		}
		path, err := toolFile(dir, step.Uses.Name, what == Named)
		if err != nil {
			return nil, err
		}
		if path == "" {
			continue
		}
		t, err := tool.Load(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("the tool of step %s: there is no file %s", step.Name, path)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, path)
		add(t, filepath.Dir(path))
	}
	return within(all)
}

// toolFile returns the file of a step's tool, or "" if the server has to have it.
func toolFile(dir, name string, byName bool) (string, error) {
	switch {
	case definition.IsPath(name) && filepath.IsAbs(name):
		return "", fmt.Errorf("the tool %s is an absolute path, which is not in the workflow's folder; give it relative to the workflow", name)
	case definition.IsPath(name):
		return filepath.Join(dir, filepath.FromSlash(name)), nil
	case !byName:
		return "", nil
	}
	found, err := definition.Find(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return found.File, err
}

// isIn reports whether a file is in a folder or in one below it.
func isIn(dir, file string) bool {
	name, err := filepath.Rel(dir, file)
	return err == nil && filepath.IsLocal(name)
}

// within returns files relative to the nearest folder that has them all. The first is the definition.
func within(files []string) (*parts, error) {
	dir := filepath.Dir(files[0])
	for _, f := range files {
		for !isIn(dir, f) {
			above := filepath.Dir(dir)
			if above == dir { // on another volume
				return nil, fmt.Errorf("no folder has both %s and %s; move them into one", files[0], f)
			}
			dir = above
		}
	}
	p := &parts{dir: dir}
	for i, f := range files {
		name, err := filepath.Rel(dir, f)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			p.file = filepath.ToSlash(name)
			continue
		}
		p.paths = append(p.paths, filepath.ToSlash(name))
	}
	return p, nil
}

const (
	// mostFiles and mostBytes are what a server takes.
	mostFiles = 10_000
	mostBytes = 256 << 20
)

// bundle reads the files of a bundle.
func bundle(p *parts) (*api.Bundle, map[string][]byte, error) {
	root, err := os.OpenRoot(p.dir)
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	b := &api.Bundle{Definition: p.file}
	contents := map[string][]byte{}
	have := map[string]bool{}
	size := int64(0)
	tooLarge := fmt.Errorf("the folder of %s has more than %d files or %d MiB; move what isn't the tool's out of it", p.file, mostFiles, mostBytes>>20)
	add := func(name string, d fs.DirEntry) error {
		if have[name] {
			return nil
		}
		have[name] = true
		info, err := root.Stat(name) // a link inside the folder is sent as what it leads to
		if err != nil {
			return fmt.Errorf("file %s: %w", name, err)
		}
		if !info.Mode().IsRegular() {
			if info.IsDir() && d.Type()&fs.ModeSymlink != 0 {
				return fmt.Errorf("%s is a link to a folder; a server takes files and folders only: replace it with the folder", name)
			}
			return fmt.Errorf("%s is neither a file nor a folder", name)
		}
		if size+info.Size() > mostBytes || len(b.Files) == mostFiles {
			return tooLarge
		}
		data, err := root.ReadFile(name)
		if err != nil {
			return fmt.Errorf("file %s: %w", name, err)
		}
		if size += int64(len(data)); size > mostBytes { // it has grown
			return tooLarge
		}
		digest := archive.Digest(data)
		contents[digest] = data
		b.Files = append(b.Files, api.File{Path: name, Digest: digest, Size: int64(len(data)), Executable: info.Mode()&0o111 != 0})
		return nil
	}
	for _, name := range append([]string{p.file}, p.paths...) {
		err := fs.WalkDir(root.FS(), path.Clean(name), func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && d.Name() == ".git":
				return fs.SkipDir
			case d.IsDir():
				return nil
			}
			return add(name, d)
		})
		if err != nil {
			return nil, nil, err
		}
	}
	slices.SortFunc(b.Files, func(x, y api.File) int { return strings.Compare(x.Path, y.Path) })
	return b, contents, nil
}
