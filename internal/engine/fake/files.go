package fake

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// The reasons why a file can't be written.
var (
	errReadOnly = errors.New("read-only file system")
	errNoSpace  = errors.New("no space left on device")
)

// files is the file system of a process, by path.
type files struct {
	Files      map[string][]byte
	executable map[string]bool
	writable   []string          // folders
	sizes      map[string]int64  // the limits of folders that have their own
	disk       int64             // the limit of all other folders together
	saved      map[string]string // folders that outlive a success, and the archives on this machine that they are saved to
}

// ReadFile returns the content of a file.
func (f *files) ReadFile(name string) ([]byte, error) {
	data, ok := f.Files[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return data, nil
}

// Executable reports whether a file may be executed.
func (f *files) Executable(name string) bool { return f.executable[name] }

// WriteFile replaces the content of a file, if the folder is writable and the limits allow it.
func (f *files) WriteFile(name string, data []byte) error {
	if !slices.ContainsFunc(f.writable, func(dir string) bool { return below(name, dir) }) {
		return &fs.PathError{Op: "write", Path: name, Err: errReadOnly}
	}
	limit, used, volume := f.disk, int64(len(data)), ""
	for dir, size := range f.sizes {
		if below(name, dir) {
			limit, volume = size, dir
		}
	}
	for other, content := range f.Files {
		if other != name && f.volumeOf(other) == volume {
			used += int64(len(content))
		}
	}
	if used > limit {
		return &fs.PathError{Op: "write", Path: name, Err: errNoSpace}
	}
	f.Files[name] = data
	return nil
}

// volumeOf returns the folder with its own limit that a file is in, or "".
func (f *files) volumeOf(name string) string {
	for dir := range f.sizes {
		if below(name, dir) {
			return dir
		}
	}
	return ""
}

func below(name, dir string) bool { return dir == "/" || strings.HasPrefix(name, dir+"/") }

// mount makes the mounts of the spec, on an image that contains only /etc/passwd.
func (f *files) mount(spec *engine.Spec, local engine.Local) error {
	f.Files = map[string][]byte{"/etc/passwd": []byte("root:x:0:0::/root:/bin/sh\n")}
	f.executable, f.sizes, f.saved, f.disk = map[string]bool{}, map[string]int64{}, map[string]string{}, spec.Resources.Disk
	f.writable = append([]string{"/tmp", "/root"}, spec.Volumes...)
	if spec.WorkingDir != "" {
		f.writable = append(f.writable, spec.WorkingDir)
	}
	if spec.Security.Writable {
		f.writable = []string{"/"}
	}
	if spec.Mocks != nil && spec.Mocks.Authority != nil {
		f.Files["/etc/ssl/cert.pem"] = spec.Mocks.Authority
	}
	for _, m := range spec.Mounts {
		if err := f.mountOne(m, local); err != nil {
			return fmt.Errorf("mount %s: %w", m.Target, err)
		}
	}
	return nil
}

func (f *files) mountOne(m engine.Mount, local engine.Local) error {
	folder := local.Folders[m.Folder]
	switch m.Kind {
	case engine.MountContent:
		f.Files[m.Target], f.executable[m.Target] = m.Content, m.Executable
		return nil
	case engine.MountSecret:
		f.Files[m.Target] = local.Secrets[m.Secret]
		return nil
	case engine.MountFile:
		return f.copyIn(folder, m.Path, m.Target)
	}
	f.writable = append(f.writable, m.Target)
	if m.Size > 0 {
		f.sizes[m.Target] = m.Size
	}
	file := filepath.Join(folder, filepath.FromSlash(m.Path)+".tar")
	switch m.Kind {
	case engine.MountCache:
		f.saved[m.Target] = file
		if err := f.restore(file, m.Target); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	case engine.MountArtifact:
		f.saved[m.Target] = file
	case engine.MountHanded:
		return f.restore(file, m.Target)
	}
	return nil
}

// copyIn reads a file, or a folder of files. It follows no link out of the folder.
func (f *files) copyIn(folder, name, target string) error {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	info, err := root.Stat(name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		f.Files[target], err = root.ReadFile(name)
		return err
	}
	return fs.WalkDir(root.FS(), name, func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f.Files[path.Join(target, strings.TrimPrefix(at, name))], err = root.ReadFile(at)
		return err
	})
}

// restore reads a folder that a run saved.
func (f *files) restore(file, target string) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	for r := tar.NewReader(in); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if f.Files[path.Join(target, h.Name)], err = io.ReadAll(r); err != nil {
			return err
		}
	}
}

// save writes the folders that outlive a success.
func (f *files) save() error {
	for target, file := range f.saved {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, name := range slices.Sorted(maps.Keys(f.Files)) {
			if !below(name, target) {
				continue
			}
			h := &tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(name, target+"/"), Size: int64(len(f.Files[name])), Mode: 0o644}
			if err := w.WriteHeader(h); err != nil {
				return err
			}
			if _, err := w.Write(f.Files[name]); err != nil {
				return err
			}
		}
		if err := errors.Join(w.Close(), os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, b.Bytes(), 0o600)); err != nil {
			return err
		}
	}
	return nil
}
