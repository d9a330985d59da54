//go:build !linux

package atomicfile

import (
	"errors"
	"io/fs"
	"os"
)

func createUnnamed(dir string, _ fs.FileMode) (*os.File, error) {
	return nil, &fs.PathError{Op: "create", Path: dir, Err: errors.ErrUnsupported}
}

func nameUnnamed(*os.File, string) error { return errors.ErrUnsupported }
