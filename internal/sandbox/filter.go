package sandbox

import (
	"fmt"
	"maps"
	"slices"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// The tool's profile is loaded as two filters. For each call the kernel takes
// the stricter answer of the two (seccomp(2)):
//
//	libcontainer's process starts
//	  FilterSelf       loads the whole profile, which also allows setupSyscalls and the second filter
//	  libcontainer     mounts, changes root, drops privileges
//	                   loads the second filter, which refuses setupSyscalls
//	  execve           starts the tool
//
// libcontainer alone would load the whole profile at the end. libseccomp would
// compile it for each run, which took a tenth of a start.

// setupSyscalls are system calls that libcontainer needs to set the container up
// and that the profile refuses. A test starts containers of every kind with them.
var setupSyscalls = []string{
	"mount", "umount2", "pivot_root", "sethostname",
	"fsopen", "fsconfig", "fsmount", "open_tree", "move_mount", "mount_setattr",
}

// FilterSelf loads the profile for this thread and the tool that it will execute,
// except for the calls that libcontainer still needs, which the second filter
// refuses.
func FilterSelf() error {
	profile, err := setupProfile()
	if err != nil {
		return err
	}
	p, err := compile(profile)
	if err != nil {
		return fmt.Errorf("compile the seccomp profile: %w", err)
	}
	fprog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	// SPEC_ALLOW leaves speculative execution as it is, as libcontainer does.
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, uintptr(unsafe.Pointer(&fprog)))
	if errno != 0 {
		return fmt.Errorf("load the seccomp profile: %w", errno)
	}
	return nil
}

// setupProfile returns the profile of a tool with every capability, preceded by
// the rules that libcontainer needs.
func setupProfile() (*specs.LinuxSeccomp, error) {
	profile, err := seccompProfile([]string{"CAP_NET_RAW"})
	if err != nil {
		return nil, err
	}
	profile.Syscalls = slices.Concat([]specs.LinuxSyscall{
		{Names: setupSyscalls, Action: specs.ActAllow},
		allow("seccomp", exactly(0, unix.SECCOMP_SET_MODE_FILTER)),
	}, profile.Syscalls)
	return profile, nil
}

// toolProfile returns the second filter. It needs to compare only single values,
// because the first filter lets no others pass.
func toolProfile(capabilities []string) *specs.LinuxSeccomp {
	rules := []specs.LinuxSyscall{fail(unix.EPERM, setupSyscalls...), failWhen(unix.EINVAL, "seccomp", exactly(0, unix.SECCOMP_SET_MODE_FILTER))}
	if !slices.Contains(capabilities, "CAP_NET_RAW") {
		for _, family := range []uint64{unix.AF_INET, unix.AF_INET6} {
			rules = append(rules, failWhen(unix.EPERM, "socket", exactly(0, family), masked(1, socketTypes, unix.SOCK_RAW)))
		}
	}
	return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: rules}
}

// The offsets of the fields of struct seccomp_data (linux/seccomp.h). A word of
// 64 bits has its lower half first on the architectures that Mayfly is built for.
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArgs   = 16
)

// program is a BPF program (linux/filter.h) in the kernel's format. An assembler
// would need too many allocations at each start.
type program []unix.SockFilter

func (p *program) load(offset uint32) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset})
}

func (p *program) and(mask uint32) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: mask})
}

func (p *program) answer(what uint32) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: what})
}

// jump skips ifTrue or ifFalse instructions, by the comparison (BPF_JEQ, BPF_JGT
// or BPF_JGE) of the loaded word with k.
func (p *program) jump(comparison uint16, k uint32, ifTrue, ifFalse uint8) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_JMP | comparison | unix.BPF_K, K: k, Jt: ifTrue, Jf: ifFalse})
}

// compile makes a program from a profile for this architecture. The first rule
// of a system call that applies decides. The program checks, in this order:
//
//	architecture     a call of another's table is refused (the second filter ends the thread)
//	number           above all numbers of the profile: ENOSYS, as in an older kernel
//	each call whose arguments decide
//	ranges of calls that are allowed, or fail, whatever their arguments
//	                 otherwise the profile's default
func compile(profile *specs.LinuxSeccomp) (program, error) {
	rules, most, err := rulesByNumber(profile)
	if err != nil {
		return nil, err
	}
	p := make(program, 0, usualLength)
	p.load(offsetArch)
	p.jump(unix.BPF_JEQ, auditArch, 1, 0)
	refused := answer(profile.DefaultAction, profile.DefaultErrnoRet)
	p.answer(refused)
	p.load(offsetNumber)
	p.jump(unix.BPF_JGT, most, 0, 1)
	p.answer(unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS))
	numbers := slices.Sorted(maps.Keys(rules))
	for _, number := range numbers {
		if len(rules[number][0].Args) > 0 {
			p.decideByArguments(number, rules[number], refused)
		}
	}
	for i := 0; i < len(numbers); {
		first := numbers[i]
		if len(rules[first][0].Args) > 0 {
			i++
			continue
		}
		// Extend the range while the next number has the same answer.
		given, last := ruleAnswer(rules[first][0]), first
		for i++; i < len(numbers) && numbers[i] == last+1 && len(rules[last+1][0].Args) == 0 && ruleAnswer(rules[last+1][0]) == given; i++ {
			last++
		}
		p.jump(unix.BPF_JGE, first, 0, 2)
		p.jump(unix.BPF_JGT, last, 1, 0)
		p.answer(given)
	}
	p.answer(refused)
	return p, nil
}

// usualLength is a capacity that is large enough for a tool's profile, in instructions.
const usualLength = 2048

// rulesByNumber returns the rules of each system call of this architecture, and
// the largest number.
func rulesByNumber(profile *specs.LinuxSeccomp) (rules map[uint32][]specs.LinuxSyscall, most uint32, err error) {
	rules = map[uint32][]specs.LinuxSyscall{}
	for _, rule := range profile.Syscalls {
		if err := checkRule(rule); err != nil {
			return nil, 0, err
		}
		for _, name := range rule.Names {
			number, err := libseccomp.GetSyscallFromName(name)
			if err != nil || number < 0 {
				continue // the call is of another architecture, or newer than libseccomp; it is refused
			}
			n := uint32(number)
			most = max(most, n)
			if before := rules[n]; len(before) > 0 && (len(before[0].Args) == 0) != (len(rule.Args) == 0) {
				return nil, 0, fmt.Errorf("%s has rules with arguments and without", name)
			}
			rules[n] = append(rules[n], rule)
		}
	}
	return rules, most, nil
}

// checkRule refuses actions and comparisons that compile doesn't support.
func checkRule(rule specs.LinuxSyscall) error {
	if rule.Action != specs.ActAllow && rule.Action != specs.ActErrno {
		return fmt.Errorf("%s: unknown action %s", rule.Names, rule.Action)
	}
	for _, arg := range rule.Args {
		if arg.Op != specs.OpEqualTo && arg.Op != specs.OpMaskedEqual {
			return fmt.Errorf("%s: unknown comparison %s", rule.Names, arg.Op)
		}
	}
	return nil
}

// decideByArguments decides one system call. The call's number is loaded before
// these instructions, and is still loaded after them if it is another.
func (p *program) decideByArguments(number uint32, rules []specs.LinuxSyscall, refused uint32) {
	p.jump(unix.BPF_JEQ, number, 1, 0)
	over := len(*p)
	*p = append(*p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA})
	for _, rule := range rules {
		begin := len(*p)
		for _, arg := range rule.Args {
			mask, value := ^uint64(0), arg.Value
			if arg.Op == specs.OpMaskedEqual {
				mask, value = arg.Value, arg.ValueTwo
			}
			at := offsetArgs + 8*uint32(arg.Index)
			p.compare(at, uint32(mask), uint32(value))
			p.compare(at+4, uint32(mask>>32), uint32(value>>32))
		}
		// A comparison that is false skips the rest of the rule.
		for i := begin; i < len(*p); i++ {
			if (*p)[i].Code == unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K {
				(*p)[i].Jf = uint8(len(*p) - i)
			}
		}
		p.answer(ruleAnswer(rule))
	}
	p.answer(refused)
	(*p)[over].K = uint32(len(*p) - over - 1)
}

// compare continues if the bits of mask in the word at offset equal value.
func (p *program) compare(offset, mask, value uint32) {
	if mask == 0 {
		return
	}
	p.load(offset)
	if mask != ^uint32(0) {
		p.and(mask)
	}
	p.jump(unix.BPF_JEQ, value, 0, 0)
}

func ruleAnswer(rule specs.LinuxSyscall) uint32 { return answer(rule.Action, rule.ErrnoRet) }

// answer returns the filter's return value for an action. Without an errno it is EPERM.
func answer(action specs.LinuxSeccompAction, errno *uint) uint32 {
	switch {
	case action == specs.ActAllow:
		return unix.SECCOMP_RET_ALLOW
	case errno != nil:
		return unix.SECCOMP_RET_ERRNO | uint32(*errno)
	}
	return unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
}
