//go:build unix

package secret

import (
	"fmt"
	"os"
	"syscall"
)

// checkPrivate refuses a file or directory that others than its owner can use, as ssh does with its keys, and one that
// belongs to another user, who could change it at will. Root may use everyone's.
func checkPrivate(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if open := info.Mode().Perm() & 0o077; open != 0 {
		return fmt.Errorf("other users of this machine can get at %s (mode %04o); close it with: chmod go= %s", path, info.Mode().Perm(), path)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to another user (id %d); use a store of your own by setting MAYFLY_HOME", path, st.Uid)
	}
	return nil
}
