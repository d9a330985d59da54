package cli

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/mayfly-run/mayfly/internal/atomicfile"
)

// writeFile calls write to write a file. An existing file stays as it is until everything is written. If name is a symbolic link, what
// it leads to is replaced or made, and not the link. A device or a pipe is written to directly.
func writeFile(name string, write func(io.Writer) error) (err error) {
	name, info, err := atomicfile.Target(name)
	if err != nil {
		return err
	}
	mode, exists := fs.FileMode(0o666), false
	switch {
	case info == nil:
	case info.Mode().IsRegular():
		mode, exists = info.Mode().Perm(), true
	default:
		return atomicfile.WriteInPlace(name, write)
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
