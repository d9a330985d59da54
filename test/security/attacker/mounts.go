//go:build linux

package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// mounts tries to mount file systems, above all the cgroup hierarchies: the kernel runs the release_agent of cgroup v1 as the
// host's root (cgroups(7), "Cgroups v1 release notification"). It then tries the same, with the argument "child", in new
// namespaces in which it is root.
func mounts(args []string) {
	at := "/tmp/at"
	if err := os.MkdirAll(at, 0o755); err != nil {
		report("mkdir "+at, err)
	}
	for _, controller := range []string{"memory", "pids", "devices", "freezer", "rdma", "name=attack"} {
		err := unix.Mount("cgroup", at, "cgroup", 0, controller)
		report("cgroup "+controller, err)
		if err == nil {
			report("release_agent", os.WriteFile(at+"/release_agent", []byte("/tmp/agent"), 0o644))
			report("notify_on_release", os.WriteFile(at+"/notify_on_release", []byte("1"), 0o644))
		}
	}
	report("cgroup2", unix.Mount("none", at, "cgroup2", 0, ""))
	for _, kind := range []string{"tmpfs", "proc", "sysfs", "devpts", "mqueue", "overlay", "ext4", "debugfs", "securityfs", "bpf", "fuse"} {
		report("mount "+kind, unix.Mount("none", at, kind, 0, ""))
	}
	report("bind", unix.Mount("/", at, "", unix.MS_BIND|unix.MS_REC, ""))
	report("remount", unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND, ""))
	report("remount proc/sys", unix.Mount("", "/proc/sys", "", unix.MS_REMOUNT|unix.MS_BIND, ""))
	report("shared", unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""))
	report("umount proc/sys", unix.Unmount("/proc/sys", unix.MNT_DETACH))
	report("pivot_root", unix.PivotRoot("/", "/tmp"))
	report("chroot", unix.Chroot("/tmp"))
	_, err := unix.Fsopen("cgroup", 0)
	report("fsopen", err)
	_, err = unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE)
	report("open_tree", err)
	report("mount_setattr", unix.MountSetattr(unix.AT_FDCWD, "/", 0, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY}))
	ownCgroup()
	if len(args) == 0 {
		c := exec.Command("/proc/self/exe", "mounts", "child")
		c.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		}
		c.Stdout = os.Stdout
		report("unshare -Ur", c.Run())
	}
}

// ownCgroup tries to change the cgroups that are mounted in the sandbox, and to find others than the run's own there.
func ownCgroup() {
	_ = filepath.WalkDir("/sys/fs/cgroup", func(at string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			report("walk "+at, err)
		case d.Name() == "release_agent":
			report("found "+at, nil)
		case d.IsDir():
			report("mkdir in "+at, os.Mkdir(filepath.Join(at, "child"), 0o755))
			report("remount "+at, unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_BIND, ""))
			report("umount "+at, unix.Unmount(at, unix.MNT_DETACH))
		default:
			f, err := os.OpenFile(at, os.O_WRONLY, 0)
			report("write "+at, err)
			_ = f.Close()
		}
		return nil
	})
}
