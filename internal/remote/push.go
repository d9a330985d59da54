package remote

import (
	"bytes"
	"context"
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

// Send sends what the server doesn't have of a definition's files, and returns the bundle. file is the definition. With
// whole, all of its folder belongs to it; otherwise only what the definition names.
func (r *Remote) Send(ctx context.Context, file string, def *definition.Definition, whole bool) (*api.Bundle, Sent, error) {
	var sent Sent
	paths := []string{"."}
	if !whole {
		paths = named(def.Tool)
	}
	b, contents, err := bundle(filepath.Dir(file), filepath.Base(file), paths)
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
	if t == nil {
		return nil
	}
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

const (
	// mostFiles and mostBytes are what a server takes.
	mostFiles = 10_000
	mostBytes = 256 << 20
)

// bundle reads the files of a folder.
func bundle(dir, file string, paths []string) (*api.Bundle, map[string][]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	b := &api.Bundle{Definition: file}
	contents := map[string][]byte{}
	have := map[string]bool{}
	size := 0
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
		data, err := root.ReadFile(name)
		if err != nil {
			return fmt.Errorf("file %s: %w", name, err)
		}
		if size += len(data); size > mostBytes || len(b.Files) == mostFiles {
			return fmt.Errorf("the folder of %s has more than %d files or %d MiB; move what isn't the tool's out of it", file, mostFiles, mostBytes>>20)
		}
		digest := archive.Digest(data)
		contents[digest] = data
		b.Files = append(b.Files, api.File{Path: name, Digest: digest, Size: int64(len(data)), Executable: info.Mode()&0o111 != 0})
		return nil
	}
	for _, p := range append([]string{file}, paths...) {
		err := fs.WalkDir(root.FS(), path.Clean(p), func(name string, d fs.DirEntry, err error) error {
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
