package sandbox

import (
	"slices"

	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// deniedSyscalls are taken out of the moby profile: each has been a way out of
// a container or a look into other processes, and no operations tool needs it.
var deniedSyscalls = []string{
	"ptrace", "process_vm_readv", "process_vm_writev", "kcmp",
	"keyctl", "add_key", "request_key",
	"io_uring_setup", "io_uring_enter", "io_uring_register",
	"userfaultfd", "bpf", "perf_event_open",
	"mknod", "mknodat",
	"io_setup", // its contexts are counted for the whole host (fs.aio-max-nr)
	"unshare", "setns", "mount", "umount", "umount2", "pivot_root",
	"fsopen", "fsconfig", "fsmount", "fspick", "move_mount", "open_tree", "mount_setattr",
	"open_by_handle_at", "name_to_handle_at",
}

// socketFamilies are the only ones that the userspace network and local
// programs need.
var socketFamilies = []uint64{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6}

// cloneNamespaceFlags are the bits of clone(2) that make a namespace.
const cloneNamespaceFlags = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS |
	unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// seccompProfile is the moby profile for a process without capabilities, less
// what deniedSyscalls and socketFamilies take away, for the native
// architecture only. What it doesn't allow fails with EPERM; clone3 with
// ENOSYS, so that programs fall back to clone, whose flags can be checked.
func seccompProfile() (*specs.LinuxSeccomp, error) {
	p, err := seccomp.GetDefaultProfile(&specs.Spec{
		Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{}},
		Linux:   &specs.Linux{},
	})
	if err != nil {
		return nil, err
	}
	// GetDefaultProfile names the native architecture first and then those
	// that the processor can also run, which would be a second way in.
	if len(p.Architectures) > 1 {
		p.Architectures = p.Architectures[:1]
	}
	var kept []specs.LinuxSyscall
	for _, rule := range p.Syscalls {
		rule.Names = slices.DeleteFunc(slices.Clone(rule.Names), func(name string) bool {
			return name == "socket" || name == "socketpair" || name == "clone" || name == "socketcall" || slices.Contains(deniedSyscalls, name)
		})
		if len(rule.Names) > 0 {
			kept = append(kept, rule)
		}
	}
	for _, family := range socketFamilies {
		kept = append(kept, specs.LinuxSyscall{
			Names: []string{"socket"}, Action: specs.ActAllow,
			Args: []specs.LinuxSeccompArg{{Index: 0, Value: family, Op: specs.OpEqualTo}},
		})
	}
	kept = append(kept, specs.LinuxSyscall{
		Names: []string{"socketpair"}, Action: specs.ActAllow,
		Args: []specs.LinuxSeccompArg{{Index: 0, Value: unix.AF_UNIX, Op: specs.OpEqualTo}},
	}, specs.LinuxSyscall{
		// FIFOs, for mkfifo(1), and no devices.
		Names: []string{"mknod"}, Action: specs.ActAllow,
		Args: []specs.LinuxSeccompArg{{Index: 1, Value: unix.S_IFMT, ValueTwo: unix.S_IFIFO, Op: specs.OpMaskedEqual}},
	}, specs.LinuxSyscall{
		Names: []string{"mknodat"}, Action: specs.ActAllow,
		Args: []specs.LinuxSeccompArg{{Index: 2, Value: unix.S_IFMT, ValueTwo: unix.S_IFIFO, Op: specs.OpMaskedEqual}},
	}, specs.LinuxSyscall{
		Names: []string{"clone"}, Action: specs.ActAllow,
		Args: []specs.LinuxSeccompArg{{Index: 0, Value: cloneNamespaceFlags, ValueTwo: 0, Op: specs.OpMaskedEqual}},
	})
	p.Syscalls = kept
	return p, nil
}
