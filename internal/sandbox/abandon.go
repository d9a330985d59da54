package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/oci/wire"
)

// abandon removes the run's directory and the shim's own cgroup after mayfly has
// gone. It removes only empty directories, and the run's last, by which a sweep finds what is left.
func abandon(start *wire.Start) error {
	root := filepath.Join(start.Dir, "root")
	if err := unix.Unmount(root, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("unmount %s: %w", root, err)
	}
	if err := leaveCgroup(start.OwnCgroup, start.LeaveTo); err != nil {
		return err
	}
	return errors.Join(unix.Rmdir(root), unix.Unlink(filepath.Join(start.Dir, "lock")), unix.Rmdir(start.Dir))
}

func leaveCgroup(own, to string) error {
	if own == "" {
		return nil // in tests
	}
	if err := os.WriteFile(to, []byte(strconv.Itoa(os.Getpid())), 0); err != nil {
		return fmt.Errorf("leave the cgroup %s: %w", own, err)
	}
	if err := unix.Rmdir(own); err != nil {
		return fmt.Errorf("remove the cgroup %s: %w", own, err)
	}
	return nil
}
