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

// lockDir locks a directory of this user's with flock(2), which a kill -9 releases. The lock is nil where another
// process has it, or has removed the folder.
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
