//go:build unix

package tempdir

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/flock"
)

// lockDir locks a directory with flock(2), whose locks end with the process, even after kill -9. The directory must belong to this
// user. The lock is nil if another process holds it or has removed the directory.
func lockDir(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || int(st.Uid) != os.Geteuid() {
		return nil, errors.Join(err, f.Close(), fs.ErrPermission)
	}
	ok, err := flock.Try(f, flock.Exclusive)
	if err == nil && ok && flock.Named(f) {
		return f, nil
	}
	f.Close()
	return nil, err
}
