package sandbox

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mayfly-run/mayfly/internal/engine"
	"github.com/mayfly-run/mayfly/internal/network"
	"github.com/mayfly-run/mayfly/internal/oci/wire"
)

// Paths in the sandbox that Mayfly itself uses.
const (
	outputPath  = "/run/mayfly/output"
	defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	fallbackDir = "/workspace"
	rootHome    = "/root"
)

// The paths in /proc and /sys that a tool can't see or can't write to. They are
// those of Docker's list, which can change the host's kernel or reveal its
// secrets, and files that reveal other runs and the host's activity, and that
// tools don't need. A file that one sandbox can change and another can read is a
// channel between them. docs/KERNEL-SURFACE.md lists every file of /proc, with
// the decision about it.
var (
	maskedPaths = []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
		"/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
		"/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
		// They reveal other runs, and the host's activity.
		"/proc/buddyinfo", "/proc/diskstats", "/proc/fs", "/proc/irq", "/proc/key-users", "/proc/locks", "/proc/pressure",
		"/proc/schedstat", "/proc/softirqs", "/proc/sys/fs/aio-nr", "/proc/sys/fs/dentry-state", "/proc/sys/fs/file-nr",
		"/proc/sys/fs/inode-nr", "/proc/sys/fs/inode-state", "/proc/sys/fs/quota", "/proc/sys/kernel/pty", "/proc/vmstat",
		"/proc/zoneinfo", "/sys/devices/system/node", "/sys/devices/virtual/bdi", "/sys/devices/virtual/block", "/sys/kernel",
		// They reveal what the host is.
		"/proc/cmdline", "/proc/consoles", "/proc/driver", "/proc/iomem", "/proc/ioports", "/proc/kallsyms",
		"/proc/modules", "/proc/partitions", "/proc/swaps",
		"/sys/devices/virtual/dmi", "/sys/fs/bcachefs", "/sys/fs/btrfs", "/sys/fs/ext4", "/sys/fs/f2fs", "/sys/fs/nilfs2",
		"/sys/fs/xfs", "/sys/hypervisor", "/sys/module",
	}
	readOnlyPaths = []string{
		"/proc/bus", "/proc/sys", "/proc/sysrq-trigger",
	}
)

// bundle is a sandbox that is ready to start: the OCI runtime configuration and
// a file that the shim keeps open.
type bundle struct {
	oci    *specs.Spec
	output *os.File // the tool's $MAYFLY_OUTPUT, or nil
}

// newBundle fills the sandbox's file system and describes its container.
func newBundle(start *wire.Start, r *rootfs) (*bundle, error) {
	spec := start.Spec
	if err := r.choosePlaces(spec, start.IDCount); err != nil {
		return nil, err
	}
	r.trusting = newTrusting(spec.Mocks)
	if err := r.trustImage(); err != nil {
		return nil, err
	}
	b := &bundle{}
	mounts, err := b.mounts(start, r)
	if err != nil {
		return nil, err
	}
	hostname := hostname(spec.ID)
	if err := r.writeNames(hostname, spec.Network); err != nil {
		return nil, err
	}
	if err := errors.Join(r.nameUser(), r.keepAptRoot(spec)); err != nil {
		return nil, err
	}
	env := withMocks(r.trusting.environment(environment(spec, start.Local.Secrets, r.home, hostname)), spec.Mocks)
	argv := slices.Clone(spec.Args)
	if spec.Mocks != nil {
		r.mayRunMocked = r.mayRunItself(spec, env)
	}
	if err := r.linkCommands(spec.Mocks, argv, env); err != nil {
		return nil, err
	}
	if err := r.checkCommand(argv, env, r.workdir); err != nil {
		return nil, err
	}
	linux, err := confinement(start)
	if err != nil {
		return nil, err
	}
	b.oci = &specs.Spec{
		Version:  specs.Version,
		Process:  toolProcess(spec, r, argv, env),
		Root:     &specs.Root{Path: r.root, Readonly: !spec.Security.Writable},
		Hostname: hostname,
		Mounts:   mounts,
		Linux:    linux,
	}
	return b, nil
}

// choosePlaces finds the tool's user and the paths of its own directories.
func (r *rootfs) choosePlaces(spec *engine.Spec, idCount int) (err error) {
	if r.user, err = r.lookUpUser(spec.User, idCount); err != nil {
		return err
	}
	r.home = r.homeOf(spec)
	r.workdir = spec.WorkingDir
	if r.workdir == "" {
		r.workdir = fallbackDir
	}
	r.workdir = filepath.Clean(r.workdir)
	for _, m := range spec.Mounts {
		r.targets = append(r.targets, m.Target)
	}
	if spec.Mocks != nil {
		for _, name := range spec.Mocks.Commands {
			r.targets = append(r.targets, filepath.Join(commandsDir, name))
		}
	}
	for _, dir := range spec.Volumes {
		if r.checkPlace("volume", dir) == nil { // the image's other volumes are left out, which is harmless
			r.volumes = append(r.volumes, dir)
		}
	}
	return r.checkPlaces(spec)
}

// mounts returns all mounts of the container: the kernel's file systems, the
// writable directories and the tool's volumes. It makes the files that they need.
func (b *bundle) mounts(start *wire.Start, r *rootfs) ([]specs.Mount, error) {
	spec := start.Spec
	mounts := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "nodev", "noexec"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "max=64"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "nodev", "noexec", "ro"}},
	}
	if !start.Rootless && !spec.Security.OtherRuntime() { // gVisor's kernel has its own devices
		devices, err := r.ownDevices()
		if err != nil {
			return nil, err
		}
		mounts, r.hasDevices = append(mounts, devices...), len(devices) > 0
	}
	for _, d := range []struct{ name, target string }{{"tmp", "/tmp"}, {"shm", "/dev/shm"}} {
		source, err := r.scratch(d.name, 0o777|os.ModeSticky)
		if err != nil {
			return nil, err
		}
		mounts = append(mounts, bind(source, d.target, "rw"))
	}
	tools, err := r.toolMounts(spec, start.Local.Secrets)
	if err != nil {
		return nil, err
	}
	r.sources = slices.Clone(tools)
	if spec.MaxOutputBytes > 0 {
		source, err := r.readOnlyFile("scratch", "output", nil, 0o600)
		if err != nil {
			return nil, err
		}
		if b.output, err = os.Open(source); err != nil {
			return nil, err
		}
		tools = append(tools, bind(source, outputPath, "rw", "noexec"))
	}
	mocks, err := r.mockMounts(start)
	if err != nil {
		return nil, err
	}
	tools = append(tools, mocks...)
	r.mounted = writableVolumes(tools)
	writable, err := r.writableDirs(spec, tools)
	if err != nil {
		return nil, err
	}
	mounts = append(mounts, writable...)
	// A mount on a shorter path would hide those below it.
	slices.SortStableFunc(tools, func(a, b specs.Mount) int {
		return strings.Count(a.Destination, "/") - strings.Count(b.Destination, "/")
	})
	mounts = append(mounts, tools...)
	places := slices.Concat(r.own, writableVolumes(mounts))
	for _, m := range tools {
		if err := r.makeParents(places, filepath.Dir(m.Destination)); err != nil {
			return nil, err
		}
	}
	for _, dir := range []string{r.home, r.workdir} {
		if err := r.makeParents(places, dir); err != nil {
			return nil, err
		}
	}
	return mounts, r.checkInVolumes()
}

// writeNames writes the files that resolve names.
func (r *rootfs) writeNames(hostname string, policy network.Policy) error {
	for path, content := range map[string]string{
		"/etc/hostname":    hostname + "\n",
		"/etc/hosts":       "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.0.1\t" + hostname + "\n",
		"/etc/resolv.conf": resolvConf(policy),
	} {
		if err := r.writeFile(path, []byte(content)); err != nil {
			return fmt.Errorf("write %s of the sandbox: %w", path, err)
		}
	}
	return nil
}

// toolProcess describes the tool's first process.
func toolProcess(spec *engine.Spec, r *rootfs, argv, env []string) *specs.Process {
	caps := spec.Security.Capabilities
	return &specs.Process{
		Terminal:        spec.Terminal,
		ConsoleSize:     &specs.Box{Width: uint(spec.Columns), Height: uint(spec.Rows)},
		User:            specs.User{UID: uint32(r.user.uid), GID: uint32(r.user.gid), AdditionalGids: ids(r.user.groups)},
		Args:            argv,
		Env:             env,
		Cwd:             r.workdir,
		NoNewPrivileges: true,
		Capabilities:    &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps, Inheritable: caps, Ambient: caps},
		Rlimits: []specs.POSIXRlimit{
			openFiles(&spec.Resources),
			// Without it the limit of mayfly's caller would apply. A program's arguments may take a quarter of it
			// (execve(2)), and each thread gets a stack of this size (pthread_create(3)).
			{Type: "RLIMIT_STACK", Soft: stackLimit, Hard: math.MaxUint64},
			// A limit of one byte, unlike zero, also keeps core_pattern
			// from piping the memory to a program of the host (core(5)).
			{Type: "RLIMIT_CORE", Soft: 1, Hard: 1},
			// These apply to each user of the sandbox; holder.c sets the same limits for all users together.
			{Type: "RLIMIT_SIGPENDING", Soft: runSignals, Hard: runSignals},
			{Type: "RLIMIT_MEMLOCK", Soft: runLocked, Hard: runLocked},
		},
	}
}

// stackLimit is the soft limit of a stack in bytes, Linux's default (_STK_LIM).
const stackLimit = 8 << 20

func openFiles(r *engine.Resources) specs.POSIXRlimit {
	soft, hard := r.NoFile, r.NoFile
	if soft == 0 {
		hard = cmp.Or(r.MostNoFile, engine.MostOpenFiles)
		soft = min(engine.OpenFiles, hard)
	}
	return specs.POSIXRlimit{Type: "RLIMIT_NOFILE", Soft: uint64(soft), Hard: uint64(hard)}
}

// confinement describes the cgroup with its limits, the system calls, and the
// paths in /proc and /sys that can't be seen. The supervisor adds the namespaces.
func confinement(start *wire.Start) (*specs.Linux, error) {
	seccomp := toolProfile(start.Spec.Security.Capabilities) // libcontainer's process has the rest of the profile (FilterSelf)
	if start.Spec.Security.OtherRuntime() {
		var err error
		if seccomp, err = sentryProfile(start.Spec.Security.Capabilities); err != nil {
			return nil, err
		}
	}
	resources, err := cgroupResources(start.Spec.Resources)
	if err != nil {
		return nil, err
	}
	return &specs.Linux{
		CgroupsPath: start.Cgroup,
		Resources:   resources,
		Seccomp:     seccomp,
		MaskedPaths: maskedPaths, ReadonlyPaths: readOnlyPaths,
		Sysctl: map[string]string{
			// Allow ping without a raw socket; the policy decides about it (ICMP echo only).
			"net.ipv4.ping_group_range": "0 " + strconv.Itoa(start.IDCount-1),
			// Ports below 1024 are the sandbox's own.
			"net.ipv4.ip_unprivileged_port_start": "0",
		},
	}, nil
}

func bind(source, target string, options ...string) specs.Mount {
	return specs.Mount{Destination: target, Type: "bind", Source: source, Options: append([]string{"bind", "nosuid", "nodev", "private"}, options...)}
}

func ids(groups []int) []uint32 {
	var out []uint32
	for _, g := range groups {
		out = append(out, uint32(g))
	}
	return out
}

// hostname returns a short name that differs for runs that start in the same
// millisecond: the last digits of a UUIDv7 are random.
func hostname(id string) string {
	id = strings.ReplaceAll(id, "-", "")
	return "mayfly-" + id[max(0, len(id)-12):]
}

// writableDirs mounts the home, the working directory and the image's volumes
// writable over the read-only root. It leaves out "/" and directories in one of
// the tool's own mounts.
func (r *rootfs) writableDirs(spec *engine.Spec, tools []specs.Mount) ([]specs.Mount, error) {
	dirs := append([]string{r.home, r.workdir}, r.volumes...)
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Or(len(a)-len(b), strings.Compare(a, b)) })
	modes, err := r.volumeModes()
	if err != nil {
		return nil, err
	}
	var mounts []specs.Mount
	for _, dir := range slices.Compact(dirs) {
		covered := slices.ContainsFunc(tools, func(m specs.Mount) bool { return within(dir, m.Destination) })
		if covered || dir == "/" || dir == "/tmp" || strings.HasPrefix(dir, "/tmp/") || dir == "/dev/shm" {
			continue
		}
		at, err := r.inRoot(dir)
		if err != nil {
			return nil, err
		}
		_, missing := os.Lstat(at)
		host, err := r.mkdirAll(dir)
		if err != nil {
			return nil, err
		}
		// A volume that exists in the image keeps its owner.
		if dir == r.home || dir == r.workdir || missing != nil {
			uid, gid := r.user.hostIDs(r.firstID)
			if err := os.Chown(host, uid, gid); err != nil {
				return nil, err
			}
		}
		if spec.Security.Writable {
			r.own = append(r.own, ownPlace{dir, host})
			continue
		}
		source, err := r.hold(host, strconv.Itoa(len(mounts)))
		if err != nil {
			return nil, err
		}
		r.own = append(r.own, ownPlace{dir, source})
		mounts = append(mounts, bind(source, dir, "rw"))
	}
	for host, mode := range modes {
		if err := os.Chmod(host, mode); err != nil {
			return nil, err
		}
	}
	return mounts, nil
}

// volumeModes returns the modes of the image's volumes by their paths on the host. mkdirAll opens these folders for other
// users. They get their modes back afterwards, because a server may insist on 0700 for its data, except if the tool's own
// folders are in them.
func (r *rootfs) volumeModes() (map[string]os.FileMode, error) {
	modes := map[string]os.FileMode{}
	for _, dir := range r.volumes {
		if within(r.home, dir) || within(r.workdir, dir) {
			continue
		}
		host, err := r.inRoot(dir)
		if err != nil {
			return nil, err
		}
		if info, err := os.Lstat(host); err == nil && info.IsDir() {
			modes[host] = info.Mode()
		}
	}
	return modes, nil
}

// toolMounts makes the tool's volumes and returns their mounts.
func (r *rootfs) toolMounts(spec *engine.Spec, secrets engine.Secrets) ([]specs.Mount, error) {
	var mounts []specs.Mount
	if spec.Security.OtherRuntime() {
		if err := r.mountSecrets(); err != nil { // for the runtime's bundle
			return nil, err
		}
	}
	for i, m := range spec.Mounts {
		name := strconv.Itoa(i)
		switch m.Kind {
		case engine.MountSecret:
			if err := r.mountSecrets(); err != nil {
				return nil, err
			}
			source, err := r.readOnlyFile("secrets", name, r.trusting.content(m.Target, endLine(secrets[m.Secret])), 0o400)
			if err != nil {
				return nil, fmt.Errorf("write secret %s to its memory file system: %w", m.Secret, err)
			}
			mounts = append(mounts, bind(source, m.Target, "ro", "noexec"))
		case engine.MountContent:
			mode := os.FileMode(0o444)
			if m.Executable {
				mode = 0o555
			}
			source, err := r.readOnlyFile("scratch", name, r.trusting.content(m.Target, m.Content), mode)
			if err != nil {
				return nil, err
			}
			mounts = append(mounts, bind(source, m.Target, "ro"))
		case engine.MountFile:
			source, err := r.copyIn(r.folders[m.Folder], m.Path, name)
			if err != nil {
				return nil, fmt.Errorf("volume %s: %w", m.Target, err)
			}
			if err := r.trusting.tree(source, m.Target); err != nil {
				return nil, fmt.Errorf("volume %s: %w", m.Target, err)
			}
			mounts = append(mounts, bind(source, m.Target, "ro"))
		case engine.MountScratch:
			source, err := r.scratchVolume(name, m.Target, m.Size)
			if err != nil {
				return nil, fmt.Errorf("volume %s: %w", m.Target, err)
			}
			mounts = append(mounts, bind(source, m.Target, "rw"))
		case engine.MountCache, engine.MountArtifact, engine.MountHanded:
			c, err := r.restoreCache(m, name)
			if err != nil {
				return nil, fmt.Errorf("volume %s: %w", m.Target, err)
			}
			r.caches = append(r.caches, c)
			mounts = append(mounts, bind(c.dir, m.Target, "rw"))
		default:
			return nil, &engine.Unsupported{Feature: fmt.Sprintf("volume kind %q", m.Kind), Why: "the embedded engine doesn't know it", Remedy: "use secret, file, size or cache"}
		}
	}
	return mounts, nil
}

// endLine adds a line break to the end of a key or certificate (RFC 7468) that
// lacks it: a shell's $(…) removes it, and ssh refuses a key without it.
func endLine(value []byte) []byte {
	if bytes.HasPrefix(value, []byte("-----BEGIN ")) && bytes.HasSuffix(value, []byte("-----")) {
		return append(slices.Clone(value), '\n')
	}
	return value
}

// environment returns the tool's environment: the spec's variables with the
// values of secrets, and the variables that every program expects.
func environment(spec *engine.Spec, secrets engine.Secrets, home, hostname string) []string {
	at := map[string]int{} // the index of each name in env
	var env []string
	add := func(name, value string) {
		i, have := at[name]
		if !have {
			i = len(env)
			env = append(env, "")
		}
		at[name], env[i] = i, name+"="+value
	}
	for _, v := range spec.Environment {
		if v.Name == "HOME" && v.Secret == "" {
			add(v.Name, home) // which is writable, unlike the image's choice
			continue
		}
		add(v.Name, v.In(secrets))
	}
	// OpenMP and nproc(1) use it; they can't see a limit of processor time.
	threads := strconv.FormatInt((spec.Resources.CPU+999)/1000, 10)
	for _, d := range []struct{ name, value string }{{"PATH", defaultPath}, {"HOME", home}, {"HOSTNAME", hostname}, {"OMP_NUM_THREADS", threads}} {
		if _, have := at[d.name]; !have {
			add(d.name, d.value)
		}
	}
	if spec.MaxOutputBytes > 0 {
		add("MAYFLY_OUTPUT", outputPath)
		add("KUBIYA_OUTPUT", outputPath)
	}
	if _, have := at["TERM"]; spec.Terminal && !have {
		add("TERM", "xterm")
	}
	return env
}
