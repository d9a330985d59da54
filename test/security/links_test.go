//go:build linux

package security

import (
	"archive/tar"

	"github.com/mayfly-run/mayfly/internal/image/imagetest"
)

// link returns a symbolic link of an image.
func link(name, to string) imagetest.File {
	return imagetest.File{Name: name, Type: tar.TypeSymlink, Link: to}
}
