package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteInPlace writes to a device or a pipe.
func WriteInPlace(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// Target returns where a path leads that somebody has given for a file to write, and what is there, which is nil if nothing is. Create would put a
// file in the place of a symbolic link, a device or a pipe; what isn't a regular file is to be written as it is.
func Target(path string) (target string, info fs.FileInfo, err error) {
	info, err = os.Stat(path)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return path, info, nil // also /dev/stdout, a link to what has no path
	case errors.Is(err, fs.ErrNotExist):
		info = nil
	case err != nil:
		return "", nil, err
	}
	target, err = followLinks(path)
	return target, info, err
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
