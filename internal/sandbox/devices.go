package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// deviceNodes are the devices in a sandbox's /dev, except its terminals (null(4), full(4), random(4), tty(4)).
var deviceNodes = []struct {
	name         string
	major, minor uint32
}{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}}

// ownDevices makes device nodes for this run alone. libcontainer would mount the
// host's, and an inotify mark or a lock on one (inotify(7), flock(2)) would
// affect the host and all other runs. Without CAP_MKNOD, which an ordinary user
// lacks, it makes none, libcontainer mounts the host's, and doctor reports it.
//
// The nodes belong to the host's root, so no user of the sandbox can change them.
func (r *rootfs) ownDevices() ([]specs.Mount, error) {
	dir := filepath.Join(r.dir, "devices")
	if err := os.Mkdir(dir, 0o711); err != nil {
		return nil, err
	}
	// They need their own file system: that of the tool's files is mounted without devices.
	if err := unix.Mount("mayfly-devices", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "size=4096,nr_inodes=16,mode=0711"); err != nil {
		return nil, fmt.Errorf("mount the memory file system for devices: %w", err)
	}
	var mounts []specs.Mount
	for _, d := range deviceNodes {
		source := filepath.Join(dir, d.name)
		err := unix.Mknod(source, unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor)))
		if errors.Is(err, unix.EPERM) {
			return nil, nil
		}
		if err == nil {
			err = unix.Chmod(source, 0o666) // after the umask, which clears bits
		}
		if err != nil {
			return nil, fmt.Errorf("make the device %s: %w", d.name, err)
		}
		// The mount keeps its attributes. With more options here it would be mounted again.
		mounts = append(mounts, specs.Mount{Destination: "/dev/" + d.name, Type: "bind", Source: source, Options: []string{"bind"}})
	}
	return mounts, nil
}
