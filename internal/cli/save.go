package cli

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mayfly-run/mayfly/internal/atomicfile"
)

// writeFile calls write to write a file. An existing file stays as it is until everything is written. A device or a pipe is
// written to directly.
func writeFile(name string, write func(io.Writer) error) (err error) {
	mode, exists := fs.FileMode(0o666), false
	switch info, err := os.Stat(name); {
	case err == nil && info.Mode().IsRegular():
		mode, exists = info.Mode().Perm(), true
		if name, err = filepath.EvalSymlinks(name); err != nil { // the file is replaced, not the link to it
			return err
		}
	case err == nil:
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(f), f.Close())
	case !errors.Is(err, fs.ErrNotExist):
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
