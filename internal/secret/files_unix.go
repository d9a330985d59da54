//go:build unix

package secret

import (
	"fmt"
	"os"
	"syscall"
)

// checkPrivate returns an error for a file or directory that other users can access, as ssh does for its keys, and for one that
// belongs to another user, who could change it at any time. Root may use every user's files.
func checkPrivate(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if open := info.Mode().Perm() & 0o077; open != 0 {
		return fmt.Errorf("other users of this machine can access %s (mode %04o); to prevent that: chmod go= %s", path, info.Mode().Perm(), path)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to another user (id %d); set MAYFLY_HOME to use your own store", path, st.Uid)
	}
	return nil
}
