package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
)

// linkCommands puts links to a test's mocked commands where a tool finds commands without the PATH that it is started with: at
// every path at which the image has a program with that name, and in the folders of the usual PATH, which scripts and login
// shells set again. argv is the tool's own command. If it names a program by its path, that program is the one under test,
// and stays.
func (r *rootfs) linkCommands(m *engine.Mocks, argv, env []string) error {
	if m == nil || len(m.Commands) == 0 {
		return nil
	}
	paths, err := r.imageFiles(func(name string) bool { return slices.Contains(m.Commands, name) })
	if err != nil {
		return err
	}
	paths = slices.DeleteFunc(paths, func(at string) bool { return !r.isProgram(at) })
	for _, dir := range r.searchPath(env) {
		for _, name := range m.Commands {
			paths = append(paths, path.Join(dir, name))
		}
	}
	own, err := r.ownProgram(argv[0])
	if err != nil {
		return err
	}
	for _, at := range paths {
		if err := r.linkCommand(at, own); err != nil {
			return fmt.Errorf("put the mocked command at %s of the sandbox: %w", at, err)
		}
	}
	return nil
}

// ownProgram returns the paths on the host of a program that is named by its path: of all links on the way, and of the program.
func (r *rootfs) ownProgram(at string) (paths []string, err error) {
	if !path.IsAbs(at) {
		return nil, nil
	}
	for range maxLinks {
		host, err := r.inFolder(at)
		if err != nil {
			return nil, err
		}
		paths = append(paths, host)
		target, err := os.Readlink(host)
		if err != nil {
			return paths, nil //nolint:nilerr // it isn't a link, or doesn't exist; executing it reports that
		}
		if at = target; !path.IsAbs(target) {
			at = path.Join(strings.TrimPrefix(path.Dir(host), r.root), target)
		}
	}
	return paths, nil
}

// maxLinks is the number of links that Linux follows (path_resolution(7)).
const maxLinks = 40

// searchPath returns the folders of the usual PATH, and those of the tool's own PATH that exist in the image.
func (r *rootfs) searchPath(env []string) []string {
	usual := strings.Split(defaultPath, ":")
	dirs := slices.Clone(usual)
	for _, kv := range env {
		if list, ok := strings.CutPrefix(kv, "PATH="); ok {
			dirs = append(dirs, strings.Split(list, ":")...)
		}
	}
	return slices.DeleteFunc(dirs, func(dir string) bool {
		if !path.IsAbs(dir) || r.onToolMount(dir) || r.checkPlace("PATH", dir) != nil {
			return true
		}
		host, err := r.inRoot(dir)
		if err != nil {
			return true
		}
		info, err := os.Lstat(host)
		if errors.Is(err, fs.ErrNotExist) {
			return !slices.Contains(usual, dir)
		}
		return err != nil || !info.IsDir()
	})
}

// linkCommand makes a path of the sandbox a link to the mocked command with its name, unless it is in own: the paths on the
// host of the tool's own program.
func (r *rootfs) linkCommand(at string, own []string) error {
	if r.onToolMount(at) {
		return nil
	}
	host, err := r.inFolder(at)
	if err != nil || slices.Contains(own, host) {
		return err
	}
	// An existing folder keeps its mode; mkdirAll would open it for others.
	if _, err := os.Lstat(filepath.Dir(host)); errors.Is(err, fs.ErrNotExist) {
		_, err = r.mkdirAll(path.Dir(at))
		if err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	switch info, err := os.Lstat(host); {
	case err == nil && info.IsDir():
		return nil // nobody executes it
	case err == nil:
		err = os.Remove(host)
		if err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	err = os.Symlink(filepath.Join(commandsDir, path.Base(at)), host)
	if errors.Is(err, unix.ENOSPC) {
		err = fmt.Errorf("it doesn't fit the disk limit; raise resources.disk: %w", err)
	}
	if err != nil {
		return err
	}
	return os.Lchown(host, r.firstID, r.firstID)
}

// inFolder is like inRoot, but doesn't follow the last element if it is a link.
func (r *rootfs) inFolder(at string) (string, error) {
	dir, err := r.inRoot(path.Dir(at))
	return filepath.Join(dir, path.Base(at)), err
}

// isProgram reports whether a file of the image, or the file that a link leads to, can be executed.
func (r *rootfs) isProgram(at string) bool {
	host, err := r.inRoot(at)
	if err != nil {
		return false
	}
	info, err := os.Lstat(host)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}
