//go:build linux

package oci

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/oci/wire"
)

// Probe implements [engine.Prober]. It checks what this host can enforce, and
// tries it if that has no effects. store is the directory of unpacked images.
func (e *Engine) Probe(store string) []engine.Check {
	return slices.Concat(
		[]engine.Check{e.probeUser(), probeKernel(), probeUserNamespaces(), probeIDMap(store), probeOverlay(), probeTUN(), probeSeccomp()},
		e.probeCgroups(), e.probeCapabilities(),
		[]engine.Check{e.probeDevices(), probeOpenFiles(), probeSocketMemory(), probeSwap(), probeSockets(), probeSwapped(), probeLandlock(), e.probeAppArmor(), e.probeGVisor(), ok("mayfly-shim", e.shim), e.probeLeftovers(), e.probeStuck()},
	)
}

func ok(feature, detail string) engine.Check {
	return engine.Check{Feature: feature, Status: engine.CheckOK, Detail: detail}
}

func missing(feature, detail, remedy string) engine.Check {
	return engine.Check{Feature: feature, Status: engine.CheckMissing, Detail: detail, Remedy: remedy}
}

func absent(feature, detail, remedy string) engine.Check {
	return engine.Check{Feature: feature, Status: engine.CheckAbsent, Detail: detail, Remedy: remedy}
}

func (e *Engine) probeUser() engine.Check {
	if e.rootless == nil {
		return ok("user", "root")
	}
	return ok("user", "an ordinary user: runs are rootless, and share the user's subordinate ids")
}

func probeKernel() engine.Check {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return missing("kernel", err.Error(), "")
	}
	release := unix.ByteSliceToString(uts.Release[:])
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return missing("kernel", "unknown release "+release, "")
	}
	if major < 5 || major == 5 && minor < 19 {
		return missing("kernel", release, "Linux 5.19 or later is needed, for id-mapped overlay layers")
	}
	return ok("kernel", release)
}

func probeUserNamespaces() engine.Check {
	const feature = "user namespaces"
	data, err := os.ReadFile("/proc/sys/user/max_user_namespaces")
	if err != nil {
		return missing(feature, err.Error(), "use a kernel with CONFIG_USER_NS")
	}
	if strings.TrimSpace(string(data)) == "0" {
		return missing(feature, "user.max_user_namespaces is 0", "sysctl -w user.max_user_namespaces=15000")
	}
	return ok(feature, "")
}

// probeIDMap checks whether the store's file system is one of those that support
// id-mapped mounts (mount_setattr(2)). If the store doesn't exist yet, it looks
// at the nearest folder above it.
func probeIDMap(store string) engine.Check {
	const feature = "id-mapped image layers"
	at := store
	for {
		if _, err := os.Stat(at); err == nil || at == "/" {
			break
		}
		at = filepath.Dir(at)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(at, &st); err != nil {
		return missing(feature, err.Error(), "")
	}
	names := map[int64]string{
		unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
		unix.TMPFS_MAGIC: "tmpfs", 0xf2f52010: "f2fs", 0xe0f5e1e2: "erofs",
	}
	if name, known := names[st.Type]; known {
		return ok(feature, fmt.Sprintf("%s is on %s", at, name))
	}
	return missing(feature, fmt.Sprintf("%s is on a file system of type %#x, which may not take id-mapped mounts", at, st.Type), "set MAYFLY_HOME to a folder on ext4, xfs, btrfs or tmpfs")
}

// probeOverlay makes the kernel load overlayfs, as a mount does.
func probeOverlay() engine.Check {
	overlay, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if errors.Is(err, unix.EPERM) {
		return ok("overlayfs", "the first run loads it") // an ordinary user's process needs its own mount namespace first
	}
	if err != nil {
		return missing("overlayfs", err.Error(), "modprobe overlay")
	}
	_ = unix.Close(overlay)
	return ok("overlayfs", "")
}

func probeTUN() engine.Check {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if errors.Is(err, fs.ErrPermission) {
		return missing("TUN devices, for networks", err.Error(), "as root: chmod 0666 /dev/net/tun; until then only tools with network: none run")
	}
	if err != nil {
		return missing("TUN devices, for networks", err.Error(), "modprobe tun; until then only tools with network: none run")
	}
	_ = f.Close()
	return ok("TUN devices, for networks", "")
}

func probeSeccomp() engine.Check {
	data, err := os.ReadFile("/proc/sys/kernel/seccomp/actions_avail")
	if err != nil {
		return missing("seccomp", err.Error(), "use a kernel with CONFIG_SECCOMP_FILTER")
	}
	return ok("seccomp", strings.TrimSpace(string(data)))
}

// limits are the limits that need a cgroup controller.
var limits = []struct{ feature, controller string }{
	{"memory limit", "memory"}, {"cpu limit", "cpu"}, {"pids limit", "pids"},
}

func (e *Engine) probeCgroups() []engine.Check {
	v2, err := unified()
	if err != nil {
		return []engine.Check{missing("cgroups", err.Error(), "mount cgroups on "+cgroupRoot)}
	}
	checks := make([]engine.Check, len(limits))
	for i, l := range limits {
		if v2 {
			checks[i] = e.probeUnified(l.feature, l.controller)
		} else {
			checks[i] = e.probeHierarchy(l.feature, l.controller)
		}
	}
	return checks
}

// probeUnified checks for a controller of cgroup v2.
func (e *Engine) probeUnified(feature, controller string) engine.Check {
	dir, remedy := cgroupRoot, "boot with it enabled"
	if e.rootless != nil {
		if e.rootless.Cgroup == "" {
			return missing(feature, "this process isn't in a cgroup of its user", noScope)
		}
		dir = filepath.Join(cgroupRoot, e.rootless.Cgroup)
		remedy = "as root, let users have it: in /etc/systemd/system/user@.service.d/delegate.conf, [Service] Delegate=cpu memory pids; log in again"
	}
	list, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return missing(feature, err.Error(), "")
	}
	if !slices.Contains(strings.Fields(string(list)), controller) {
		return missing(feature, fmt.Sprintf("the cgroup %s has no %s controller", dir, controller), remedy)
	}
	if err := e.writableCgroup(cgroupRoot); err != nil {
		return missing(feature, err.Error(), "run mayfly as root")
	}
	return ok(feature, "cgroup v2")
}

// probeHierarchy checks for a controller of cgroup v1.
func (e *Engine) probeHierarchy(feature, controller string) engine.Check {
	dir := filepath.Join(cgroupRoot, controller)
	if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err != nil {
		return missing(feature, "no cgroup v1 "+controller+" hierarchy is mounted on "+dir, "mount -t cgroup -o "+controller+" cgroup "+dir)
	}
	if err := e.writableCgroup(dir); err != nil {
		remedy := "run mayfly as root"
		if e.rootless != nil {
			remedy = fmt.Sprintf("ask root to delegate cgroups to this user: mayfly doctor --delegate %d", e.rootless.UID)
		}
		return missing(feature, err.Error(), remedy)
	}
	return ok(feature, "cgroup v1")
}

// writableCgroup returns an error if runs' cgroups can't be made in the hierarchy at dir.
func (e *Engine) writableCgroup(dir string) error {
	parent := filepath.Join(dir, e.cgroupParent())
	err := unix.Access(parent, unix.W_OK)
	if errors.Is(err, fs.ErrNotExist) && e.rootless == nil {
		parent = dir
		err = unix.Access(parent, unix.W_OK)
	}
	if err != nil {
		return fmt.Errorf("no cgroup can be made in %s: %w", parent, err)
	}
	return nil
}

func probeSwap() engine.Check {
	const feature = "memory limit counts swap"
	if _, err := os.Stat(filepath.Join(cgroupRoot, "memory", "memory.limit_in_bytes")); err != nil {
		return ok(feature, "cgroup v2")
	}
	if _, err := os.Stat(filepath.Join(cgroupRoot, "memory", "memory.memsw.limit_in_bytes")); err == nil {
		return ok(feature, "cgroup v1")
	}
	areas, err := swapAreas()
	if err != nil {
		return missing(feature, err.Error(), "")
	}
	if len(areas) > 0 {
		return missing(feature, "the kernel doesn't count swap, and this host has swap", "boot with swapaccount=1, or swapoff -a")
	}
	return ok(feature, "this host has no swap")
}

// probeSockets checks whether a cgroup counts the kernel's memory for sockets.
func probeSockets() engine.Check {
	const feature = "memory limit of sockets"
	v2, err := unified()
	if err != nil {
		return missing(feature, err.Error(), "")
	}
	if v2 {
		cmdline, err := os.ReadFile("/proc/cmdline")
		if err != nil {
			return missing(feature, err.Error(), "")
		}
		if noSocketMemory(string(cmdline)) {
			return missing(feature, "the kernel was booted with cgroup.memory=nosocket", "boot without it")
		}
		return ok(feature, "cgroup v2")
	}
	if _, err := os.Stat(filepath.Join(cgroupRoot, "memory", wire.SocketLimitFile)); err != nil {
		return missing(feature, "this kernel's cgroup v1 has no "+wire.SocketLimitFile, "use cgroup v2, or a kernel with CONFIG_MEMCG_V1")
	}
	return ok(feature, "cgroup v1: a quarter of the memory limit, at most 32 MiB, in addition to it; v1 doesn't count connections that nobody has accepted, nor parts of datagrams and packets: they are bounded by number (docs/SECURITY.md)")
}

// enoughOpenFiles is more than three runs can open: an open file takes about 200 bytes of a run's memory limit, so a run with
// 512 MiB has at most 2.7 million.
const enoughOpenFiles = 10_000_000

const featureOpenFiles = "the host's open files"

// probeOpenFiles checks whether a few runs could take all open files of the host.
func probeOpenFiles() engine.Check {
	data, err := os.ReadFile("/proc/sys/fs/file-max")
	if err != nil {
		return absent(featureOpenFiles, err.Error(), "")
	}
	return checkFileMax(strings.TrimSpace(string(data)))
}

// checkFileMax checks fs.file-max (proc_sys_fs(5)), which all runs share.
func checkFileMax(value string) engine.Check {
	most, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return absent(featureOpenFiles, "fs.file-max: "+err.Error(), "")
	}
	if most < enoughOpenFiles {
		return absent(featureOpenFiles, fmt.Sprintf("at most %d (fs.file-max); runs with much memory can take them all, and then only root can open a file", most),
			"sysctl -w fs.file-max=9223372036854775807, as systemd does at boot")
	}
	return ok(featureOpenFiles, "")
}

// The bytes that the sockets of one run can hold. On cgroup v1 the limits are 32 MiB for the tool and 128 MiB for the shim. On
// v2 they are the default memory limit of 512 MiB, and less than 256 MiB for the shim's buffers.
const (
	socketsOfARunV1 = (32 + 128) << 20
	socketsOfARunV2 = (512 + 256) << 20
)

const featureSocketMemory = "memory for the host's sockets"

// probeSocketMemory checks whether one run could take all of the host's memory for connections.
func probeSocketMemory() engine.Check {
	v2, err := unified()
	if err != nil {
		return absent(featureSocketMemory, err.Error(), "")
	}
	data, err := os.ReadFile("/proc/sys/net/ipv4/tcp_mem")
	if err != nil {
		return absent(featureSocketMemory, err.Error(), "")
	}
	if v2 {
		return checkTCPMem(string(data), socketsOfARunV2)
	}
	return checkTCPMem(string(data), socketsOfARunV1)
}

// checkTCPMem checks net.ipv4.tcp_mem, the limits in pages of all connections together (tcp(7)), which all runs share. run is
// the bytes that one run can hold.
func checkTCPMem(value string, run int64) engine.Check {
	marks := strings.Fields(value)
	if len(marks) != 3 {
		return absent(featureSocketMemory, fmt.Sprintf("net.ipv4.tcp_mem is %q", value), "")
	}
	pages, err := strconv.ParseInt(marks[2], 10, 64)
	if err != nil {
		return absent(featureSocketMemory, "net.ipv4.tcp_mem: "+err.Error(), "")
	}
	if most := pages * int64(os.Getpagesize()); most < run {
		return absent(featureSocketMemory, fmt.Sprintf("%d MiB for TCP (net.ipv4.tcp_mem), of which one run can take %d", most>>20, run>>20),
			fmt.Sprintf("sysctl -w net.ipv4.tcp_mem='%[1]d %[1]d %[2]d'", run/int64(os.Getpagesize()), 2*run/int64(os.Getpagesize())))
	}
	return ok(featureSocketMemory, "")
}

// noSocketMemory reports whether nosocket is among the values of a kernel's cgroup.memory=.
func noSocketMemory(cmdline string) bool {
	for _, word := range strings.Fields(cmdline) {
		if values, ok := strings.CutPrefix(word, "cgroup.memory="); ok && slices.Contains(strings.Split(values, ","), "nosocket") {
			return true
		}
	}
	return false
}

// probeLandlock checks the version of the interface (landlock_create_ruleset(2)). Version 6 added scopes.
func probeLandlock() engine.Check {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return absent("Landlock", errno.Error(), "boot with landlock in lsm=; the sandbox doesn't depend on it")
	}
	if version < 6 {
		return absent("Landlock", fmt.Sprintf("version %d has no scopes", version), "use Linux 6.12 or later; the sandbox doesn't depend on it")
	}
	return ok("Landlock", fmt.Sprintf("version %d", version))
}

func (e *Engine) probeAppArmor() engine.Check {
	const feature = "AppArmor"
	data, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
	if err != nil || strings.TrimSpace(string(data)) != "Y" {
		return absent(feature, "not active in this kernel", "boot with apparmor=1; the sandbox doesn't depend on it")
	}
	if e.rootless != nil {
		return absent(feature, "only root loads the profile of tools", "run mayfly as root; the sandbox doesn't depend on it")
	}
	if _, err := exec.LookPath("apparmor_parser"); err != nil {
		return absent(feature, "apparmor_parser isn't installed", "apt-get install apparmor; the sandbox doesn't depend on it")
	}
	return ok(feature, "")
}

// probeLeftovers removes what killed runs left, as each start does, and reports what it can't remove.
func (e *Engine) probeLeftovers() engine.Check {
	const feature = "leftovers of killed runs"
	if err := e.Sweep(); err != nil {
		return absent(feature, err.Error(), "remove the named files in "+e.runsDir()+" by hand; named processes end when the kernel lets them, or when the machine restarts")
	}
	return ok(feature, "none")
}

// probeStuck names processes of live runs that were killed and don't end.
func (e *Engine) probeStuck() engine.Check {
	const feature = "processes that can't be killed"
	stuck, err := e.stuckRuns()
	if err != nil {
		return absent(feature, err.Error(), "")
	}
	if len(stuck) > 0 {
		return absent(feature, strings.Join(stuck, "; "), "other runs don't wait for them; read the kernel's log (dmesg), and restart the machine if they stay")
	}
	return ok(feature, "none")
}

func (e *Engine) probeGVisor() engine.Check {
	const feature = "security.runtime gVisor"
	if e.rootless != nil {
		return absent(feature, "it needs root on the host", "as root, run the tools that ask for it")
	}
	path, err := exec.LookPath("runsc")
	if err != nil {
		return absent(feature, "runsc is not installed", "install it to run tools that ask for it")
	}
	return ok(feature, path)
}
