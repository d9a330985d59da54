package cli

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mayfly-run/mayfly/internal/atomicfile"
)

// writeFile calls write to write a file. An existing file stays as it is until everything is written. If name is a symbolic link, what
// it leads to is replaced or made, and not the link. A device or a pipe is written to directly.
func writeFile(name string, write func(io.Writer) error) (err error) {
	mode, exists := fs.FileMode(0o666), false
	switch info, err := os.Stat(name); {
	case err == nil && info.Mode().IsRegular():
		mode, exists = info.Mode().Perm(), true
	case err == nil:
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(f), f.Close())
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if name, err = followLinks(name); err != nil {
		return err
	}
	f, err := atomicfile.Create(name, atomicfile.Options{Mode: mode, Prefix: ".mayfly-"})
	if err != nil {
		return err
	}
	stop := onEndingSignal(func() { _ = os.Remove(f.Name()) })
	defer stop()
	err = write(f)
	if err == nil && exists {
		err = f.Chmod(mode) // without the umask
	}
	if err == nil {
		err = f.Commit()
	}
	return errors.Join(err, f.Close())
}

// followLinks returns where a path leads, even if nothing is there yet, as open(2) does with O_CREAT.
func followLinks(name string) (string, error) {
	path := name
	for range 40 { // as many as Linux follows (path_resolution(7))
		to, err := os.Readlink(path)
		if err != nil {
			return path, nil //nolint:nilerr // it isn't a link
		}
		if !filepath.IsAbs(to) {
			dir, _ := filepath.Split(path)
			to = dir + to
		}
		path = to
	}
	return "", &fs.PathError{Op: "open", Path: name, Err: errors.New("too many symbolic links")}
}
